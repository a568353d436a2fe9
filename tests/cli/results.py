"""Result objects as `prober.report` builds them, made by hand: what the renderers are shown."""

from __future__ import annotations

from typing import Any

CANARY = "probe-3f2a9b1c77d04e51.invalid"


def certificate(subject: str = "CN=api-test.example.com", **changes: Any) -> dict[str, Any]:
    """An end-entity certificate that is valid from 2026-01-01 to 2027-01-23."""
    return {
        "subject": subject,
        "issuer": "CN=Example CA,O=Example",
        "subject_alternative_names": ["api-test.example.com"],
        "serial_number": "0badcafe",
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2027-01-23T12:00:00Z",
        "sha256": "ab" * 32,
        **changes,
    }


def handshake(sni: str = "known", outcome: str = "certificate", **changes: Any) -> dict[str, Any]:
    """One hello that got a certificate over TLS 1.3, or, for another outcome, no byte at all."""
    answered = outcome == "certificate"
    names = {"known": "api-test.example.com", "none": None, "unknown": CANARY}
    return {
        "sni": sni,
        "server_name": names[sni],
        "outcome": outcome,
        "stage": "certificate" if answered else "client_hello",
        "errno": "ECONNRESET" if outcome == "reset" else None,
        "close": "rst" if outcome == "reset" else "none",
        "bytes_received": 1790 if answered else 0,
        "tls_alert": None,
        "warning_alerts": [],
        "tls_version": "TLSv1.3" if answered else None,
        "cipher_suite": "TLS_AES_128_GCM_SHA256" if answered else None,
        "group": "x25519" if answered else None,
        "alpn": None,
        "client_certificate_requested": False,
        "hello_retry_request": False,
        "certificates": [certificate()] if answered else [],
        "certificate_valid": True if answered else None,
        "certificate_problems": [],
        "detail": None,
        "hello": {"profile": "modern", "ja4": "t13d311300_e8f1e7e78f70_375ca2c5e164"},
        "seconds": {"resolve": 0.0, "connect": 0.0004, "handshake": 0.0119 if answered else 0.0005, "total": 0.0123},
        **changes,
    }


def result(*handshakes: dict[str, Any], verdict: str = "non_sni_reset", **changes: Any) -> dict[str, Any]:
    """One address: by default the missing wildcard route of the playbook."""
    return {
        "target": "api-test.example.com",
        "address": "203.0.113.10",
        "port": 443,
        "verdict": verdict,
        "faults": [] if verdict in {"ok", "inconclusive"} else [verdict],
        "expected": verdict == "ok",
        "summary": (
            "Clients that send no server name are reset before a byte of TLS (as Envoy without a matching filter chain does):"
            " add a wildcard route or a default certificate."
        ),
        "handshakes": list(handshakes) or [handshake(), handshake("none", "reset"), handshake("unknown", "reset")],
        **changes,
    }
