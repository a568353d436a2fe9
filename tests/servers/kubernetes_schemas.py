"""Whether a document is one that an API server could have sent: by Kubernetes' OpenAPI schemas and by published CRDs.

Kubernetes' own kinds are checked with the package `kubernetes-validate`, which carries the OpenAPI schemas of each release, in the strict form
that refuses unknown fields; custom resources with ``tests/vectors/crds``, whose README says where those come from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.servers.requirements import require_module

__all__ = ["InvalidDocument", "require_valid"]

RELEASE = "v1.34.0"
"""Of Kubernetes: one that clusters run, and not the newest."""
_CRDS = Path(__file__).parents[1] / "vectors" / "crds"
_CUSTOM = {
    ("gateway.networking.k8s.io/v1", "Gateway"): "gateway",
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "httproute",
    ("gateway.networking.k8s.io/v1", "TLSRoute"): "tlsroute",
    ("networking.istio.io/v1", "Gateway"): "istio-gateway",
    ("route.openshift.io/v1", "Route"): "openshift-route",
    ("apigee.cloud.google.com/v1alpha1", "ApigeeRoute"): "apigeeroute",
    ("apigee.cloud.google.com/v1alpha1", "ApigeeRouteConfig"): "apigeerouteconfig",
}
_LIST = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "items"],
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "required": ["resourceVersion"],
            "properties": {
                "resourceVersion": {"type": "string"},
                "continue": {"type": "string"},
                "remainingItemCount": {"type": "integer"},
            },
        },
        "items": {"type": "array"},
    },
}
# meta/v1 has no schema for them: only what identifies the kind, and how far the watch has come.
_BOOKMARK = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata"],
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "required": ["resourceVersion"],
            "properties": {"resourceVersion": {"type": "string", "minLength": 1}, "creationTimestamp": {"type": "null"}},
        },
    },
}


class InvalidDocument(AssertionError):
    """A test made the stand-in say something that no API server says."""


def require_valid(document: Mapping[str, Any]) -> None:
    """Return if an API server could have sent this: an object, a list, a ``Status``, or a watch's event. Raises `InvalidDocument`."""
    if document.keys() == {"type", "object"}:
        _require_valid_event(document)
        return
    version, kind = str(document.get("apiVersion")), str(document.get("kind"))
    if (version, kind) in _CUSTOM:
        _check(_custom(_CUSTOM[version, kind]), document)
    elif kind.endswith("List") and (version, kind.removesuffix("List")) in _CUSTOM:
        _check(_plain("list"), document)
        for item in document["items"]:
            if (item.get("apiVersion"), f"{item.get('kind')}List") != (version, kind):
                raise InvalidDocument(f"a {kind} holds a {item.get('apiVersion')} {item.get('kind')}")
            require_valid(item)
    else:
        _check(_builtin(version, kind), document)


def _require_valid_event(event: Mapping[str, Any]) -> None:
    item = event["object"]
    match event["type"]:
        case "ADDED" | "MODIFIED" | "DELETED":
            require_valid(item)
        case "BOOKMARK":
            _check(_plain("bookmark"), item)
        case "ERROR" if item.get("kind") == "Status":
            require_valid(item)
        case _:
            raise InvalidDocument(f"no watch has such an event: {event}")


def _check(validator: Any, document: Mapping[str, Any]) -> None:
    for error in validator.iter_errors(document):
        where = "".join(f"[{part!r}]" for part in error.absolute_path)
        name = (document.get("metadata") or {}).get("name", "")
        raise InvalidDocument(f"{document.get('kind')} {name}{where}: {error.message}")


@cache
def _plain(what: str) -> Any:
    jsonschema = require_module("jsonschema")
    return jsonschema.Draft202012Validator({"list": _LIST, "bookmark": _BOOKMARK}[what])


@cache
def _custom(name: str) -> Any:
    jsonschema = require_module("jsonschema")
    schema, shared = (yaml.safe_load((_CRDS / f"{each}.yaml").read_text()) for each in (name, "metadata"))
    return jsonschema.Draft202012Validator(
        schema, registry=_registry(schema, shared), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


@cache
def _builtin(version: str, kind: str) -> Any:
    """`Status` and watch events belong to no group of their own: ``meta``."""
    jsonschema = require_module("jsonschema")
    group, _, number = version.rpartition("/")
    group = "meta" if kind == "Status" else group.partition(".")[0]
    file = _openapi() / f"{'-'.join(part for part in (kind.lower(), group, number) if part)}.json"
    if not file.is_file():
        raise InvalidDocument(f"Kubernetes {RELEASE} knows no {version} {kind}")
    schema = json.loads(file.read_text())
    return jsonschema.Draft202012Validator(schema, registry=_registry(schema, _definitions()))


@cache
def _definitions() -> Any:
    return json.loads((_openapi() / "_definitions.json").read_text())


def _openapi() -> Path:
    package = require_module("kubernetes_validate", package="kubernetes-validate")
    return Path(str(package.__file__)).parent / "kubernetes-json-schema" / f"{RELEASE}-local-strict"


def _registry(*documents: Any) -> Any:
    """By their ``$id``."""
    referencing = require_module("referencing")
    registry = referencing.Registry()
    for document in documents:
        if "$id" in document:
            registry = registry.with_resource(document["$id"], referencing.Resource.from_contents(document, _draft()))
    return registry


def _draft() -> Any:
    return require_module("referencing.jsonschema").DRAFT202012
