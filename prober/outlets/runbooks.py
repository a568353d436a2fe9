"""What each alert means and what to do about it: the page that ``runbook_url`` leads to unless ``runbook_base`` names another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prober.judge.alert_rules import RULES, AlertName

__all__ = ["COMMANDS", "OF_PROMETHEUS", "RUNBOOKS", "Runbook", "sections"]


class Runbook(NamedTuple):
    """One alert's section."""

    meaning: str
    impact: str
    diagnosis: tuple[str, ...]
    """In order; a step that begins with one of `COMMANDS` is a command, its words in capitals to be filled in."""
    fix: tuple[str, ...]


class Section(NamedTuple):
    """One section as the page shows it."""

    anchor: str
    name: str
    severity: str
    runbook: Runbook


COMMANDS = ("prober ", "kubectl ", "openssl ")

_ALL = "prober diagnose all --probe ADDRESS --server-name NAME --kubernetes"
_PROBE = "prober diagnose probe ADDRESS --server-name NAME"
_AGAIN = "prober once ADDRESS --server-name NAME"
_WITHOUT_CLUSTER = "Where the cluster cannot be asked from, give what there is instead of --kubernetes: --logs FILE, --capture FILE, --routes FILE, --overrides FILE."

RUNBOOKS: Mapping[AlertName, Runbook] = {
    AlertName.NON_SNI_FAILING: Runbook(
        "Clients with a known server name get their certificate; a client that sends none is reset, refused, left waiting, or gets a certificate that covers no known name.",
        "Clients without SNI (load balancers' health checks, old Java and .NET clients, clients that connect by IP address) fail; everybody else notices nothing.",
        (_ALL, _WITHOUT_CLUSTER, "It names the cause (no-wildcard, flag-off, not-linked, dangling and so on) with the evidence for and against it."),
        (
            "Apply the manifest, the change of overrides.yaml and the commands that it prints. Usually the wildcard route is missing: a host of * with enableNonSniClient, linked to the virtual host that is to serve them.",
            "prober diagnose probe ADDRESS --server-name NAME --http",
            "If clients without SNI are meant to be rejected, say so: expect: {non_sni: rejected} on the target.",
        ),
    ),
    AlertName.NON_SNI_SERVED: Runbook(
        "The target's policy says that clients without SNI are rejected, and one got a certificate.",
        "A route is open that should not be: clients reach a default virtual host.",
        ("prober diagnose all --probe ADDRESS --server-name NAME --http --kubernetes", "The certificate that was presented, and the answer to the request without a name, tell which virtual host serves them."),
        ("Take the wildcard host (*) off the route that was added, or its enableNonSniClient. If it is meant, set expect.non_sni of the target to certificate or any.",),
    ),
    AlertName.SNI_FAILING: Runbook(
        "A known server name gets no certificate, while another hello at the same address does.",
        "Clients of that name cannot connect.",
        (_ALL, _WITHOUT_CLUSTER),
        (
            "Put back the route for the name, or the Secret that its credentialName names; restart what has not loaded it.",
            "If the name has moved for good, take it out of the target's server_names.",
            _AGAIN,
        ),
    ),
    AlertName.TLS_DOWN: Runbook(
        "TCP connects, and no hello gets a certificate.",
        "Nobody can use the ingress over TLS.",
        (_ALL, "openssl s_client -connect ADDRESS -servername NAME -brief", "What answers instead (HTTP, a reset, silence) is in the first lines of both."),
        (
            "Not TLS at all: the Service's targetPort leads to a port without TLS, or the load balancer ends it. Silence: a firewall, or pods that hang. Resets: the certificate's Secret is missing, or no listener has a host. Broken behind the certificate: the key is another one's.",
            _AGAIN,
        ),
    ),
    AlertName.UNREACHABLE: Runbook(
        "No hello got a TCP connection, or the name does not resolve.",
        "Nobody can use the ingress, as far as the prober's network tells.",
        (_PROBE, "Which one is it: refused (nobody listens), connect_timeout (packets are dropped), unreachable (no route, or a firewall's refusal), resolve_failed (DNS)?", "kubectl get endpointslices -A -l kubernetes.io/service-name=SERVICE", "Ask from another place as well: the fault may lie between the prober and the ingress."),
        (
            "Refused: bring the pods behind the Service to readiness. Dropped or refused by a firewall: allow the prober's address. DNS: put the record right. An address that was given back: remove it from the target.",
            _AGAIN,
        ),
    ),
    AlertName.CERTIFICATE_EXPIRING: Runbook(
        "A certificate that clients rely on ends within the configured time (21 days by default).",
        "None yet; from its end on, clients refuse to connect.",
        (_PROBE, "It prints the days that are left of each certificate. An intermediate may end before the ingress's own."),
        ("Renew it. If it was renewed, the ingress has not loaded it: check the Secret that it reads, and restart what caches it.", _AGAIN),
    ),
    AlertName.CERTIFICATE_INVALID: Runbook(
        "A known name's certificate is expired, not yet valid, does not cover the name, or does not chain to the trust anchors.",
        "Clients that verify refuse to connect.",
        ("prober once ADDRESS --server-name NAME --verbose", "prober diagnose overrides FILE", "The summary says which of the four it is; the second command finds certificates that are given twice or not at all in overrides.yaml."),
        (
            "Expired: renew it. Other names: serve the name's own certificate, or add the name. Not trusted: add the intermediate to the chain; for a private authority, set the module's ca_file.",
            _AGAIN,
        ),
    ),
    AlertName.ADDRESSES_DISAGREE: Runbook(
        "The addresses of one target have different verdicts.",
        "Clients succeed or fail by chance, depending on the address that they get.",
        ("prober diagnose probe ADDRESS OTHER --server-name NAME", "Compare the addresses on the target's page, and since when each is as it is."),
        ("A rollout that stopped half-way is the usual reason: bring all to one state, or take the one that is behind out of DNS.",),
    ),
    AlertName.PROBER_LATE: Runbook(
        "Handshakes begin later than scheduled, or rounds are skipped.",
        "Verdicts are older than the interval says, and durations may include the prober's own delay.",
        ('Look at prober_schedule_lateness_seconds and prober_probes_skipped_total{reason="late"}, and at the CPU limit of the pod or unit: a throttled prober is late.',),
        ("Give it more CPU, raise the interval, or split the targets: --workers N on one machine, --shard N/M over several.",),
    ),
    AlertName.PROBER_LOCAL_ERRORS: Runbook(
        "Handshakes fail on the prober's own host: descriptors, ports, memory, or a bug.",
        "What they were to show is unknown; no alert about an ingress comes of them.",
        ("Look at prober_local_errors_total by errno, and at the log of the same time.",),
        ("EMFILE: raise the descriptor limit (LimitNOFILE, ulimits). EADDRNOTAVAIL: too many connections from one address; raise the interval, or split the targets with --shard. ENOBUFS, ENOMEM: more memory.",),
    ),
    AlertName.PROBER_RELOAD_FAILED: Runbook(
        "The last reload found errors in the configuration or the web configuration file; the one before is still running.",
        "Changes since then have no effect, and the next restart will fail.",
        ("prober check-config FILE", "The log has the same errors, with file, line and what to do."),
        ("Correct the file, and reload by SIGHUP or POST /-/reload.",),
    ),
}  # fmt: skip


OF_PROMETHEUS: Mapping[str, tuple[str, Runbook]] = {
    "ProberShardMissing": ("critical", Runbook(
        "Fewer shards answer than --shard N/M says that there are.",
        "Nobody watches the targets of those that are missing, and no alert comes from them.",
        (
            "The alert says which shards there are.",
            "kubectl get pods -A -l app.kubernetes.io/name=prober",
            "If it runs, Prometheus cannot scrape it: look at the target's error on Prometheus's status page, and at the network policy.",
        ),
        ("Bring the one that is missing back: kubectl describe says why it does not start. If the number of replicas was lowered, lower M in --shard with it.",),
    )),
    "ProberShardTwice": ("warning", Runbook(
        "Two probers watch the same shard.",
        "Its targets are probed twice as often; alerts are not doubled, but both probers tell webhooks of them. Usually another shard is missing.",
        ("The alert names the instances.", "kubectl get pods -A -l app.kubernetes.io/name=prober"),
        ("Give each its own N in --shard N/M, or stop one. Pods of a StatefulSet take theirs by --shard auto/M; those of a Deployment cannot.",),
    )),
    "ProberShardsDisagree": ("warning", Runbook(
        "Probers were told different numbers of shards.",
        "Some targets are watched twice, others by nobody.",
        ("Look at prober_shard_info: which instances have which number?",),
        ("Give all the same M in --shard N/M, the number of replicas; a rollout that stopped half-way is the usual reason.",),
    )),
}  # fmt: skip
"""Severity and runbook of alerts that only the rules for Prometheus have: no prober sees the others."""


def sections() -> tuple[Section, ...]:
    """All alerts, in the order of their tables."""
    own = (Section(name.lower(), name.value, rule.severity, RUNBOOKS[name]) for name, rule in RULES.items())
    others = (Section(name.lower(), name, severity, runbook) for name, (severity, runbook) in OF_PROMETHEUS.items())
    return (*own, *others)
