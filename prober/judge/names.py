"""Distinguished names: as text (RFC 4514), and in the form in which they are compared (RFC 5280 §7.1)."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from prober.judge import der

__all__ = [
    "COMMON_NAME",
    "ORGANIZATION",
    "ORGANIZATIONAL_UNIT",
    "Attribute",
    "Rdn",
    "canonical",
    "misencoded",
    "parse_name",
    "printable",
    "rfc4514",
]

COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
ORGANIZATION = bytes.fromhex("55040a")  # 2.5.4.10
ORGANIZATIONAL_UNIT = bytes.fromhex("55040b")  # 2.5.4.11

# RFC 4514 §3 has the first nine; the others are registered LDAP descriptors (IANA "LDAP Parameters", RFC 4519, RFC 5280
# appendix A), which RFC 4514 §2.3 allows. Any other type is written as its dotted decimal form with a hexadecimal value.
_SHORT_NAMES = {
    COMMON_NAME: "CN",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    ORGANIZATION: "O",
    ORGANIZATIONAL_UNIT: "OU",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550409"): "STREET",
    bytes.fromhex("0992268993f22c640119"): "DC",
    bytes.fromhex("0992268993f22c640101"): "UID",
    bytes.fromhex("550404"): "sn",
    bytes.fromhex("550405"): "serialNumber",
    bytes.fromhex("55040c"): "title",
    bytes.fromhex("55040d"): "description",
    bytes.fromhex("55040f"): "businessCategory",
    bytes.fromhex("550411"): "postalCode",
    bytes.fromhex("55042a"): "givenName",
    bytes.fromhex("55042b"): "initials",
    bytes.fromhex("55042c"): "generationQualifier",
    bytes.fromhex("55042e"): "dnQualifier",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
}

# X.680 §8, string types and how their octets are read.
_CODECS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString: what everybody reads it as
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}

# The types whose octets encode Unicode. Those of the others are taken as they come.
_UNICODE = {0x0C, 0x1C, 0x1E}


class Attribute(NamedTuple):
    """One attribute of a relative distinguished name. ``text`` is None where the value is no readable string."""

    oid: bytes
    text: str | None
    encoding: bytes
    """The value's DER."""


Rdn = tuple[Attribute, ...]


def parse_name(element: der.Element) -> tuple[Rdn, ...]:
    """RDNSequence, in the order of the encoding (RFC 5280 §4.1.2.4)."""
    rdns: list[Rdn] = []
    for rdn in der.children(element.expect(der.SEQUENCE, "name")):
        attributes: list[Attribute] = []
        for pair in der.children(rdn.expect(der.SET, "relative distinguished name")):
            parts = tuple(der.children(pair.expect(der.SEQUENCE, "attribute")))
            if len(parts) != 2:
                raise der.DerError(f"an attribute of {len(parts)} parts at offset {pair.start}")
            oid = parts[0].expect(der.OBJECT_IDENTIFIER, "attribute type").value
            der.dotted(oid)
            attributes.append(Attribute(oid, _text(parts[1]), parts[1].encoding))
        rdns.append(tuple(attributes))
    return tuple(rdns)


def _text(value: der.Element) -> str | None:
    codec = _CODECS.get(value.tag)
    if codec is None:
        return None
    try:
        return value.value.decode(codec)
    except UnicodeDecodeError:
        return None


def misencoded(rdns: tuple[Rdn, ...]) -> str | None:
    """The first attribute whose octets are no text in their string's encoding, in hexadecimal; None if there is none."""
    parts = (part for rdn in rdns for part in rdn if part.text is None and part.encoding[0] in _UNICODE)
    return next(map(_pair, parts), None)


def rfc4514(rdns: tuple[Rdn, ...]) -> str:
    """The string form: the last RDN first, joined by commas, the parts of a multi-valued one by plus signs (RFC 4514 §2)."""
    return ",".join("+".join(map(_pair, rdn)) for rdn in reversed(rdns))


def _pair(attribute: Attribute) -> str:
    short = _SHORT_NAMES.get(attribute.oid)
    if short is None:
        return f"{der.dotted(attribute.oid)}=#{attribute.encoding.hex()}"
    if attribute.text is None:
        return f"{short}=#{attribute.encoding.hex()}"
    return f"{short}={_escape(attribute.text)}"


def _escape(text: str) -> str:
    # RFC 4514 §2.4. Whatever does not print is escaped as well: names come from strangers and go to terminals.
    out = []
    last = len(text) - 1
    for index, character in enumerate(text):
        if character in '"+,;<>\\' or (index == 0 and character in " #") or (index == last and character == " "):
            out.append(f"\\{character}")
        else:
            out.append(printable(character))
    return "".join(out)


def printable(text: str) -> str:
    r"""The text with every character that does not print as ``\xx`` for each of its UTF-8 octets."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "".join(f"\\{octet:02X}" for octet in c.encode("utf-8", "replace")) for c in text)


def canonical(rdns: tuple[Rdn, ...]) -> tuple[frozenset[tuple[bytes, str | bytes]], ...]:
    """What names are compared by: case, inner space and string type do not count (RFC 5280 §7.1, RFC 4518)."""
    return tuple(
        frozenset(
            (
                part.oid,
                " ".join(unicodedata.normalize("NFKC", part.text).casefold().split()) if part.text is not None else part.encoding,
            )
            for part in rdn
        )
        for rdn in rdns
    )
