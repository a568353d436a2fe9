"""ClientHellos to send: a factory for each profile and choice of version, and the offers that it makes."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.errors import PeerMisbehaved
from prober.tls.facts import TranscriptEntry
from prober.tls.fingerprint import ja4 as ja4_of
from prober.tls.hello_layout import (
    MAX_FRAGMENT,
    RANDOM_SIZE,
    RECORD_HEADER_SIZE,
    HelloLayout,
    HelloTooLarge,
    fragmented,
    reassembled,
)
from prober.tls.key_exchange import PUBLIC_SIZES, Entropy, KeyShare, KeySharePool, require_group, supports
from prober.tls.known_flights import KnownFlights
from prober.tls.profile import Profile
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion
from prober.tls.server_name import encode_server_name, host_name
from prober.tls.version_restriction import TLS12_GROUPS, restricted

__all__ = ["HelloFactory", "HelloSummary", "Offer"]

_RANDOM_AT = RECORD_HEADER_SIZE + 4 + 2
_SESSION_ID_AT = _RANDOM_AT + RANDOM_SIZE + 1

_TYPICAL_NAME = b"www.example.com"


class Offer:
    """One ClientHello, ready to be sent, and what is needed to understand the answer."""

    __slots__ = ("factory", "ja4", "key_shares", "name", "server_name", "wire")

    def __init__(
        self, factory: HelloFactory, wire: bytes, server_name: str | None, name: bytes, key_shares: tuple[KeyShare, ...], ja4: str
    ) -> None:
        self.factory = factory
        self.ja4 = ja4
        """The JA4 of this very hello."""
        self.wire = wire
        """The TLS record to send (records, where a server's cookie made the hello longer than 16 KiB)."""
        self.server_name = server_name
        """The name as it was asked for, before the profile wrote it in its way; None when the hello carries none."""
        self.key_shares = key_shares
        self.name = name
        """The ``HostName`` that is sent, as the profile writes it; empty when the hello carries none."""

    def __repr__(self) -> str:
        return f"<Offer {self.factory.profile_name} {self.server_name or 'without name'}, {len(self.wire)} bytes>"

    # What few callers ask for is cut out of `wire` when they do: making an offer is the hot path.

    @property
    def message(self) -> bytes:
        """The handshake message, its four-byte header included: what goes into the transcript hash."""
        return reassembled(self.wire)

    @property
    def random(self) -> bytes:
        """``ClientHello.random``, 32 bytes."""
        return self.wire[_RANDOM_AT : _RANDOM_AT + RANDOM_SIZE]

    @property
    def session_id(self) -> bytes:
        """``ClientHello.legacy_session_id``, which a TLS 1.3 server echoes; empty where the profile sends none."""
        return self.wire[_SESSION_ID_AT : _SESSION_ID_AT + self.factory.profile.session_id_size]

    @property
    def follows_layout(self) -> bool:
        """Whether it is what its factory's layout for this name comes to: the first hello of a handshake is, a second one is not."""
        layout = self.factory.layout_of(self.name)
        return layout.fill(self.random + self.session_id, self.name, self.key_shares) == self.wire

    @property
    def extensions(self) -> frozenset[int]:
        """The extension types that a server may answer to."""
        return self.factory.extensions if self.name else self.factory.extensions_without_name

    def retry(self, group: int | None, cookie: bytes | None) -> Offer:
        """The second ClientHello, after a HelloRetryRequest with this ``selected_group`` and this ``cookie`` (RFC 8446 §4.1.2).

        PeerMisbehaved when the request asks for nothing, for a group that was not offered, or for one whose share it has
        already (RFC 8446 §4.1.4, §4.2.8). The change_cipher_spec record of RFC 8446 §D.4 is the sender's business.
        """
        factory = self.factory
        if ProtocolVersion.TLSv1_3 not in factory.versions:
            raise _bad_request("TLS 1.3 was not offered")
        if group is None and not cookie:
            raise _bad_request("asks for no change of the ClientHello")
        shares = self.key_shares
        if group is not None:
            named = NamedGroup(group)
            if group not in factory.groups or group in TLS12_GROUPS:
                raise _bad_request(f"asks for the group {named.name}, which was not offered for TLS 1.3")
            if any(share.group == group for share in shares):
                raise _bad_request(f"asks for the group {named.name}, whose share was sent")
            shares = (factory.pool.take(named),)
        try:
            layout = HelloLayout(
                factory.profile,
                len(self.name),
                [share.group for share in shares],
                # RFC 8446 §5.1: only the first hello may have another record version.
                record_version=ProtocolVersion.TLSv1_2,
                cookie=cookie or b"",
            )
        except HelloTooLarge as error:
            raise _bad_request(f"its cookie cannot be returned: {error}") from error
        wire = layout.fill(self.random + self.session_id, self.name, shares)
        if len(wire) > RECORD_HEADER_SIZE + MAX_FRAGMENT:
            wire = fragmented(wire)
        return Offer(factory, wire, self.server_name, self.name, shares, self.ja4)


def _bad_request(reason: str) -> PeerMisbehaved:
    return PeerMisbehaved(reason, message="HelloRetryRequest")


class _BlankShare(NamedTuple):
    public: bytes


class _Shape(NamedTuple):
    """What hellos with names of one size have in common."""

    layout: HelloLayout
    ja4: str
    size: int
    """Bytes of the record."""


class HelloSummary(NamedTuple):
    """A profile in one line of ``--hello list``. Sizes are bytes of the whole record."""

    name: str
    description: str
    ja4_without_name: str
    ja4_with_name: str
    size_without_name: int
    size_with_name: int


class HelloFactory:
    """Makes the hellos of one profile and one choice of version; build it once.

    VersionNotInProfile when the profile cannot offer ``tls`` (``auto``, ``1.0`` ... ``1.3``), GroupNotSupported when it sends
    a key share that this installation cannot make; both are ValueErrors for the operator.
    """

    def __init__(self, profile: Profile, *, tls: str = "auto", entropy: Entropy, pool: KeySharePool | None = None) -> None:
        narrowed = restricted(profile, tls)
        for group in narrowed.key_shares:
            require_group(group)
        # A group that only a HelloRetryRequest would bring into play is not worth failing for: it is not offered.
        self.profile = replace(narrowed, groups=tuple(group for group in narrowed.groups if supports(group)))
        self.profile_name = profile.name
        self.tls = tls
        self.pool = KeySharePool(entropy) if pool is None else pool
        self.cipher_suites: frozenset[int] = frozenset(self.profile.cipher_suites)
        self.groups: frozenset[int] = frozenset(self.profile.groups)
        self.versions: frozenset[int] = frozenset(self.profile.versions)
        self.max_version = self.profile.max_version
        self.alpn = self.profile.alpn
        answerable: set[int] = set(self.profile.extensions)
        if CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in self.cipher_suites:
            answerable.add(ExtensionType.renegotiation_info)  # RFC 5746 §3.4: the SCSV asks for it too
        self.extensions: frozenset[int] = frozenset(answerable)
        """The extension types that a server may answer to when a name is sent."""
        self.extensions_without_name: frozenset[int] = self.extensions - {ExtensionType.server_name}
        self._share_groups = self.profile.key_shares
        self.entropy = entropy
        """Also what the handshake draws from for its own keys, where the server chooses the group (TLS <= 1.2)."""
        self._entropy_size = RANDOM_SIZE + self.profile.session_id_size
        self._plain_name = encode_server_name if self.profile.server_name_form == "host_name" else self._altered_name
        self.known_flights = KnownFlights()
        """What servers said to these hellos, for `flight_key`s that come again."""
        self.described: dict[int, TranscriptEntry] = {}
        """For `describe_offer`: a hello with a name of this size, decoded for people."""
        self._shapes: dict[int, _Shape] = {}
        """By the size of the server name; at most 255 of them."""

    def _altered_name(self, server_name: str) -> bytes:
        return host_name(self.profile.server_name_form, server_name)

    def offer(self, server_name: str | None) -> Offer:
        """A fresh hello with this server name, or with none. BadServerName (a ValueError) for an impossible name."""
        name = b"" if server_name is None else self._plain_name(server_name)
        layout, ja4, _ = self._shapes.get(len(name)) or self._lay_out(name)
        shares = tuple(map(self.pool.take, self._share_groups))
        wire = layout.fill(self.entropy(self._entropy_size), name, shares)
        return Offer(self, wire, server_name, name, shares, ja4)

    def layout_of(self, name: bytes) -> HelloLayout:
        """The layout of hellos with this name, or with one that is as long."""
        return (self._shapes.get(len(name)) or self._lay_out(name)).layout

    def _lay_out(self, name: bytes) -> _Shape:
        """The shape of hellos with names of this size, made when it is first needed."""
        profile = self.profile
        layout = HelloLayout(profile, len(name), profile.key_shares, record_version=profile.record_version)
        record = self._blank(layout, name)
        shape = self._shapes[len(name)] = _Shape(layout, ja4_of(parse_client_hello(record[RECORD_HEADER_SIZE:])), len(record))
        return shape

    def _blank(self, layout: HelloLayout, name: bytes) -> bytes:
        """A record with zeros for all that is random, so that nobody pays for keys."""
        shares = [_BlankShare(bytes(PUBLIC_SIZES[group])) for group in self._share_groups]
        return layout.fill(bytes(self._entropy_size), name, shares)

    def ja4(self, has_sni: bool) -> str:
        """The JA4 of a hello with a server name of usual length, or with none. `Offer.ja4` is exact for any length.

        The length counts where it decides on padding, which is an extension that JA4 counts.
        """
        return self._usual(has_sni).ja4

    def _usual(self, has_sni: bool) -> _Shape:
        name = _TYPICAL_NAME if has_sni else b""
        return self._shapes.get(len(name)) or self._lay_out(name)

    def describe(self) -> HelloSummary:
        """What ``--hello list`` prints about this profile."""
        return HelloSummary(
            name=self.profile_name,
            description=self.profile.description,
            ja4_without_name=self.ja4(False),
            ja4_with_name=self.ja4(True),
            size_without_name=self._usual(False).size,
            size_with_name=self._usual(True).size,
        )
