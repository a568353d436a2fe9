"""The layout of a ClientHello (RFC 8446 §4.1.2): constant parts, and open places for what differs between two hellos.

Laying out costs some 50 us and depends on the profile, the length of the server name and the groups of the key shares alone;
filling a layout costs 1 us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from prober.tls.extensions import BODIES, extension, opaque8, opaque16, u16_list
from prober.tls.key_exchange import PUBLIC_SIZES
from prober.tls.profile import Padding, Profile
from prober.tls.registry import ContentType, ExtensionType, HandshakeType, NamedGroup, ProtocolVersion

__all__ = ["MAX_FRAGMENT", "RANDOM_SIZE", "RECORD_HEADER_SIZE", "HelloLayout", "HelloTooLarge", "fragmented", "reassembled"]

RANDOM_SIZE = 32
RECORD_HEADER_SIZE = 5
MAX_FRAGMENT = 1 << 14
"""RFC 8446 §5.1."""

# The places that every layout has; the odd parts are open, the even ones constant.
_RANDOM = 1
_SESSION_ID = 3


class HelloTooLarge(ValueError):
    """The extensions do not fit into their vector: only a cookie of nearly 64 KiB can do that."""


class HasPublic(Protocol):
    """What a layout needs of a key share."""

    @property
    def public(self) -> bytes:
        """The ``key_exchange`` of RFC 8446 §4.2.8."""


class _Parts:
    """Collects the parts of a layout, and the places that are left open."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = [b""]
        self.size = 0

    def constant(self, data: bytes) -> None:
        self.parts[-1] += data
        self.size += len(data)

    def open(self, size: int) -> int:
        self.parts += [b"", b""]
        self.size += size
        return len(self.parts) - 2


class HelloLayout:
    """A ClientHello record with open places for random, session id, server name and key shares."""

    __slots__ = ("_name_at", "_parts", "_shares_at")

    def __init__(
        self,
        profile: Profile,
        name_size: int,
        groups: Sequence[NamedGroup],
        *,
        record_version: ProtocolVersion,
        cookie: bytes = b"",
    ) -> None:
        """Lay out a hello with a server name of ``name_size`` bytes (0: none), one share a group, and a cookie if there is one.

        HelloTooLarge when the cookie leaves no room.
        """
        block = _Parts()
        name_at = 0
        shares_at: list[int] = []
        for kind in profile.extensions:
            if kind == ExtensionType.server_name:
                if name_size:
                    name_at = _open_server_name(block, name_size)
            elif kind == ExtensionType.key_share:
                shares_at = _open_key_shares(block, groups)
                if len(cookie) + 2 >= 1 << 16:
                    raise HelloTooLarge(f"a cookie of {len(cookie)} bytes does not fit into its extension")
                if cookie:
                    block.constant(extension(ExtensionType.cookie, opaque16(cookie)))
            elif kind != ExtensionType.padding:
                block.constant(extension(kind, BODIES[kind](profile)))
        hello = _Parts()
        hello.constant(profile.legacy_version.to_bytes(2))
        hello.open(RANDOM_SIZE)
        hello.constant(profile.session_id_size.to_bytes(1))
        hello.open(profile.session_id_size)
        hello.constant(u16_list(profile.cipher_suites) + opaque8(b"\x00"))  # of the compression methods, null alone
        if block.size:
            # RFC 7685 §3: last, so that it fills what the others left.
            block.constant(_padding(profile.padding, 4 + hello.size + 2 + block.size))
            if block.size >= 1 << 16:
                raise HelloTooLarge(f"the extensions of the ClientHello would have {block.size} bytes")
            hello.constant(block.size.to_bytes(2))
        size = hello.size + block.size
        handshake = HandshakeType.client_hello.to_bytes(1) + size.to_bytes(3)
        fragment = min(4 + size, MAX_FRAGMENT)
        record = ContentType.handshake.to_bytes(1) + record_version.to_bytes(2) + fragment.to_bytes(2)
        hello.parts[0] = record + handshake + hello.parts[0]
        shift = len(hello.parts) - 1
        hello.parts[-1] += block.parts[0]
        self._parts = hello.parts + block.parts[1:]
        self._name_at = name_at and name_at + shift
        self._shares_at = tuple(place + shift for place in shares_at)

    def fill(self, entropy: bytes, name: bytes, shares: Iterable[HasPublic]) -> bytes:
        """The record (for a hello over 16 KiB: what `fragmented` must still split).

        ``entropy`` is the random followed by the session id; ``name`` and ``shares`` have the sizes that were laid out.
        """
        parts = self._parts.copy()
        parts[_RANDOM] = entropy[:RANDOM_SIZE]
        parts[_SESSION_ID] = entropy[RANDOM_SIZE:]
        if name:
            parts[self._name_at] = name
        for place, share in zip(self._shares_at, shares):  # noqa: B905 - strict costs 0.1 us, and both come from one profile
            parts[place] = share.public
        return b"".join(parts)


def fragmented(record: bytes) -> bytes:
    """``record`` as records of at most 16 KiB. Only a cookie can make a hello that long."""
    head, message = record[:3], record[RECORD_HEADER_SIZE:]
    fragments = (message[start : start + MAX_FRAGMENT] for start in range(0, len(message), MAX_FRAGMENT))
    return b"".join(head + opaque16(fragment) for fragment in fragments)


def reassembled(wire: bytes) -> bytes:
    """The handshake message of one or more records."""
    if len(wire) <= RECORD_HEADER_SIZE + MAX_FRAGMENT:
        return wire[RECORD_HEADER_SIZE:]
    step = RECORD_HEADER_SIZE + MAX_FRAGMENT
    return b"".join(wire[start + RECORD_HEADER_SIZE : start + step] for start in range(0, len(wire), step))


# RFC 6066 §3: a list of one host_name
def _open_server_name(block: _Parts, size: int) -> int:
    block.constant(ExtensionType.server_name.to_bytes(2) + (size + 5).to_bytes(2))
    block.constant((size + 3).to_bytes(2) + b"\x00" + size.to_bytes(2))
    return block.open(size)


# RFC 8446 §4.2.8
def _open_key_shares(block: _Parts, groups: Sequence[NamedGroup]) -> list[int]:
    total = sum(4 + PUBLIC_SIZES[group] for group in groups)
    block.constant(ExtensionType.key_share.to_bytes(2) + (total + 2).to_bytes(2) + total.to_bytes(2))
    places = []
    for group in groups:
        block.constant(group.to_bytes(2) + PUBLIC_SIZES[group].to_bytes(2))
        places.append(block.open(PUBLIC_SIZES[group]))
    return places


def _padding(rule: Padding, size: int) -> bytes:
    """The padding extension of a message that has ``size`` bytes without it; its arithmetic is OpenSSL's (512 to 515 bytes)."""
    if rule is Padding.NONE or not 256 <= size <= 511:
        return b""
    return extension(ExtensionType.padding, bytes(max(0, 512 - size - 4)))
