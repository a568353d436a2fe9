"""What a ClientHello profile is: the shape of a hello, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme
from prober.tls.server_name import ServerNameForm

__all__ = ["Padding", "Profile"]


class Padding(StrEnum):
    """RFC 7685 padding."""

    NONE = "none"
    OUT_OF_256_TO_511 = "out_of_256_to_511"
    """A hello of 256 to 511 bytes is padded to 512: F5 load balancers of old took such a length for SSLv2 and hung (RFC 7685 §1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The shape of a ClientHello: everything but random, session id, key shares and server name.

    All sequences are in wire order. Extensions whose content is fixed by RFC have no field of their own.
    """

    name: str
    description: str
    versions: tuple[ProtocolVersion, ...]
    """In order of preference. ``supported_versions`` is sent where `extensions` has it."""
    cipher_suites: tuple[CipherSuite, ...]
    extensions: tuple[ExtensionType, ...]
    """``server_name`` is left out of a hello without a name, ``padding`` where none is needed."""
    groups: tuple[NamedGroup, ...] = ()
    key_shares: tuple[NamedGroup, ...] = ()
    signature_schemes: tuple[SignatureScheme, ...] = ()
    record_version: ProtocolVersion = ProtocolVersion.TLSv1_0
    """In the record header of the first hello (RFC 8446 §5.1 wants 0x0301 there)."""
    session_id_size: int = 32
    """32 is the middlebox compatibility of RFC 8446 §D.4."""
    point_formats: tuple[int, ...] = (0, 1, 2)
    alpn: tuple[str, ...] = ()
    psk_modes: tuple[int, ...] = (1,)
    record_size_limit: int = 0x4001
    padding: Padding = Padding.NONE
    server_name_form: ServerNameForm = ServerNameForm.HOST_NAME

    @property
    def max_version(self) -> ProtocolVersion:
        """The highest version offered."""
        return max(self.versions)

    @property
    def legacy_version(self) -> ProtocolVersion:
        """``ClientHello.legacy_version``: TLS 1.3 calls itself 1.2 there (RFC 8446 §4.1.2)."""
        return min(self.max_version, ProtocolVersion.TLSv1_2)
