"""What each alert means and what to do first: the page that ``runbook_url`` leads to unless ``runbook_base`` names another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prober.judge.alert_rules import RULES, AlertName

__all__ = ["OF_PROMETHEUS", "RUNBOOKS", "Runbook", "sections"]


class Runbook(NamedTuple):
    """One alert's section."""

    meaning: str
    impact: str
    steps: tuple[str, ...]
    """In order; a step that begins with ``prober`` is a command."""


class Section(NamedTuple):
    """One section as the page shows it."""

    anchor: str
    name: str
    severity: str
    runbook: Runbook


_BOTH = "prober once ADDRESS --server-name NAME --verbose"

RUNBOOKS: Mapping[AlertName, Runbook] = {
    AlertName.NON_SNI_FAILING: Runbook(
        "Clients with a known server name get their certificate; a client that sends none is reset, refused, left waiting, or gets a certificate that covers no known name.",
        "Clients without SNI (load balancers' health checks, old Java and .NET clients, clients that connect by IP address) fail; everybody else notices nothing.",
        (
            _BOTH,
            "prober diagnose all --probe ADDRESS --server-name NAME --kubernetes",
            "Usually the wildcard route is missing: a host of * with enableNonSniClient, linked to the virtual host that is to serve them.",
        ),
    ),
    AlertName.NON_SNI_SERVED: Runbook(
        "The target's policy says that clients without SNI are rejected, and one got a certificate.",
        "A route is open that should not be: clients reach a default virtual host.",
        (_BOTH, "Look for a wildcard route that was added lately; if it is meant, set expect.non_sni to certificate or any."),
    ),
    AlertName.SNI_FAILING: Runbook(
        "A known server name gets no certificate, while another hello at the same address does.",
        "Clients of that name cannot connect.",
        (_BOTH, "Check that the name's route and certificate are still configured, and that the ingress has loaded them."),
    ),
    AlertName.TLS_DOWN: Runbook(
        "TCP connects, and no hello gets a certificate.",
        "Nobody can use the ingress over TLS.",
        (_BOTH, "Check that the port speaks TLS, that its certificate's secret exists, and the ingress's own log."),
    ),
    AlertName.UNREACHABLE: Runbook(
        "No hello got a TCP connection, or the name does not resolve.",
        "Nobody can use the ingress, as far as the prober's network tells.",
        ("prober once ADDRESS", "Check DNS, the load balancer, firewalls, and whether the pods behind the service are ready."),
    ),
    AlertName.CERTIFICATE_EXPIRING: Runbook(
        "A certificate that clients rely on ends within the configured time (21 days by default).",
        "None yet; from its end on, clients refuse to connect.",
        (
            "prober once ADDRESS --server-name NAME",
            "Renew it. If it was renewed, the ingress has not loaded it: check the secret that it reads, and restart what caches it.",
        ),
    ),
    AlertName.CERTIFICATE_INVALID: Runbook(
        "A known name's certificate is expired, not yet valid, does not cover the name, or does not chain to the trust anchors.",
        "Clients that verify refuse to connect.",
        (_BOTH, "The summary says which. For a private authority, set the module's ca_file; an incomplete chain lacks an intermediate."),
    ),
    AlertName.ADDRESSES_DISAGREE: Runbook(
        "The addresses of one target have different verdicts.",
        "Clients succeed or fail by chance, depending on the address that they get.",
        ("Compare the addresses on the target's page.", "A rollout that stopped half-way is the usual reason: bring them to one state."),
    ),
    AlertName.PROBER_LATE: Runbook(
        "Handshakes begin later than scheduled, or rounds are skipped.",
        "Verdicts are older than the interval says, and durations may include the prober's own delay.",
        ("Look at prober_schedule_lateness_seconds and the CPU limit.", "Give it more CPU, raise the interval, or split the targets with --shard."),
    ),
    AlertName.PROBER_LOCAL_ERRORS: Runbook(
        "Handshakes fail on the prober's own host: descriptors, ports, memory, or a bug.",
        "What they were to show is unknown; no alert about an ingress comes of them.",
        ("Look at prober_local_errors_total by errno and at the log.", "EMFILE: raise the descriptor limit; EADDRNOTAVAIL: too many connections from one address."),
    ),
    AlertName.PROBER_RELOAD_FAILED: Runbook(
        "The last reload found errors in the configuration or the web configuration file; the one before is still running.",
        "Changes since then have no effect, and the next restart will fail.",
        ("prober check-config FILE --web.config.file FILE", "Correct the file, and reload by SIGHUP or POST /-/reload."),
    ),
}  # fmt: skip


OF_PROMETHEUS: Mapping[str, tuple[str, Runbook]] = {
    "ProberShardMissing": ("critical", Runbook(
        "Fewer shards answer than --shard N/M says that there are.",
        "Nobody watches the targets of those that are missing, and no alert comes from them.",
        (
            "The alert says which shards there are. In Kubernetes: kubectl get pods -l app.kubernetes.io/name=prober; describe the one that is missing.",
            "If it runs, Prometheus cannot scrape it: look at the target's error on Prometheus's status page, and at the network policy.",
            "If the number of replicas was lowered, lower M in --shard with it.",
        ),
    )),
    "ProberShardTwice": ("warning", Runbook(
        "Two probers watch the same shard.",
        "Its targets are probed twice as often; alerts are not doubled, but both probers tell webhooks of them. Usually another shard is missing.",
        ("The alert names the instances.", "Give each its own N in --shard N/M, or stop one. Pods of a StatefulSet take theirs by --shard auto/M; those of a Deployment cannot."),
    )),
    "ProberShardsDisagree": ("warning", Runbook(
        "Probers were told different numbers of shards.",
        "Some targets are watched twice, others by nobody.",
        ("Look at prober_shard_info: which instances have which number?", "Give all the same M in --shard N/M, the number of replicas; a rollout that stopped half-way is the usual reason."),
    )),
}  # fmt: skip
"""Severity and runbook of alerts that only the rules for Prometheus have: no prober sees the others."""


def sections() -> tuple[Section, ...]:
    """All alerts, in the order of their tables."""
    own = (Section(name.lower(), name.value, rule.severity, RUNBOOKS[name]) for name, rule in RULES.items())
    others = (Section(name.lower(), name, severity, runbook) for name, (severity, runbook) in OF_PROMETHEUS.items())
    return (*own, *others)
