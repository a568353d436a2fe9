"""Reading DER (X.690), tolerantly: enough for certificates, with errors that say where.

Why not `cryptography.x509`: it refuses a certificate as a whole, or all of its extensions, for one flaw, and warns on the side.
A prober must say what is wrong and still show the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

__all__ = [
    "BIT_STRING",
    "BOOLEAN",
    "CONSTRUCTED",
    "CONTEXT",
    "INTEGER",
    "OBJECT_IDENTIFIER",
    "OCTET_STRING",
    "SEQUENCE",
    "SET",
    "DerError",
    "Element",
    "bit_string",
    "children",
    "dotted",
    "first",
    "integer",
    "is_whole_time",
    "only",
    "time",
]

# X.690 §8.1.2, universal tags as they appear on the wire.
BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31
CONTEXT = 0x80
CONSTRUCTED = 0x20


class DerError(ValueError):
    """Bytes that are no DER, or not the structure that the RFC gives. The text says what, and at which offset."""


class Element(NamedTuple):
    """One tag-length-value within ``data``: ``start`` is its tag's offset, ``body`` its value's, ``stop`` the end of both."""

    data: bytes
    tag: int
    start: int
    body: int
    stop: int

    @property
    def value(self) -> bytes:
        """The contents, without tag and length."""
        return self.data[self.body : self.stop]

    @property
    def encoding(self) -> bytes:
        """Tag, length and contents."""
        return self.data[self.start : self.stop]

    def expect(self, tag: int, what: str) -> Element:
        """Self, if it has the tag; DerError otherwise."""
        if self.tag != tag:
            raise DerError(f"{what}: expected tag 0x{tag:02x}, got 0x{self.tag:02x} at offset {self.start}")
        return self


def _element(data: bytes, start: int, end: int) -> Element:
    if start + 2 > end:
        raise DerError(f"truncated at offset {start}")
    tag = data[start]
    if tag & 0x1F == 0x1F:
        raise DerError(f"a tag number above 30 at offset {start}")
    length = data[start + 1]
    body = start + 2
    if length >= 0x80:
        octets = length & 0x7F
        if octets == 0:
            raise DerError(f"an indefinite length at offset {start}")
        if octets > 4 or body + octets > end:
            raise DerError(f"a length that does not fit at offset {start}")
        length = int.from_bytes(data[body : body + octets], "big")
        body += octets
    stop = body + length
    if stop > end:
        raise DerError(f"{length} bytes announced at offset {start}, {end - body} there")
    return Element(data, tag, start, body, stop)


def only(data: bytes) -> Element:
    """The one element that ``data`` is. Bytes after it are an error."""
    element = _element(data, 0, len(data))
    if element.stop != len(data):
        raise DerError(f"{len(data) - element.stop} bytes after the end")
    return element


def first(data: bytes) -> Element:
    """The element at the start of ``data``, whatever follows it."""
    return _element(data, 0, len(data))


def children(element: Element) -> Iterator[Element]:
    """The elements that a constructed element holds."""
    data, at, stop = element.data, element.body, element.stop
    while at < stop:
        child = _element(data, at, stop)
        at = child.stop
        yield child


def integer(element: Element) -> int:
    """An INTEGER of any size and sign."""
    element.expect(INTEGER, "integer")
    if element.body == element.stop:
        raise DerError(f"an empty integer at offset {element.start}")
    # X.690 §8.3.2: the first nine bits are never all the same. OpenSSL and Go read no certificate with such a number in it.
    if element.stop - element.body > 1 and int.from_bytes(element.value[:2]) >> 7 in {0, 0x1FF}:
        raise DerError(f"a padded integer at offset {element.start}")
    return int.from_bytes(element.value, "big", signed=True)


def bit_string(element: Element) -> bytes:
    """The octets of a BIT STRING; unused bits are as they come."""
    element.expect(BIT_STRING, "bit string")
    if element.body == element.stop or element.data[element.body] > 7:
        raise DerError(f"a malformed bit string at offset {element.start}")
    return element.data[element.body + 1 : element.stop]


def dotted(oid: bytes) -> str:
    """The dotted decimal form of an object identifier's contents octets (X.690 §8.19)."""
    if not oid or oid[-1] & 0x80 or len(oid) > 64:
        raise DerError("a malformed object identifier")
    arcs: list[int] = []
    value = 0
    for octet in oid:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    root = min(arcs[0] // 40, 2)
    return ".".join(map(str, (root, arcs[0] - 40 * root, *arcs[1:])))


def time(element: Element) -> datetime:
    """A UTCTime or GeneralizedTime, in UTC (RFC 5280 §4.1.2.5); absent seconds, fractions and offsets are read, too."""
    text = element.value.decode("latin-1")
    if element.tag == UTC_TIME:
        # RFC 5280 §4.1.2.5.1: 50 to 99 are in the twentieth century.
        century = "19" if text[:2] >= "50" else "20"
        text = century + text
    elif element.tag != GENERALIZED_TIME:
        raise DerError(f"expected a time, got tag 0x{element.tag:02x} at offset {element.start}")
    digits = len(text) - len(text.lstrip("0123456789"))
    stamp, rest = text[:digits], text[digits:]
    if rest[:1] in {".", ","}:
        rest = rest[1:].lstrip("0123456789")
    try:
        zone = UTC if rest in {"", "Z"} else _offset(rest)
        fields = (
            int(stamp[0:4]),
            int(stamp[4:6]),
            int(stamp[6:8]),
            int(stamp[8:10]),
            int(stamp[10:12]),
            int(stamp[12:14] or "0"),
        )
        if len(stamp) not in {12, 14}:
            raise DerError(f"a time of {digits} digits")
        return datetime(*fields, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        shown = text.encode("unicode_escape").decode()[:40]
        raise DerError(f"no date: {shown!r} ({error})") from error


# RFC 5280 §4.1.2.5.1, §4.1.2.5.2: with seconds, in UTC, and without fractions.
_WHOLE_TIMES = {UTC_TIME: re.compile(rb"[0-9]{12}Z"), GENERALIZED_TIME: re.compile(rb"[0-9]{14}Z")}


def is_whole_time(element: Element) -> bool:
    """Whether a time that `time` reads has the one form that certificates may have it in."""
    return _WHOLE_TIMES[element.tag].fullmatch(element.value) is not None


def _offset(text: str) -> timezone:
    sign = {"+": 1, "-": -1}.get(text[0])
    if sign is None or len(text) != 5:
        raise DerError(f"no time zone: {text[:8]!r}")
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[3:5])))
