"""``/probe``: one differential now, by blackbox_exporter's contract.

Whoever scrapes blackbox_exporter's ``/probe`` changes the port and the module, and keeps dashboards and alerts. What is different
by intention: ``probe_success`` means that the verdict is as expected, only permitted addresses are reached, the TLS metrics are
there also when the certificate does not verify, and the number of probes at a time is bounded.

Of a name's addresses the first permitted one is probed, as blackbox_exporter probes one; a configured target watches all of them.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import fields

import yaml
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from prober.addresses import parse_address, parse_server_name
from prober.model import Differential, Handshake, Module, Outcome, Sni
from prober.operations import Operations, ProbeAnswer, ProbeRefused, ProbeRequest
from prober.outlets.exposition import EOF, Exposition, choose_exposition, encode, header, labels_text, sample
from prober.outlets.metrics import PROBE_METRICS
from prober.outlets.target_lines import chain_labels, earliest_expiry, version_label

__all__ = ["ProbeEndpoint", "ip_address_hash", "probe_timeout"]

SCRAPE_OFFSET_SECONDS = 0.5
"""The answer must reach Prometheus before its scrape timeout, or the result is lost."""

MAX_CONCURRENT = 200
"""Probes at a time; the others are told to come again. Prometheus spreads its targets over the interval, but when many time out at once,
which is when it matters, each takes as long as its timeout: 600 targets, probed every 15 s with 5 s each, are 200 at a time. It leaves
some of the server's connections to those who look at the status page and at ``/metrics``."""


class ProbeEndpoint:
    """The ASGI-independent part is in functions below; this is the request and its errors."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._running = 0

    async def probe(self, request: Request) -> Response:
        """Answer one GET."""
        try:
            wanted = self._read(request)
        except ValueError as error:
            return _text(f"{error}\n", 400)
        if self._running >= MAX_CONCURRENT:
            return _text(f"{self._running} probes are running, which is the limit; try again\n", 503, {"Retry-After": "1"})
        self._running += 1
        try:
            answer = await self._operations.probe(wanted)
        finally:
            self._running -= 1
        if isinstance(answer, ProbeRefused):
            return _text(f"{answer.reason}\n", 403)
        values = probe_samples(answer)
        if request.query_params.get("debug") == "true":
            return _text(debug_text(wanted, answer, values))
        exposition = choose_exposition(request.headers.get("accept", ""))
        return Response(render_samples(values, exposition), headers={"Content-Type": exposition.content_type, "Vary": "Accept"})

    def _read(self, request: Request) -> ProbeRequest:
        """The request's parameters; ``ValueError`` says what is wrong with them."""
        query = request.query_params
        for name in ("target", "module", "hostname"):
            if len(query.getlist(name)) > 1:
                raise ValueError(f"the parameter {name} is given more than once")
        if not query.get("target"):
            raise ValueError("the parameter target is missing: /probe?target=NAME[:PORT]")
        name = query.get("module") or "default"
        module = self._operations.modules.get(name)
        if module is None:
            raise ValueError(f"unknown module {name!r}; there are: {', '.join(sorted(self._operations.modules))}")
        hostname = query.get("hostname")
        return ProbeRequest(
            address=parse_address(query["target"]),
            module=module,
            hostname=parse_server_name(hostname) if hostname else None,
            timeout=probe_timeout(module.timeout, request.headers.get("x-prometheus-scrape-timeout-seconds")),
        )


DEFAULT_TIMEOUT_SECONDS = 5.0


def probe_timeout(module_timeout: float | None, scrape_timeout: str | None) -> float:
    """Seconds for a probe: the module's, or less where Prometheus waits less.

    A header that is no positive number is ignored, rather than failing the scrape. One of half a second or less leaves half of itself.
    """
    longest = module_timeout or DEFAULT_TIMEOUT_SECONDS
    try:
        waits = float(scrape_timeout) if scrape_timeout is not None else math.inf
    except ValueError:
        return longest
    if not waits > 0:
        return longest
    return min(longest, waits - SCRAPE_OFFSET_SECONDS if waits > SCRAPE_OFFSET_SECONDS else waits / 2)


def ip_address_hash(ip: str) -> int:
    """FNV-1a with 32 bits over the address's octets, as blackbox_exporter takes it."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    value = 0x811C9DC5
    for octet in address.packed:
        value = (value ^ octet) * 0x01000193 & 0xFFFFFFFF
    return value


Samples = Mapping[str, list[tuple[Mapping[str, str], float]]]
"""Labels and value of each sample, by metric name."""


def probe_samples(answer: ProbeAnswer) -> Samples:
    """Everything that ``/probe`` measures, by the names of `PROBE_METRICS`."""
    differential, judgement = answer.differential, answer.judgement
    expected = judgement.expected
    supported = judgement.non_sni_supported
    endpoint = differential.endpoint
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {
        "probe_success": [({}, int(expected))],
        "probe_duration_seconds": [({}, answer.seconds)],
        "probe_dns_lookup_time_seconds": [({}, answer.resolve_seconds)],
        "probe_ip_protocol": [({}, 0 if endpoint is None else _ip_version(endpoint.ip))],
        "probe_ip_addr_hash": [] if endpoint is None else [({}, ip_address_hash(endpoint.ip))],
        "probe_failure_info": [] if expected else [({"reason": judgement.verdict}, 1)],
        "probe_handshake_success": _success_by_sni(differential),
        "probe_outcome_info": _outcomes(differential),
        "probe_non_sni_supported": [] if supported is None else [({}, int(supported))],
        "probe_verdict_info": [({"verdict": judgement.verdict}, 1)],
    }
    return samples | _tls_samples(answer)


def _tls_samples(answer: ProbeAnswer) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """What blackbox_exporter says of its one handshake: here of the first that read a certificate, known names first."""
    answers = zip(answer.differential.handshakes, answer.judgement.handshakes, answer.verified_until, strict=True)
    for handshake, judged, verified_until in answers:
        if not judged.certificates:
            continue
        facts = handshake.observation.facts
        expires = earliest_expiry(judged.certificates)
        verified = verified_until.timestamp() if verified_until is not None and judged.certificate_valid else None
        return {
            "probe_ssl_earliest_cert_expiry": [] if expires is None else [({}, expires)],
            "probe_ssl_last_chain_expiry_timestamp_seconds": [] if verified is None else [({}, verified)],
            "probe_ssl_last_chain_info": [(chain_labels(judged.certificates[0]), 1)],
            "probe_tls_version_info": [({"version": version_label(facts.tls_version)}, 1)] if facts.tls_version else [],
            "probe_tls_cipher_info": [({"cipher": facts.cipher_suite}, 1)] if facts.cipher_suite else [],
        }
    return {}


def _success_by_sni(differential: Differential) -> list[tuple[Mapping[str, str], float]]:
    """One sample a kind of server name: several known names must all succeed."""
    outcomes: dict[Sni, list[Outcome]] = {}
    for handshake in differential.handshakes:
        outcomes.setdefault(handshake.sni, []).append(handshake.observation.outcome)
    return [
        ({"sni": sni}, int(all(outcome is Outcome.CERTIFICATE for outcome in of_sni)))
        for sni, of_sni in outcomes.items()
        if Outcome.LOCAL_ERROR not in of_sni
    ]


def _outcomes(differential: Differential) -> list[tuple[Mapping[str, str], float]]:
    """One sample a hello; known names that ended alike are one series."""
    labels = {
        (
            handshake.sni,
            observation.outcome,
            observation.stage,
            observation.facts.tls_alert.description if observation.facts.tls_alert else "",
        )
        for handshake in differential.handshakes
        for observation in (handshake.observation,)
    }
    return [
        ({"sni": sni, "outcome": outcome, "stage": stage, "tls_alert": alert}, 1) for sni, outcome, stage, alert in sorted(labels)
    ]


def _ip_version(ip: str) -> int:
    return 6 if ":" in ip else 4


def render_samples(samples: Samples, exposition: Exposition) -> bytes:
    """The samples as text, in the table's order."""
    lines: list[str] = []
    for metric in PROBE_METRICS:
        of_metric = samples.get(metric.name)
        if of_metric:
            lines.append(header(metric.name, metric.kind, metric.help, openmetrics=exposition.openmetrics))
            lines += [sample(metric.name, labels_text(labels), value) for labels, value in of_metric]
    return encode("".join(lines)) + (EOF if exposition.openmetrics else b"")


def debug_text(wanted: ProbeRequest, answer: ProbeAnswer, samples: Samples) -> str:
    """What ``debug=true`` shows: how the probe went, what it measured, and how it was told to probe."""
    log = "\n".join(_log(wanted, answer))
    metrics = render_samples(samples, choose_exposition("")).decode()
    shown = {field.name: _plain(getattr(wanted.module, field.name)) for field in fields(Module)}
    module = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)
    return f"Logs for the probe:\n{log}\n\n\n\nMetrics that would have been returned:\n{metrics}\n\n\nModule configuration:\n{module}"


def _log(wanted: ProbeRequest, answer: ProbeAnswer) -> list[str]:
    differential = answer.differential
    names = ", ".join(answer.target.server_names) or "none"
    lines = [f"target={wanted.address} module={wanted.module.name} timeout={wanted.timeout:g}s known_names={names!r}"]
    if differential.endpoint is None:
        lines.append(f"{wanted.address.host!r} did not resolve ({answer.resolve_seconds:.6f} s)")
    else:
        lines.append(f"resolved {wanted.address.host!r} to {differential.endpoint} ({answer.resolve_seconds:.6f} s)")
    lines += [_log_line(handshake) for handshake in differential.handshakes]
    lines.append(f"verdict={answer.judgement.verdict} expected={str(answer.judgement.expected).lower()} ({answer.seconds:.6f} s)")
    lines.append(answer.judgement.summary)
    return lines


def _log_line(handshake: Handshake) -> str:
    observation = handshake.observation
    facts, seconds = observation.facts, observation.seconds
    said = {
        "sni": handshake.sni,
        "server_name": handshake.server_name,
        "hello": handshake.profile,
        "ja4": handshake.ja4,
        "outcome": observation.outcome,
        "stage": observation.stage,
        "errno": observation.errno,
        "tls_alert": facts.tls_alert.description if facts.tls_alert else None,
        "close": observation.close,
        "bytes_received": observation.bytes_received,
        "tls_version": facts.tls_version,
        "cipher_suite": facts.cipher_suite,
        "group": facts.group,
        "connect": seconds.connect,
        "handshake": seconds.handshake,
        "total": seconds.total,
        "detail": observation.detail,
    }
    return " ".join(f"{name}={_logged(value)}" for name, value in said.items() if value is not None)


def _logged(value: object) -> str:
    """Unquoted where it is one plain word; a detail may hold whatever a peer sent."""
    text = f"{value:.6f}s" if isinstance(value, float) else str(value)
    return text if text.isascii() and text.isprintable() and " " not in text and '"' not in text else repr(text)


def _plain(value: object) -> object:
    """A value as YAML writes it: enumerations and tuples become what people type."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, str) else value


def _text(content: str, status: int = 200, headers: Mapping[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(content, status, dict(headers or {}))
