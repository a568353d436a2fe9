"""Reading objects of Kubernetes' API, of which nothing is sure to be there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prober.addresses import is_ip
from prober.sources import LabelSet

__all__ = ["META", "cluster_ips", "identity", "items", "load_balancers", "mapping"]

META = "__meta_kubernetes_"


def mapping(item: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """A mapping within mappings; empty where there is none. CRDs of old versions allow anything anywhere."""
    for key in keys:
        inner = item.get(key)
        item = inner if isinstance(inner, dict) else {}
    return item


def items(item: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The mappings of a list; empty where there is none."""
    inner = item.get(key)
    return [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []


def identity(kind: str, item: Mapping[str, Any]) -> tuple[str, LabelSet]:
    """``KIND/NAMESPACE/NAME``, and what relabelling may know of the object."""
    metadata = mapping(item, "metadata")
    namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
    labels = {
        f"{META}label_{re.sub(r'[^A-Za-z0-9_]', '_', str(key))}": str(value) for key, value in mapping(metadata, "labels").items()
    }
    return f"{kind}/{namespace}/{name}", {**labels, f"{META}kind": kind, f"{META}namespace": namespace, f"{META}name": name}


def load_balancers(item: Mapping[str, Any]) -> list[str]:
    """Addresses in ``status.loadBalancer.ingress``: IP addresses, or the names that some clouds give instead."""
    points = items(mapping(item, "status", "loadBalancer"), "ingress")
    return [str(point.get("ip") or point.get("hostname")) for point in points if point.get("ip") or point.get("hostname")]


def cluster_ips(item: Mapping[str, Any]) -> Iterator[str]:
    """Of a Service: addresses that mean nothing outside of the cluster."""
    spec = mapping(item, "spec")
    yield from (str(ip) for ip in (spec.get("clusterIP"), *(spec.get("clusterIPs") or ())) if ip and is_ip(str(ip)))
