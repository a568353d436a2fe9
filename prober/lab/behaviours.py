"""What a rehearsal listener does to a client, as a table: one row a behaviour.

A listener serves its own names properly, whatever its behaviour says, unless the row says ``everyone``: the incidents that
prober is for hit only the clients that send no name, or a name that nobody serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BEHAVIOURS", "Action", "Behaviour", "find"]


class Action(StrEnum):
    """What happens to the clients that a behaviour is about."""

    SERVE = "serve"
    RESET_UNREAD = "reset_unread"
    """Close with the ClientHello unread: the kernel sends RST, as for Envoy without a matching filter chain."""
    FIN = "fin"
    """Read the ClientHello, then close in order."""
    TLS_ALERT = "tls_alert"
    SILENT = "silent"
    DRIBBLE = "dribble"
    """A correct flight, one byte at a time, slower than any deadline."""
    PLAIN_HTTP = "plain_http"
    REFUSE = "refuse"
    """The port is bound and not listening: the kernel answers the SYN with RST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One row: what is done, to whom, with which certificate."""

    name: str
    action: Action
    everyone: bool = False
    """Also the clients that ask for a name that is served."""
    certificate: str = "good"
    """``good``, ``other`` (another name's) or ``expired``: what SERVE and DRIBBLE present to the clients concerned."""
    tls_alert: int = 0
    """AlertDescription for TLS_ALERT."""
    http_status: int = 200
    """What an HTTP request gets after the handshake, from the clients concerned."""
    meaning: str
    """One line for people: which real ingress does this."""


_ROWS = (
    Behaviour(name="healthy", action=Action.SERVE, meaning="default certificate for every client, as with a wildcard route"),
    Behaviour(
        name="envoy-reset",
        action=Action.RESET_UNREAD,
        meaning="RST to clients without a served name, as Envoy, Istio and Apigee hybrid",
    ),
    Behaviour(
        name="not-linked",
        action=Action.SERVE,
        http_status=404,
        meaning="default certificate, then HTTP 404: the wildcard route is not in additionalGateways",
    ),
    Behaviour(
        name="wrong-certificate",
        action=Action.SERVE,
        certificate="other",
        meaning="clients without a served name get another name's",
    ),
    Behaviour(
        name="expired-certificate",
        action=Action.SERVE,
        everyone=True,
        certificate="expired",
        meaning="everybody gets a certificate that expired yesterday",
    ),
    Behaviour(
        name="alert-112", action=Action.TLS_ALERT, tls_alert=112, meaning="alert unrecognized_name, as nginx ssl_reject_handshake"
    ),
    Behaviour(name="alert-40", action=Action.TLS_ALERT, tls_alert=40, meaning="alert handshake_failure, as many CDNs"),
    Behaviour(name="fin", action=Action.FIN, meaning="FIN without a byte, as an SNI router behind a TCP proxy"),
    Behaviour(name="silent", action=Action.SILENT, meaning="connects, then never answers clients without a served name"),
    Behaviour(name="dribble", action=Action.DRIBBLE, meaning="answers clients without a served name one byte at a time"),
    Behaviour(
        name="reset-all", action=Action.RESET_UNREAD, everyone=True, meaning="RST to everybody: overload or PROXY mismatch"
    ),
    Behaviour(name="plain-http", action=Action.PLAIN_HTTP, everyone=True, meaning="HTTP on the TLS port"),
    Behaviour(name="refuse", action=Action.REFUSE, everyone=True, meaning="nothing listens"),
)

BEHAVIOURS: dict[str, Behaviour] = {row.name: row for row in _ROWS}


def find(name: str) -> Behaviour:
    """The behaviour called ``name``; ValueError that lists the names when there is none."""
    try:
        return BEHAVIOURS[name]
    except KeyError:
        raise ValueError(f"no behaviour is called {name!r}; there are {', '.join(BEHAVIOURS)}") from None
