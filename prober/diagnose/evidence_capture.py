"""What a capture showed, in the terms of the evidence: connections that are alike counted together. Pure."""

from __future__ import annotations

from collections import Counter

from prober.diagnose.capture_facts import CapturedHello, CaptureFacts, Ending
from prober.diagnose.evidence import FlowEnd, FlowGroup
from prober.tls.registry import AlertDescription

__all__ = ["flow_groups"]

MAX_GROUPS = 5_000
"""A capture of internet noise has a client a line; what is beyond these is in the capture's own counters.

Those without a name, which the diagnosis is about, come first: one new client among ten thousand others is the usual case."""

_ENDS = {
    Ending.ANSWERED: FlowEnd.CERTIFICATE,
    Ending.CERTIFICATE: FlowEnd.CERTIFICATE,
    Ending.TLS_ALERT: FlowEnd.ALERT,
    Ending.RESET_BY_SERVER: FlowEnd.RESET,
    Ending.RESET_BEFORE_ACK: FlowEnd.RESET,
    Ending.CLOSED_BY_SERVER: FlowEnd.CLOSED,
    Ending.ABORTED_BY_CLIENT: FlowEnd.CLIENT_LEFT,
    Ending.UNANSWERED: FlowEnd.SILENT,
    Ending.OTHER: FlowEnd.OTHER,
    Ending.UNKNOWN: FlowEnd.SILENT,
}


def flow_groups(file: str, facts: CaptureFacts) -> tuple[FlowGroup, ...]:
    """The connections of one capture: those that ask for no name first, then the most frequent ones."""
    counted = Counter(_group(file, hello) for hello in facts.hellos)
    for (client, protocol), times in facts.not_tls.items():
        counted[FlowGroup(file, client, "the TLS port", False, None, FlowEnd.OTHER, spoken=protocol)] += times
    for client, times in facts.sslv2.items():
        counted[FlowGroup(file, client, "the TLS port", True, None, FlowEnd.OTHER)] += times
    rows = sorted(counted.items(), key=lambda row: (row[0].sni is not None, -row[1]))
    return tuple(group._replace(times=times) for group, times in rows[:MAX_GROUPS])


def _group(file: str, hello: CapturedHello) -> FlowGroup:
    return FlowGroup(
        file=file,
        client=hello.client,
        server=str(hello.to),
        tls=True,
        sni=hello.server_name,
        end=_ENDS[hello.ending],
        alert=_code(hello.tls_alert),
        early_reset=hello.ending is Ending.RESET_BEFORE_ACK,
        foreign_reset=hello.rst_ttl_differs,
        odd_reset=hello.rst_options_differ,
        answered_http=hello.answered_http,
    )


def _code(name: str | None) -> int | None:
    return next((alert.value for alert in AlertDescription if alert.name == name), None)
