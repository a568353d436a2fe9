"""Access-log lines as real ingresses and log transports write them; addresses and names are from documentation ranges."""

from __future__ import annotations

import json

ENTRY: dict[str, object] = {
    "apigee_dynamic_data": None,
    "bytes_received": 0,
    "bytes_sent": 0,
    "host": None,
    "remote_address": "203.0.113.17:40112",
    "request": "- - -",
    "request_id": None,
    "request_method": None,
    "request_path": None,
    "request_protocol": None,
    "request_time": 3,
    "sni_host": None,
    "start_time": "2026-03-02T09:15:04.251Z",
    "status": 0,
    "status_details": "filter_chain_not_found",
    "tls_protocol": None,
    "upstream_address": None,
    "upstream_cluster": None,
    "upstream_response_flags": "NR",
    "upstream_response_time": None,
    "upstream_service_time": None,
    "user_agent": None,
    "x_forwarded_for": None,
}
"""A rejected client without a name, in the typed dialect: the 23 keys of Apigee hybrid's format."""


def entry(**changes: object) -> dict[str, object]:
    """The rejected entry with some of its values changed."""
    return {**ENTRY, **changes}


def typed(**changes: object) -> str:
    """One line of the typed dialect."""
    return json.dumps(entry(**changes))


def strings(**changes: object) -> str:
    """One line of the dialect in which every value is a string."""
    return json.dumps({key: "-" if value is None else str(value) for key, value in entry(**changes).items()})


ISTIO_TEXT = (
    '[2026-03-02T09:15:03.541Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 1 - "-" "-" "-" "-" "-" - - '
    "192.0.2.9:8443 203.0.113.17:40100 - -"
)
POD = "apigee-ingressgateway-edge-a-acme-hyb-1f2e3d4-x7k2p"


def cloud_logging(payload: dict[str, object]) -> dict[str, object]:
    """A Cloud Logging entry around a payload; numbers become floats on the way."""
    return {
        "insertId": "q1w2e3",
        "timestamp": "2026-03-02T09:16:00.148Z",
        "resource": {"type": "k8s_container", "labels": {"namespace_name": "apigee", "pod_name": POD}},
        "jsonPayload": {key: float(value) if isinstance(value, int) else value for key, value in payload.items()},
    }
