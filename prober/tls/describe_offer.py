"""Our own ClientHello decoded for people, without parsing it again.

Of an ingress that has begun to fail every hello is shown, and when a whole fleet fails at once, decoding them took three times as
long as the handshakes themselves. But all hellos of one layout differ in what the layout leaves open, and of that three lines are
shown: so one of them is decoded, and the others say the same around their own three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prober.tls.client_hello_parser import printable
from prober.tls.describe import describe_sent
from prober.tls.facts import TranscriptEntry
from prober.tls.registry import ExtensionType

if TYPE_CHECKING:
    from prober.tls.client_hello import Offer

__all__ = ["describe_offer"]

_SERVER_NAME = ExtensionType.server_name.name


def describe_offer(offer: Offer) -> TranscriptEntry:
    """The same as `describe_sent` says of the message."""
    if not offer.follows_layout:
        return describe_sent(offer.message)  # a second hello: it answers to one server
    known = offer.factory.described
    entry = known.get(len(offer.name))
    if entry is None:
        entry = known[len(offer.name)] = describe_sent(offer.message)
        return entry
    own = {
        "random": offer.random.hex(),
        "legacy_session_id": offer.session_id.hex() or "empty",
        _SERVER_NAME: printable(offer.name),
    }
    return entry._replace(lines=tuple([_line(line, own) for line in entry.lines]))


def _line(line: str, own: dict[str, str]) -> str:
    field, _, _ = line.partition(": ")
    return f"{field}: {own[field]}" if field in own else line
