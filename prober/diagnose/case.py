"""The evidence in the terms in which causes are judged: what was seen on the wire, what is configured, what the log supports. Pure.

Three kinds of evidence carry differently. *Active* is what a probe or a capture saw on the wire; *config* is what routes, overrides
or the cluster say; a *log* line only supports, since plain HTTP on the TLS port is written like a client without SNI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from functools import cached_property

from prober.diagnose.evidence import EvidenceSet, FlowEnd, FlowGroup, ProbeFacts
from prober.diagnose.hostnames import covers
from prober.diagnose.http_compared import Requests, compared
from prober.diagnose.installations import without_wildcard
from prober.diagnose.logs import LogFacts, SourceKind, Tally, kind_of
from prober.diagnose.overrides import INGRESS_APP, VirtualHost
from prober.diagnose.route import ROUTE, ROUTE_CONFIG, Route
from prober.diagnose.wording import default_problems, flow_evidence, hellos, listed, probe_evidence, source_evidence
from prober.findings import Confidence, Evidence, Finding, Fix, Severity
from prober.model import Outcome, Sni, Verdict

__all__ = ["Case", "Labels", "conflict", "found", "serves_unknown"]

Labels = tuple[tuple[str, str], ...]

_LOWERED = {Confidence.CONFIRMED: Confidence.LIKELY, Confidence.LIKELY: Confidence.SUSPECTED}
_TURNED_AWAY = frozenset({FlowEnd.RESET, FlowEnd.CLOSED})
_SHOWN = 6
"""Pieces of evidence of one kind that are given; a hundred like connections prove no more than six."""


def found(
    cause: str,
    summary: str,
    *,
    active: Iterable[Evidence] = (),
    config: Iterable[Evidence] = (),
    log: Iterable[Evidence] = (),
    against: Iterable[Evidence] = (),
    severity: Severity | None = None,
    fix: Fix | None = None,
    at_most: Confidence = Confidence.CONFIRMED,
) -> Finding:
    """A finding whose confidence follows from its evidence.

    *Confirmed* where the wire and the configuration agree, *likely* by one of them, *suspected* by the log alone (``log``: also what
    else supports it without showing it); a step lower where something speaks against it, though what was seen on the wire stays
    likely; never above ``at_most``, for what something else would explain as well. Without a severity: *critical* where clients
    were seen failing on the wire, else *warning*.
    """
    active, log, against = (tuple(each)[:_SHOWN] for each in (active, log, against))
    config = tuple(config)  # each place is to be mended
    confidence = Confidence.CONFIRMED if active and config else Confidence.LIKELY if active or config else Confidence.SUSPECTED
    if against and not (active and confidence is Confidence.LIKELY):
        confidence = _LOWERED.get(confidence, confidence)
    confidence = max(confidence, at_most, key=list(Confidence).index)
    return Finding(
        id=cause,
        severity=severity or (Severity.CRITICAL if active else Severity.WARNING),
        confidence=confidence,
        summary=summary,
        evidence=(*active, *config, *log),
        against=against,
        fix=fix,
    )


def conflict(one: Labels, other: Labels) -> bool:
    """Whether no pod can have both sets of labels: some key has another value in each."""
    wanted = dict(other)
    return any(wanted.get(key, value) != value for key, value in one)


class Case:
    """One diagnosis: the evidence, and what follows from it before any cause is considered."""

    def __init__(self, evidence: EvidenceSet) -> None:
        self.evidence = evidence
        self.probes = evidence.probes
        self.routes: tuple[Route, ...] = () if evidence.routes is None else evidence.routes.routes
        self.overrides = evidence.overrides
        self.logs: LogFacts | None = evidence.logs
        self.flows: tuple[FlowGroup, ...] = () if evidence.capture is None else evidence.capture.groups

    # -- the wire ------------------------------------------------------------------------------------------------------

    @cached_property
    def resets(self) -> tuple[Evidence, ...]:
        """Clients without SNI that were turned away as a missing filter chain explains it: probes first, then captured flows."""
        others = [each for part in self.apart for each in part.probes]
        probes = tuple(
            probe_evidence(each) for each in self.probes if each.resets and not serves_unknown(each) and each not in others
        )
        return probes + flow_evidence(self.ingress_resets, "the server ended it before it sent a byte")

    @cached_property
    def other_resets(self) -> tuple[Evidence, ...]:
        """Clients without SNI that were turned away otherwise, which speaks against a missing filter chain.

        By a rule against missing names (the unknown name is served), by something on the way, by a server that turns everybody away.
        """
        probes = tuple(probe_evidence(each) for each in self.probes if each.resets and serves_unknown(each))
        foreign = [each for each in self._nameless(_TURNED_AWAY) if each.foreign_reset or each.early_reset]
        return (
            probes
            + flow_evidence(foreign, "reset, as it seems, by something on the way and not by the ingress")
            + tuple(
                Evidence(
                    source="capture",
                    file=each.file,
                    text=f"{each.client} -> {each.server}: {hellos(each)} with server_name {each.sni} turned away, too",
                )
                for each in self.named_turned_away
                if not self.hostnames
                or covers(self.hostnames, each.sni or "")  # an unknown name is turned away as a missing one is
            )
        )

    @cached_property
    def ingress_resets(self) -> tuple[FlowGroup, ...]:
        """Captured hellos without a name that the ingress itself turned away, while it does not turn everybody away."""
        return tuple(
            each
            for each in self._nameless(_TURNED_AWAY)
            if not each.foreign_reset and not each.early_reset and each.server not in self.shut
        )

    @cached_property
    def named_turned_away(self) -> tuple[FlowGroup, ...]:
        """Captured hellos with a name (no probe's) that were turned away by a server that was seen to serve nobody."""
        return tuple(each for each in self._named_unserved if each.end in _TURNED_AWAY)

    @cached_property
    def _named_unserved(self) -> tuple[FlowGroup, ...]:
        serving = {each.server for each in self.flows if each.tls and each.end is FlowEnd.CERTIFICATE}
        return tuple(
            each
            for each in self.flows
            if each.tls and each.sni is not None and not each.sni.endswith(".invalid") and each.server not in serving
        )

    @cached_property
    def shut(self) -> frozenset[str]:
        """Servers of captures that turn away the names that the routes have, or without routes several: without a name it proves nothing."""
        names = {(each.server, each.sni) for each in self.named_turned_away}
        if self.hostnames:
            return frozenset(server for server, name in names if covers(self.hostnames, name or ""))
        return frozenset(server for server, times in Counter(server for server, _ in names).items() if times > 1)

    @cached_property
    def refused_alike(self) -> frozenset[FlowGroup]:
        """Captured hellos that a server refused with alert 40, without a name and with one that is its own, while it served nobody.

        Without routes any name may be its own; with them, one that they lack is refused as none is, by a server that is strict.
        """
        refused = [each for each in self.flows if each.tls and each.end is FlowEnd.ALERT and each.alert == 40]
        named = {
            each.server
            for each in set(refused).intersection(self._named_unserved)
            if not self.hostnames or covers(self.hostnames, each.sni or "")
        }
        alike = named & {each.server for each in refused if each.sni is None}
        return frozenset(each for each in refused if each.server in alike)

    @cached_property
    def wrong_certificates(self) -> tuple[Evidence, ...]:
        """Probes whose client without SNI got a certificate that is not acceptable."""
        return tuple(
            Evidence(source="probe", text=f"{probe.where}: without SNI: {'; '.join(problems)}")
            for probe in self.probes
            if Verdict.NON_SNI_WRONG_CERTIFICATE in probe.judgement.faults and (problems := default_problems(probe))
        )

    @cached_property
    def accepts(self) -> tuple[Evidence, ...]:
        """Clients without SNI that got a certificate."""
        probes = tuple(probe_evidence(each) for each in self.probes if each.accepts)
        return probes + flow_evidence(self._nameless({FlowEnd.CERTIFICATE}), "the server answered with its handshake")

    def _nameless(self, ends: Collection[FlowEnd]) -> list[FlowGroup]:
        return [each for each in self.flows if each.tls and each.sni is None and each.end in ends]

    @cached_property
    def requests(self) -> Requests:
        """The requests over connections without SNI, held against the same with SNI."""
        return compared(self.probes, apigee=bool(self.wildcards))

    @property
    def not_found(self) -> tuple[Evidence, ...]:
        """404 of the ingress's own over a connection without SNI, while the same request with SNI got something else."""
        return self.requests.not_found

    # -- the configuration ---------------------------------------------------------------------------------------------

    @cached_property
    def wildcards(self) -> tuple[Route, ...]:
        """ApigeeRoutes with host ``*``."""
        return tuple(each for each in self.routes if each.is_wildcard)

    @cached_property
    def group_routes(self) -> tuple[Route, ...]:
        """ApigeeRoutes of environment groups: with names of their own."""
        return tuple(each for each in self.routes if each.kind == ROUTE and not each.is_wildcard)

    @cached_property
    def route_configs(self) -> tuple[Route, ...]:
        """ApigeeRouteConfigs: what the virtualhost chart applies."""
        return tuple(each for each in self.routes if each.kind == ROUTE_CONFIG)

    @cached_property
    def apart(self) -> tuple[Case, ...]:
        """Installations of other namespaces than the wildcard routes' that have none and link to none: each a case of its own."""
        return tuple(map(Case, without_wildcard(self.evidence)))

    def users_of(self, route: Route) -> list[str]:
        """The routes of its own namespace that are linked to it."""
        return [each.name for each in self.routes if each.namespace == route.namespace and route.name in each.additional_gateways]

    @cached_property
    def no_wildcard_said(self) -> tuple[Evidence, ...]:
        """That no wildcard route is there, as far as the configuration that was read can say so; empty where one is."""
        if self.wildcards:
            return ()
        facts = self.evidence.routes
        said: list[Evidence] = []
        # One without hostnames is a part of one, as kustomize's patches are: what the whole has is not known.
        whole = facts is not None and (facts.complete or all(route.hostnames for route in self.group_routes))
        if facts is not None and whole and (facts.routes or facts.complete) and not facts.damaged:
            names = (
                listed(f"{route.name} ({listed(route.hostnames, 2)})" for route in self.group_routes) or "no ApigeeRoute at all"
            )
            text = f"no route has host '*': {names}"
            # What a cluster listed has no file and no lines.
            place = next((route for route in self.group_routes if not route.file.startswith("kubernetes:")), None)
            asked = bool(self.group_routes) and place is None
            said.append(
                Evidence(
                    source="kubernetes" if asked else "routes",
                    file=None if place is None else place.file,
                    line=None if place is None else place.line_of("hostnames"),
                    text=text,
                )
            )
        for route in self.group_routes:
            if route.name in self.links:
                text = (
                    f"{route.name} is listed in additionalGateways, and its hostnames are {listed(route.hostnames, 2)}, not '*'"
                )
                said.append(Evidence(source="routes", file=route.file, line=route.line_of("hostnames"), text=text))
        for each in self.overrides:
            if each.virtual_hosts and not each.linked:
                text = f"none of {len(each.virtual_hosts)} virtualhosts lists additionalGateways"
                said.append(Evidence(source="overrides", file=each.file, line=each.virtual_hosts[0].line, text=text))
                said += [Evidence(source="overrides", file=each.file, line=line, text=what) for line, what in each.astray]
        return tuple(said)

    @cached_property
    def working_wildcards(self) -> tuple[Route, ...]:
        """Wildcard routes by which, as they are written, clients without SNI get a certificate from this gateway."""
        return tuple(
            each
            for each in self.wildcards
            if each.enable_non_sni_client and any(port.terminates_tls for port in each.ports) and self.selects_gateway(each)
        )

    @cached_property
    def gateways(self) -> tuple[Labels, ...]:
        """Labels of the gateways' pods, as far as they are known: the pods' own, else what the configuration expects of them."""
        cluster = self.evidence.cluster
        if cluster is not None and cluster.pods:
            return tuple(each.labels for each in cluster.pods)
        expected = [each.selector for each in (*self.group_routes, *self.route_configs) if each.selector]
        expected += [host.selector for each in self.overrides for host in each.virtual_hosts if host.selector]
        named = [gateway.name for each in self.overrides for gateway in each.gateways if gateway.name]
        if not expected:
            expected = [(("app", INGRESS_APP), ("ingress_name", name)) for name in named]
        return tuple(dict.fromkeys(expected))

    def selects_gateway(self, route: Route) -> bool:
        """Whether a route's selector can match any known gateway; True where none is known."""
        cluster = self.evidence.cluster
        if cluster is not None and cluster.pods:
            return any(route.selects(labels) for labels in self.gateways)
        return not self.gateways or any(not conflict(route.selector, labels) for labels in self.gateways)

    @cached_property
    def links(self) -> tuple[str, ...]:
        """Every name that any virtual host, route configuration or route lists as additional gateway."""
        names = [name for each in self.overrides for host in each.virtual_hosts for name in host.additional_gateways]
        names += [name for route in self.routes for name in route.additional_gateways]
        return tuple(dict.fromkeys(names))

    @cached_property
    def virtual_hosts(self) -> tuple[tuple[str, VirtualHost], ...]:
        """(file, virtual host) of all overrides."""
        return tuple((each.file, host) for each in self.overrides for host in each.virtual_hosts)

    @property
    def namespace(self) -> str:
        """The namespace of the installation."""
        cluster = self.evidence.cluster
        if cluster is not None:
            return cluster.namespace
        counted = Counter(each.namespace for each in self.routes if each.namespace)
        if counted:
            return counted.most_common(1)[0][0]
        return self.overrides[0].namespace if self.overrides else "apigee"

    @property
    def hostnames(self) -> tuple[str, ...]:
        """All names that routes serve, but ``*``."""
        return tuple(dict.fromkeys(name for each in self.group_routes for name in each.hostnames if name != "*"))

    # -- the log -------------------------------------------------------------------------------------------------------

    @cached_property
    def rejected(self) -> tuple[Evidence, ...]:
        """Log lines of clients without a name that matched no filter chain, the sources that matter first, noise left out."""
        return tuple(source_evidence(each, tally) for each, tally in self.rejected_sources)

    @cached_property
    def rejected_sources(self) -> tuple[tuple[str, Tally], ...]:
        """The sources of those lines that are no internet noise, most lines first."""
        if self.logs is None:
            return ()
        rows = [
            (source, tally)
            for source, tally in self.logs.rejected_without_sni.items()
            if kind_of(source, tally)[0] is not SourceKind.NOISE
        ]
        return tuple(sorted(rows, key=lambda row: -row[1].count))

    @cached_property
    def served_in_log(self) -> tuple[Evidence, ...]:
        """Log lines of clients without a name whose handshake succeeded."""
        if self.logs is None or not self.logs.served_without_sni:
            return ()
        rows = self.logs.served_without_sni
        # A 404 of the ingress's own shows that TLS was served, and no more.
        total = sum(tally.count for tally in rows.values()) - sum(tally.count for tally in self.logs.unlinked.values())
        if total <= 0:
            return ()
        names = sorted(rows, key=lambda source: -rows[source].count)
        return (Evidence(source="logs", text=f"{total:,} requests without SNI over TLS, from {listed(names)}"),)

    @cached_property
    def handshakes_in_log(self) -> tuple[Evidence, ...]:
        """Log lines of clients without a name whose handshake succeeded, whatever their requests were answered with."""
        if self.logs is None or not self.logs.served_without_sni:
            return ()
        total = sum(tally.count for tally in self.logs.served_without_sni.values())
        return (
            Evidence(source="logs", text=f"{total:,} request{'s' * (total != 1)} over TLS without SNI: the handshake succeeded"),
        )


def serves_unknown(probe: ProbeFacts) -> bool:
    """Whether a name that nobody serves gets a certificate."""
    unknown = probe.hello(Sni.UNKNOWN)
    return unknown is not None and unknown.observation.outcome is Outcome.CERTIFICATE
