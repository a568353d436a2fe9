"""Which of the evidence belongs to which installation, where a cluster has several: a namespace is one. Pure.

A route is on the ingress of its own namespace, so that another installation's wildcard route is none of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.hostnames import covers
from prober.diagnose.route import ROUTE_CONFIG
from prober.diagnose.routes import RouteFacts

__all__ = ["without_wildcard"]


def without_wildcard(evidence: EvidenceSet) -> Iterator[EvidenceSet]:
    """What is known of each installation that has no wildcard route and links to none, where another one has one."""
    facts = evidence.routes
    if facts is None:
        return
    groups = [each for each in facts.routes if each.kind == ROUTE_CONFIG or not each.is_wildcard]
    homes = {each.namespace for each in facts.wildcards}
    # One where no groups are is in the wrong namespace, rather than of another installation.
    if "" in homes or homes.isdisjoint(each.namespace for each in groups):
        return
    linking = {each.namespace for each in facts.routes if each.additional_gateways}
    for namespace in dict.fromkeys(each.namespace for each in groups):
        if namespace not in {"", *homes, *linking}:
            yield _of(evidence, facts, namespace)


def _of(evidence: EvidenceSet, facts: RouteFacts, namespace: str) -> EvidenceSet:
    """One installation's own; logs, captures and the cluster's pods do not say whose they are."""
    routes = tuple(each for each in facts.routes if each.namespace == namespace)
    return EvidenceSet(
        routes=replace(facts, routes=routes),
        overrides=tuple(each for each in evidence.overrides if each.namespace == namespace),
        texts=evidence.texts,
        probes=tuple(
            probe
            for probe in evidence.probes
            if any(_homes(facts, each.server_name) == {namespace} for each in probe.known if each.server_name)
        ),
    )


def _homes(facts: RouteFacts, name: str) -> set[str]:
    """The namespaces whose groups have a name: where one has it in full, a wildcard of another one's does not count."""
    groups = [each for each in facts.routes if not each.is_wildcard]
    return {each.namespace for each in groups if name in each.hostnames} or {
        each.namespace for each in groups if covers(each.hostnames, name)
    }
