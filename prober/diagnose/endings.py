"""How a captured connection ended, as far as the capture shows it: who said what first, and what is not known. Pure."""

from __future__ import annotations

from prober.diagnose.capture_facts import Ending
from prober.diagnose.tcp_flows import Flow
from prober.tls.registry import AlertDescription

__all__ = ["ending_of"]


def ending_of(flow: Flow, waited: bool) -> tuple[Ending, str | None]:
    """The ending, and the name of the TLS alert if it is one; ``waited``: the capture went on long enough to call silence that."""
    if flow.one_sided:
        return Ending.UNKNOWN, None
    kind, tls_alert = flow.answer()
    if tls_alert is not None:
        return Ending.TLS_ALERT, AlertDescription(tls_alert[1]).name
    if kind == "certificate":
        return Ending.CERTIFICATE, None
    if kind == "server_hello":
        return Ending.ANSWERED, None
    if kind == "other":
        return Ending.OTHER, None
    if flow.gap or (flow.first_answer_time is not None and not flow.to_client.data):
        # It answered, and the capture lost that: whatever came behind it says nothing of the hello.
        return Ending.UNKNOWN, None
    # A RST behind the server's FIN answers what the client sent to a closed connection.
    if flow.server_rst and not flow.server_fin and not flow.rst_behind_fin:
        return (Ending.RESET_BY_SERVER if flow.hello_acknowledged else Ending.RESET_BEFORE_ACK), None
    if flow.server_fin:
        return (Ending.ABORTED_BY_CLIENT if flow.client_ended_first else Ending.CLOSED_BY_SERVER), None
    if flow.client_fin or flow.client_rst:
        return Ending.ABORTED_BY_CLIENT, None
    return (Ending.UNANSWERED if waited else Ending.UNKNOWN), None
