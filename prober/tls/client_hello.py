"""Building ClientHello messages from a profile (RFC 8446 §4.1.2).

Everything that two hellos of one profile have in common is laid out once; an `Offer` then costs a few microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.errors import PeerMisbehaved
from prober.tls.extensions import BODIES, extension, opaque8, opaque16, u16_list
from prober.tls.fingerprint import ja4
from prober.tls.key_exchange import PUBLIC_SIZES, Entropy, KeyShare, KeySharePool
from prober.tls.profiles import Padding, Profile
from prober.tls.registry import (
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
)
from prober.tls.server_name import host_name
from prober.tls.version_restriction import restricted

__all__ = ["HelloFactory", "Offer"]

_RANDOM_SIZE = 32
_RECORD_HEADER_SIZE = 5

# Where the parts of a hello that are never constant stand in a layout.
_RANDOM = 1
_SESSION_ID = 3


class _Layout(NamedTuple):
    """A hello in parts: constants, and empty places for what differs between two hellos."""

    parts: list[bytes]
    name_at: int
    """Place of the server name; 0 for none."""
    shares_at: tuple[int, ...]

    def fill(self, random: bytes, session_id: bytes, name: bytes, shares: Sequence[bytes]) -> bytes:
        """The whole record."""
        parts = self.parts.copy()
        parts[_RANDOM] = random
        parts[_SESSION_ID] = session_id
        if self.name_at:
            parts[self.name_at] = name
        for place, public in zip(self.shares_at, shares, strict=True):
            parts[place] = public
        return b"".join(parts)


class _Places:
    """Collects the parts of a layout, and remembers the places that are left open."""

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


class Offer:
    """One ClientHello, ready to be sent, and what is needed to understand the answer."""

    __slots__ = ("_ja4_key", "_name", "factory", "key_shares", "random", "server_name", "session_id", "wire")

    def __init__(
        self,
        factory: HelloFactory,
        wire: bytes,
        random: bytes,
        session_id: bytes,
        server_name: str | None,
        name: bytes,
        key_shares: tuple[KeyShare, ...],
    ) -> None:
        self.factory = factory
        self.wire = wire
        """The TLS record to send."""
        self.random = random
        self.session_id = session_id
        self.server_name = server_name
        """The name as it was asked for; None when the hello carries none."""
        self.key_shares = key_shares
        self._name = name

    @property
    def message(self) -> bytes:
        """The handshake message, its four-byte header included: what goes into the transcript hash."""
        return self.wire[_RECORD_HEADER_SIZE:]

    @property
    def ja4(self) -> str:
        """The JA4 of this very hello."""
        return self.factory.ja4_of_name(self._name)

    def retry(self, group: int | None, cookie: bytes | None) -> Offer:
        """The second ClientHello, after a HelloRetryRequest with this ``selected_group`` and this ``cookie`` (RFC 8446 §4.1.2).

        PeerMisbehaved when the request asks for nothing, for a group that was not offered, or for one whose share it has
        already (RFC 8446 §4.1.4, §4.2.8). The change_cipher_spec record of RFC 8446 §D.4 is the sender's business.
        """
        profile = self.factory.profile
        if ProtocolVersion.TLSv1_3 not in profile.versions:
            raise PeerMisbehaved("TLS 1.3 was not offered", message="HelloRetryRequest")
        if group is None and cookie is None:
            raise PeerMisbehaved("asks for no change of the ClientHello", message="HelloRetryRequest")
        shares = self.key_shares
        if group is not None:
            named = NamedGroup(group)
            if group not in self.factory.groups:
                raise PeerMisbehaved(f"asks for the group {named.name}, which was not offered", message="HelloRetryRequest")
            if any(share.group == group for share in shares):
                raise PeerMisbehaved(f"asks for the group {named.name}, whose share was sent", message="HelloRetryRequest")
            shares = (self.factory.pool.take(named),)
        # RFC 8446 §5.1: only the first hello may have another record version than 0x0303.
        layout = self.factory.layout(
            len(self._name), [share.group for share in shares], cookie=cookie or b"", record_version=ProtocolVersion.TLSv1_2
        )
        wire = layout.fill(self.random, self.session_id, self._name, [share.public for share in shares])
        return Offer(self.factory, wire, self.random, self.session_id, self.server_name, self._name, shares)


class HelloFactory:
    """Makes the hellos of one profile and one choice of version.

    VersionNotInProfile (a ValueError) when the profile cannot offer ``tls`` (``auto``, ``1.0`` ... ``1.3``).
    """

    def __init__(self, profile: Profile, *, tls: str = "auto", entropy: Entropy, pool: KeySharePool | None = None) -> None:
        self.profile = restricted(profile, tls)
        self.profile_name = profile.name
        self.tls = tls
        self.pool = KeySharePool(entropy) if pool is None else pool
        self.cipher_suites: frozenset[int] = frozenset(self.profile.cipher_suites)
        self.groups: frozenset[int] = frozenset(self.profile.groups)
        self.versions: frozenset[int] = frozenset(self.profile.versions)
        self.max_version = self.profile.max_version
        self.alpn = self.profile.alpn
        extensions: set[int] = set(self.profile.extensions)
        if CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in self.cipher_suites:
            extensions.add(ExtensionType.renegotiation_info)  # RFC 5746 §3.4: the SCSV asks for it too
        self.extensions: frozenset[int] = frozenset(extensions)
        """What a server may answer to."""
        self._entropy = entropy
        self._form = self.profile.server_name_form
        self._share_groups = self.profile.key_shares
        self._entropy_size = _RANDOM_SIZE + self.profile.session_id_size
        self._layouts: dict[int, _Layout] = {}
        self._ja4: dict[int, str] = {}

    def offer(self, server_name: str | None) -> Offer:
        """A fresh hello with this server name, or with none. BadServerName (a ValueError) for an impossible name."""
        name = b"" if server_name is None else host_name(self._form, server_name)
        layout = self._layouts.get(len(name))
        if layout is None:
            layout = self._layouts[len(name)] = self.layout(len(name), self._share_groups)
        entropy = self._entropy(self._entropy_size)
        random = entropy[:_RANDOM_SIZE]
        session_id = entropy[_RANDOM_SIZE:]
        take = self.pool.take
        shares = tuple([take(group) for group in self._share_groups])
        wire = layout.fill(random, session_id, name, [share.public for share in shares])
        return Offer(self, wire, random, session_id, server_name, name, shares)

    def ja4(self, has_sni: bool) -> str:
        """The JA4 of this factory's hellos with or without a server name (of a usual length: padding counts in JA4)."""
        return self.ja4_of_name(b"www.example.com" if has_sni else b"")

    def ja4_of_name(self, name: bytes) -> str:
        """The JA4 of a hello with this server name on the wire; ``b""`` is none. It depends on the name's length alone."""
        found = self._ja4.get(len(name))
        if found is None:
            found = self._ja4[len(name)] = ja4(parse_client_hello(self._blank(name)))
        return found

    def _blank(self, name: bytes) -> bytes:
        """The message with zeros for whatever is random: its shape without the price of keys."""
        layout = self.layout(len(name), self._share_groups)
        shares = [bytes(PUBLIC_SIZES[group]) for group in self._share_groups]
        return layout.fill(bytes(_RANDOM_SIZE), bytes(self.profile.session_id_size), name, shares)[_RECORD_HEADER_SIZE:]

    def layout(
        self, name_size: int, groups: Sequence[NamedGroup], cookie: bytes = b"", record_version: ProtocolVersion | None = None
    ) -> _Layout:
        """The places of a hello whose server name has ``name_size`` bytes (0: none), with one share of each of ``groups``."""
        profile = self.profile
        hello = _Places()
        # RFC 8446 §4.1.2
        hello.constant(profile.legacy_version.to_bytes(2))
        hello.open(_RANDOM_SIZE)
        hello.constant(profile.session_id_size.to_bytes(1))
        hello.open(profile.session_id_size)
        hello.constant(u16_list(profile.cipher_suites))
        hello.constant(opaque8(b"\x00"))  # compression: null alone
        block = _Places()
        name_at = 0
        shares_at: list[int] = []
        for kind in profile.extensions:
            if kind == ExtensionType.server_name:
                if name_size:
                    name_at = self._open_server_name(block, name_size)
            elif kind == ExtensionType.key_share:
                shares_at = self._open_key_share(block, groups)
                if cookie:
                    block.constant(extension(ExtensionType.cookie, opaque16(cookie)))
            elif kind != ExtensionType.padding:
                block.constant(extension(kind, BODIES[kind](profile)))
        if block.size:
            block.constant(_padding(profile.padding, 4 + hello.size + 2 + block.size))
            hello.constant(block.size.to_bytes(2))
        # The first part of the block continues the last of the hello.
        shift = len(hello.parts) - 1
        hello.constant(block.parts[0])
        parts = hello.parts + block.parts[1:]
        size = hello.size - len(block.parts[0]) + block.size
        handshake = HandshakeType.client_hello.to_bytes(1) + size.to_bytes(3)
        version = profile.record_version if record_version is None else record_version
        parts[0] = ContentType.handshake.to_bytes(1) + version.to_bytes(2) + (4 + size).to_bytes(2) + handshake + parts[0]
        return _Layout(parts, name_at + shift if name_at else 0, tuple(place + shift for place in shares_at))

    @staticmethod
    def _open_server_name(block: _Places, size: int) -> int:
        # RFC 6066 §3: a list of one host_name
        head = (
            ExtensionType.server_name.to_bytes(2) + (size + 5).to_bytes(2) + (size + 3).to_bytes(2) + b"\x00" + size.to_bytes(2)
        )
        block.constant(head)
        return block.open(size)

    @staticmethod
    def _open_key_share(block: _Places, groups: Sequence[NamedGroup]) -> list[int]:
        # RFC 8446 §4.2.8
        total = sum(4 + PUBLIC_SIZES[group] for group in groups)
        block.constant(ExtensionType.key_share.to_bytes(2) + (total + 2).to_bytes(2) + total.to_bytes(2))
        places = []
        for group in groups:
            block.constant(group.to_bytes(2) + PUBLIC_SIZES[group].to_bytes(2))
            places.append(block.open(PUBLIC_SIZES[group]))
        return places


def _padding(rule: Padding, size: int) -> bytes:
    """The padding extension that a message of ``size`` bytes needs. RFC 7685 §3; the arithmetic is OpenSSL's."""
    if rule is Padding.NONE or not 256 <= size <= 511:
        return b""
    return extension(ExtensionType.padding, bytes(max(0, 512 - size - 4)))
