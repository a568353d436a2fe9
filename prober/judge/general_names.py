"""The names that certificates have beside their subject, and constraints are about (RFC 5280 §4.2.1.6)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from prober.judge import der
from prober.judge.names import parse_name, printable, rfc4514

__all__ = ["GeneralName", "Kind", "general_name"]


class Kind(IntEnum):
    """The alternatives of GeneralName by their context tag (RFC 5280 §4.2.1.6)."""

    OTHER_NAME = 0
    EMAIL = 1
    DNS = 2
    X400_ADDRESS = 3
    DIRECTORY_NAME = 4
    EDI_PARTY_NAME = 5
    URI = 6
    IP_ADDRESS = 7
    REGISTERED_ID = 8


class GeneralName(NamedTuple):
    """One name of an alternative-name extension; ``value`` is the contents octets."""

    kind: Kind
    value: bytes

    def __str__(self) -> str:
        match self.kind:
            case Kind.DNS | Kind.EMAIL | Kind.URI:
                return printable(self.value.decode("ascii", "backslashreplace"))
            case Kind.IP_ADDRESS:
                return str(ipaddress.ip_address(self.value)) if len(self.value) in {4, 16} else f"IP:#{self.value.hex()}"
            case Kind.DIRECTORY_NAME:
                return _or_hex("dirName", self.value, lambda: rfc4514(parse_name(der.only(self.value))))
            case Kind.REGISTERED_ID:
                return _or_hex("RID", self.value, lambda: der.dotted(self.value))
            case Kind.OTHER_NAME:
                return _or_hex("otherName", self.value, lambda: der.dotted(der.first(self.value).value))
            case Kind.X400_ADDRESS | Kind.EDI_PARTY_NAME:
                return f"{'x400Address' if self.kind is Kind.X400_ADDRESS else 'ediPartyName'}:#{self.value.hex()}"


def _or_hex(prefix: str, value: bytes, text: Callable[[], str]) -> str:
    try:
        return f"{prefix}:{text()}"
    except der.DerError:
        return f"{prefix}:#{value.hex()}"


def general_name(element: der.Element) -> GeneralName:
    """From its DER; DerError for a tag that is none of the nine."""
    number = element.tag & 0x1F
    if not element.tag & der.CONTEXT or number > Kind.REGISTERED_ID:
        raise der.DerError(f"no GeneralName: tag 0x{element.tag:02x} at offset {element.start}")
    return GeneralName(Kind(number), element.value)
