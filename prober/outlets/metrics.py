"""Every metric that prober exports, once: name, type, labels, help.

The exporter renders by these tables, the collectors describe themselves by them, and the README's table is tested against them.
Pure data. Names ending in ``_total`` are counters; info metrics are gauges of value 1, as blackbox_exporter has them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["METRICS", "PROBE_METRICS", "SERVICE_METRICS", "TARGET_LABELS", "TARGET_METRICS", "Metric"]


class Metric(NamedTuple):
    """One metric family. ``labels`` are those that the family has beyond the target's own."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


TARGET_LABELS = ("target", "address")
"""Labels that every series of `TARGET_METRICS` has in front of its own; the target's configured labels follow them."""

_HELLO = ("server_name", "sni")

TARGET_METRICS: tuple[Metric, ...] = (
    Metric(
        "probe_success",
        "gauge",
        _HELLO,
        "Whether the last handshake read a certificate (1) or not (0); absent while the prober itself could not tell.",
    ),
    Metric(
        "probe_handshakes_total",
        "counter",
        (*_HELLO, "outcome"),
        "Handshakes since the endpoint is watched, by how they ended; an outcome appears when it first happens, certificate at once.",
    ),
    Metric(
        "probe_outcome_info",
        "gauge",
        (*_HELLO, "outcome", "stage", "tls_alert"),
        "How the last handshake ended, in which step, and with which TLS alert; value 1.",
    ),
    Metric(
        "probe_duration_seconds",
        "gauge",
        _HELLO,
        "Duration of the last handshake in seconds, all phases, up to the byte or event that decided its outcome.",
    ),
    Metric(
        "probe_duration_uncertainty_seconds",
        "gauge",
        _HELLO,
        "Seconds by which probe_duration_seconds may be too long; 0 where the kernel stamped the deciding byte.",
    ),
    Metric(
        "probe_phase_duration_seconds",
        "gauge",
        (*_HELLO, "phase"),
        "Duration of one phase of the last handshake in seconds; a phase that was not completed is absent.",
    ),
    Metric(
        "probe_non_sni_supported",
        "gauge",
        (),
        "Whether a client that sends no server name gets a certificate (1) or not (0); absent while nothing tells.",
    ),
    Metric("probe_verdict_info", "gauge", ("verdict",), "The current verdict about the endpoint; value 1."),
    Metric(
        "probe_fault_info",
        "gauge",
        ("fault",),
        "Each fault of the endpoint that its policy minds, also those behind the verdict; value 1, absent while all is well.",
    ),
    Metric(
        "probe_verdict_since_timestamp_seconds",
        "gauge",
        (),
        "Unix time in seconds since when the verdict is what it is.",
    ),
    Metric(
        "probe_verdict_expected",
        "gauge",
        (),
        "Whether the current verdict is what the target's policy asks for (1) or not (0).",
    ),
    Metric(
        "probe_last_run_timestamp_seconds",
        "gauge",
        _HELLO,
        "Unix time in seconds at which the last handshake was started.",
    ),
    Metric(
        "probe_ssl_earliest_cert_expiry",
        "gauge",
        _HELLO,
        "Unix time in seconds at which the first certificate of the presented chain expires.",
    ),
    Metric(
        "probe_tls_version_info",
        "gauge",
        (*_HELLO, "version"),
        "The TLS version that the server chose, for example TLS 1.3; value 1.",
    ),
    Metric(
        "probe_tls_cipher_info",
        "gauge",
        (*_HELLO, "cipher"),
        "The cipher suite that the server chose, by its IANA name; value 1.",
    ),
    Metric(
        "probe_ssl_last_chain_info",
        "gauge",
        (*_HELLO, "fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"),
        "The end-entity certificate that the server presented; value 1.",
    ),
    Metric(
        "probe_certificate_valid",
        "gauge",
        _HELLO,
        "Whether chain, name and dates of the presented certificate hold (1) or not (0); absent without a certificate to judge.",
    ),
    Metric(
        "probe_certificate_expiry_timestamp_seconds",
        "gauge",
        (),
        "Unix time in seconds at which the first certificate ends that clients rely on, as IngressCertificateExpiring counts it.",
    ),
)

PROBE_METRICS: tuple[Metric, ...] = (
    Metric("probe_success", "gauge", (), "Whether the verdict is what the target's policy asks for (1) or not (0)."),
    Metric(
        "probe_duration_seconds", "gauge", (), "Duration of the whole probe in seconds, resolution and all handshakes included."
    ),
    Metric("probe_dns_lookup_time_seconds", "gauge", (), "Duration of the name's resolution in seconds; 0 for an IP address."),
    Metric(
        "probe_ip_protocol", "gauge", (), "IP version of the address that was probed, 4 or 6; 0 when the name did not resolve."
    ),
    Metric("probe_ip_addr_hash", "gauge", (), "FNV-1a hash (32 bits) of the address that was probed, to notice when it changes."),
    Metric(
        "probe_ssl_earliest_cert_expiry",
        "gauge",
        (),
        "Unix time in seconds at which the first certificate of the presented chain expires.",
    ),
    Metric(
        "probe_ssl_last_chain_expiry_timestamp_seconds",
        "gauge",
        (),
        "Unix time in seconds until which the verified chain holds; absent when the chain does not verify.",
    ),
    Metric(
        "probe_ssl_last_chain_info",
        "gauge",
        ("fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"),
        "The end-entity certificate that the server presented; value 1.",
    ),
    Metric(
        "probe_tls_version_info", "gauge", ("version",), "The TLS version that the server chose, for example TLS 1.3; value 1."
    ),
    Metric("probe_tls_cipher_info", "gauge", ("cipher",), "The cipher suite that the server chose, by its IANA name; value 1."),
    Metric(
        "probe_failure_info",
        "gauge",
        ("reason",),
        "Why probe_success is 0: the verdict, one of a closed set; value 1, absent when the probe succeeded.",
    ),
    Metric(
        "probe_handshake_success",
        "gauge",
        ("sni",),
        "Whether every handshake with this kind of server name read a certificate (1) or not (0); absent while the prober could not tell.",
    ),
    Metric(
        "probe_outcome_info",
        "gauge",
        ("sni", "outcome", "stage", "tls_alert"),
        "How the handshake ended, in which step, and with which TLS alert; value 1.",
    ),
    Metric(
        "probe_non_sni_supported",
        "gauge",
        (),
        "Whether a client that sends no server name gets a certificate (1) or not (0); absent while nothing tells.",
    ),
    Metric("probe_verdict_info", "gauge", ("verdict",), "The verdict; value 1."),
)
"""What ``/probe`` answers, with blackbox_exporter's names and meanings as far as both measure the same thing."""

SERVICE_METRICS: tuple[Metric, ...] = (
    Metric(
        "prober_build_info",
        "gauge",
        ("version", "pythonversion"),
        "The version of prober and of the Python that runs it; value 1.",
    ),
    Metric(
        "prober_config_last_reload_successful",
        "gauge",
        (),
        "Whether the last attempt to load the configuration succeeded (1) or not (0).",
    ),
    Metric(
        "prober_config_last_reload_success_timestamp_seconds",
        "gauge",
        (),
        "Unix time in seconds at which a configuration was last loaded successfully.",
    ),
    Metric(
        "prober_web_config_last_reload_successful",
        "gauge",
        (),
        "Whether the web configuration file as it is now is used (1), or was refused and the one before serves on (0); 1 without one.",
    ),
    Metric("prober_targets", "gauge", ("source",), "Targets that are watched, by where they come from."),
    Metric("prober_endpoints", "gauge", (), "Endpoints (one address of one target) that have been judged."),
    Metric("prober_handshakes_in_flight", "gauge", (), "Handshakes that are in flight now."),
    Metric(
        "prober_schedule_lateness_seconds",
        "histogram",
        (),
        "How much later than due handshakes were started, in seconds; one observation a handshake.",
    ),
    Metric("prober_probes_skipped_total", "counter", ("reason",), "Differentials that were due and not run, by reason."),
    Metric(
        "prober_local_errors_total",
        "counter",
        ("errno",),
        "Handshakes that failed on this host and not at the ingress, by errno.",
    ),
    Metric(
        "prober_handshake_seconds", "histogram", ("sni", "outcome"), "Duration of scheduled handshakes in seconds, all phases."
    ),
    Metric(
        "prober_discovery_last_success_timestamp_seconds",
        "gauge",
        ("source",),
        "Unix time in seconds at which a discovery source last answered.",
    ),
    Metric(
        "prober_discovery_problems",
        "gauge",
        ("source",),
        "What a discovery source says that cannot be used, and what it cannot see; the log says what.",
    ),
    Metric(
        "prober_notifications_total", "counter", ("receiver", "result"), "Notifications that were tried, by receiver and result."
    ),
    Metric("prober_notification_queue_length", "gauge", (), "Notifications that wait for delivery."),
    Metric(
        "prober_state_errors_total",
        "counter",
        ("reason",),
        "Troubles with the state directory, by reason: corrupt and newer files are set aside, full and write keep it in memory, removed files are made anew.",
    ),
    Metric("prober_workers", "gauge", (), "Processes that run handshakes now; 1 where the service's own does."),
    Metric(
        "prober_worker_deaths_total",
        "counter",
        (),
        "Worker processes that ended unasked; each is started again, and its targets keep their last state meanwhile.",
    ),
    Metric("prober_state_unsaved_changes", "gauge", (), "Changes of verdicts and alerts that are not on disk yet."),
    Metric(
        "prober_shard_info",
        "gauge",
        ("shard", "shards"),
        "Which part of the targets this prober watches, from 0, of how many; value 1.",
    ),
    Metric(
        "prober_vantage_info",
        "gauge",
        ("vantage",),
        "Where this prober looks from, by its configuration; value 1, absent where nobody has said.",
    ),
    Metric(
        "prober_shards",
        "gauge",
        (),
        "How many parts the targets are split into, as this prober was told; one watches everything.",
    ),
)

METRICS: tuple[Metric, ...] = (*TARGET_METRICS, *SERVICE_METRICS)
"""Everything that ``/metrics`` answers, process_* and python_gc_* apart."""
