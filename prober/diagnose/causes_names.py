"""The cause that lies in a name: clients ask for one that no route has, or that its route does not serve. Pure."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from prober.diagnose.case import Case, found
from prober.diagnose.evidence import FlowEnd, is_reset
from prober.diagnose.fixes import Remedy
from prober.diagnose.hostnames import covers, near_miss
from prober.diagnose.logs import SourceKind, Tally, kind_of
from prober.diagnose.wording import hellos, listed, probe_evidence, reads_right
from prober.findings import Evidence, Finding, Fix, Severity
from prober.model import Handshake, Outcome, Verdict

__all__ = ["unknown_name"]

_MOST = 10
"""Names that are told; who is asked for more than that has a scanner."""
_HOSTS = "NAME:.metadata.name,HOSTS:.spec.hostnames"
_APPLIED = f"{_HOSTS},STATE:.status.state,GENERATION:.metadata.generation,APPLIED:.status.lastAppliedGeneration"


@dataclass(slots=True)
class _Asked:
    """What shows that clients ask for a name, and are turned away."""

    active: list[Evidence] = field(default_factory=list)
    log: list[Evidence] = field(default_factory=list)
    refused: bool = False
    """The server itself said that it does not know it."""


def unknown_name(case: Case) -> Iterator[Finding]:
    """Clients ask for a name that no route has: a hostname is missing, or the client has it wrong."""
    for name, asked in list(_names_asked_for(case).items())[:_MOST]:
        covered = covers(case.hostnames, name)
        config = []
        if case.hostnames and not covered:
            config = [Evidence(source="routes", text=f"no route has {name}; hostnames are {listed(case.hostnames)}")]
        against: list[Evidence] = []
        if covered:
            against = [Evidence(source="routes", text=f"a route has a hostname that covers {name}: it may not be applied")]
        elif not asked.refused:
            # Istio makes of host '*' a filter chain for every name, and not only for none.
            against = [reads_right(route) for route in case.working_wildcards]
        near = near_miss(name, case.hostnames)
        missing = "the ingress turns them away, although a route has that name" if covered else "no route serves that name"
        noise = not asked.active and not covered and not near and _is_noise(case, name)
        scanner = " They are single public addresses that came a few times: internet noise." if noise else ""
        yield found(
            "unknown-name",
            f"Clients ask for {name}, and {missing}{near}.{scanner}",
            active=asked.active,
            config=config,
            log=asked.log,
            against=against,
            severity=None if asked.active else Severity.INFO if noise else Severity.WARNING,
            fix=_fix(case, name, covered=covered),
        )


def _names_asked_for(case: Case) -> dict[str, _Asked]:
    """By name, from probes, captures and logs; a name of which something else explains that it is turned away is not among them."""
    names: defaultdict[str, _Asked] = defaultdict(_Asked)
    for probe in case.probes:
        for hello in probe.known:
            refused = _refused_name(hello)
            if hello.server_name and (is_reset(hello) or refused) and Verdict.UNREACHABLE not in probe.judgement.faults:
                if case.hostnames and covers(case.hostnames, hello.server_name):
                    continue
                if not refused and not case.hostnames and not probe.accepts and Verdict.SNI_FAILING not in probe.judgement.faults:
                    continue  # everybody is reset: that is no matter of this name
                names[hello.server_name].active.append(probe_evidence(probe))
                names[hello.server_name].refused |= refused
    for group in case.flows:
        if (
            group.tls
            and group.sni
            and group.end in {FlowEnd.RESET, FlowEnd.CLOSED}
            and not (group.sni.endswith(".invalid") or group.foreign_reset or group.early_reset or group.server in case.shut)
        ):
            text = f"{group.client} -> {group.server}: {hellos(group)} with server_name {group.sni}; turned away"
            names[group.sni].active.append(Evidence(source="capture", file=group.file, text=text))
    if case.logs is not None:
        for name, tally in sorted(case.logs.rejected_by_name.items(), key=lambda row: -row[1].count):
            sources = listed(case.logs.sources_by_name.get(name, {})) or "unknown sources"
            text = f"server name {name} matched no filter chain: {tally.count:,} times, from {sources}"
            names[name].log.append(Evidence(source="logs", text=text))
    return names


def _fix(case: Case, name: str, *, covered: bool) -> Fix:
    bare = name.removesuffix(".")
    return Fix(
        explanation="Look whether the route that has it is applied, on this ingress."
        if covered
        else f"Let the clients ask for {bare}, without the dot: no hostname has one."
        if bare != name and (not case.hostnames or covers(case.hostnames, bare))
        else f"Add {name} to the hostnames of its environment group, or correct the name in the client.",
        commands=(
            f"kubectl -n {shlex.quote(case.namespace)} get apigeeroutes -o custom-columns={_APPLIED if covered else _HOSTS}",
            Remedy(case).prove(),
        ),
    )


def _is_noise(case: Case, name: str) -> bool:
    """Whether those who ask for a name are as those who send none and are no client: public addresses that came a few times."""
    if case.logs is None:
        return False
    sources: dict[str, int] = dict(case.logs.sources_by_name.get(name, {}))
    return bool(sources) and all(kind_of(source, Tally(count=count))[0] is SourceKind.NOISE for source, count in sources.items())


def _refused_name(hello: Handshake) -> bool:
    """Whether the server itself said that it knows no such name (RFC 6066 §3)."""
    said = hello.observation.facts.tls_alert
    return hello.observation.outcome is Outcome.TLS_ALERT and said is not None and said.code == 112
