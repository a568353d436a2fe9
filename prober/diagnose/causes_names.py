"""The cause that lies in a name: clients ask for one that no route has, or that its route does not serve. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from prober.diagnose.case import Case, found
from prober.diagnose.evidence import FlowEnd, is_reset
from prober.diagnose.fixes import Remedy
from prober.diagnose.hostnames import covers, near_miss
from prober.diagnose.logs import SourceKind, Tally, kind_of
from prober.diagnose.wording import hellos, listed, probe_evidence, reads_right
from prober.findings import Evidence, Finding, Fix, Severity
from prober.model import Handshake, Outcome, Verdict

__all__ = ["unknown_name"]

_HOSTS = "NAME:.metadata.name,HOSTS:.spec.hostnames"
_APPLIED = f"{_HOSTS},STATE:.status.state,GENERATION:.metadata.generation,APPLIED:.status.lastAppliedGeneration"


def unknown_name(case: Case) -> Iterator[Finding]:
    """Clients ask for a name that no route has: a hostname is missing, or the client has it wrong."""
    seen: dict[str, tuple[list[Evidence], list[Evidence]]] = {}
    unknown_to_server: set[str] = set()
    for probe in case.probes:
        for hello in probe.known:
            refused = _refused_name(hello)
            if hello.server_name and (is_reset(hello) or refused) and Verdict.UNREACHABLE not in probe.judgement.faults:
                if case.hostnames and covers(case.hostnames, hello.server_name):
                    continue
                if not refused and not case.hostnames and not probe.accepts and Verdict.SNI_FAILING not in probe.judgement.faults:
                    continue  # everybody is reset: that is no matter of this name
                if refused:
                    unknown_to_server.add(hello.server_name)
                seen.setdefault(hello.server_name, ([], []))[0].append(probe_evidence(probe))
    for group in case.flows:
        if (
            group.tls
            and group.sni
            and group.end in {FlowEnd.RESET, FlowEnd.CLOSED}
            and not (group.sni.endswith(".invalid") or group.foreign_reset or group.early_reset or group.server in case.shut)
        ):
            text = f"{group.client} -> {group.server}: {hellos(group)} with server_name {group.sni}; turned away"
            seen.setdefault(group.sni, ([], []))[0].append(Evidence(source="capture", file=group.file, text=text))
    for name, tally in sorted(() if case.logs is None else case.logs.rejected_by_name.items(), key=lambda row: -row[1].count):
        assert case.logs is not None
        sources = [source for source, _ in case.logs.sources_by_name.get(name, {}).items()]
        text = f"server name {name} matched no filter chain: {tally.count:,} times, from {listed(sources) or 'unknown sources'}"
        seen.setdefault(name, ([], []))[1].append(Evidence(source="logs", text=text))
    for name, (active, log) in list(seen.items())[:10]:
        covered = covers(case.hostnames, name)
        config = []
        if case.hostnames and not covered:
            config = [Evidence(source="routes", text=f"no route has {name}; hostnames are {listed(case.hostnames)}")]
        against: list[Evidence] = []
        if covered:
            against = [Evidence(source="routes", text=f"a route has a hostname that covers {name}: it may not be applied")]
        elif name not in unknown_to_server:
            # Istio makes of host '*' a filter chain for every name, and not only for none.
            against = [reads_right(route) for route in case.working_wildcards]
        near = near_miss(name, case.hostnames)
        missing = "the ingress turns them away, although a route has that name" if covered else "no route serves that name"
        noise = not active and not covered and not near and _is_noise(case, name)
        scanner = " They are single public addresses that came a few times: internet noise." if noise else ""
        yield found(
            "unknown-name",
            f"Clients ask for {name}, and {missing}{near}.{scanner}",
            active=active,
            config=config if active or log else (),
            log=log,
            against=against,
            severity=None if active else Severity.INFO if noise else Severity.WARNING,
            fix=Fix(
                explanation="Look whether the route that has it is applied, on this ingress."
                if covered
                else f"Let the clients ask for {name.removesuffix('.')}, without the dot: no hostname has one."
                if name.endswith(".") and (not case.hostnames or covers(case.hostnames, name.removesuffix(".")))
                else f"Add {name} to the hostnames of its environment group, or correct the name in the client.",
                commands=(
                    f"kubectl -n {shlex.quote(case.namespace)} get apigeeroutes -o custom-columns={_APPLIED if covered else _HOSTS}",
                    Remedy(case).prove(),
                ),
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
