"""The structure of a certificate (RFC 5280 §4.1), field by field: what cannot be read is a flaw, and the rest is still there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar

from prober.judge import der
from prober.judge.general_names import GeneralName, general_name
from prober.judge.names import Rdn, canonical, misencoded, parse_name, rfc4514

__all__ = [
    "ANY_USAGE",
    "SERVER_AUTH",
    "BasicConstraints",
    "Certificate",
    "Name",
    "NameConstraints",
    "parse",
]

T = TypeVar("T")


class Name(NamedTuple):
    """A distinguished name: its DER and what it says."""

    encoding: bytes = b"\x30\x00"
    rdns: tuple[Rdn, ...] = ()

    def __str__(self) -> str:
        return rfc4514(self.rdns)

    @property
    def comparable(self) -> tuple[frozenset[tuple[bytes, str | bytes]], ...]:
        """The form in which names are equal although their encodings differ."""
        return canonical(self.rdns)

    def first(self, oid: bytes) -> str | None:
        """The first attribute of a type as text."""
        return next((part.text for rdn in self.rdns for part in rdn if part.oid == oid and part.text is not None), None)


NAMELESS = Name()


class BasicConstraints(NamedTuple):
    """RFC 5280 §4.2.1.9."""

    ca: bool
    path_length: int | None


class NameConstraints(NamedTuple):
    """RFC 5280 §4.2.1.10; the address of an IP_ADDRESS subtree is followed by its mask."""

    permitted: tuple[GeneralName, ...]
    excluded: tuple[GeneralName, ...]


SERVER_AUTH = bytes.fromhex("2b06010505070301")  # 1.3.6.1.5.5.7.3.1
ANY_USAGE = bytes.fromhex("551d2500")  # 2.5.29.37.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What could be read. ``flaws`` says what could not; the fields concerned keep their defaults."""

    encoding: bytes
    tbs: bytes
    """The signed part, tag and length included."""
    signature_algorithm: bytes
    """AlgorithmIdentifier."""
    signature: bytes = b""
    version: int = 1
    serial_number: int | None = None
    issuer: Name = NAMELESS
    subject: Name = NAMELESS
    not_before: datetime | None = None
    not_after: datetime | None = None
    public_key: bytes = b""
    """SubjectPublicKeyInfo."""
    basic_constraints: BasicConstraints | None = None
    key_usage: int | None = None
    """Bit n of RFC 5280 §4.2.1.3 is ``1 << n``."""
    extended_key_usage: tuple[bytes, ...] | None = None
    alternative_names: tuple[GeneralName, ...] | None = None
    """None without the extension."""
    name_constraints: NameConstraints | None = None
    authority_key_id: bytes | None = None
    subject_key_id: bytes | None = None
    unknown_critical: tuple[str, ...] = ()
    """Critical extensions that a client must understand and does not."""
    flaws: tuple[str, ...] = ()

    @property
    def self_issued(self) -> bool:
        """Subject and issuer are one name. Whether it signed itself is for a signature check to say."""
        return self.subject.encoding == self.issuer.encoding or self.subject.comparable == self.issuer.comparable

    @property
    def title(self) -> str:
        """How to call it in a sentence."""
        return str(self.subject) or (f"certificate {self.serial_number:x}" if self.serial_number is not None else "a certificate")


# RFC 5280 §4.1: [0] EXPLICIT version, [3] EXPLICIT extensions.
_VERSION = der.CONTEXT | der.CONSTRUCTED | 0
_EXTENSIONS = der.CONTEXT | der.CONSTRUCTED | 3


def parse(data: bytes) -> Certificate:
    """A certificate from DER; DerError only where its outer structure, the body's list of fields included, is unreadable."""
    outer = der.first(data).expect(der.SEQUENCE, "Certificate")
    parts = list(der.children(outer))
    if len(parts) != 3:
        raise der.DerError(f"Certificate: 3 parts expected, {len(parts)} there")
    tbs, algorithm, signature = parts
    fields = list(der.children(tbs.expect(der.SEQUENCE, "TBSCertificate")))
    reading = _Reading()
    if outer.stop != len(data):
        reading.flaws.append(f"{len(data) - outer.stop} bytes after its end")
    version = 1
    if fields and fields[0].tag == _VERSION:
        version = 1 + reading.of("version", lambda: der.integer(der.only(fields[0].value)), 0)
        fields = fields[1:]
    if len(fields) < 6:
        raise der.DerError(f"TBSCertificate: 6 fields expected, {len(fields)} there")
    serial, inner, issuer, validity, subject, public_key, *optional = fields
    if inner.encoding != algorithm.encoding:  # RFC 5280 §4.1.1.2; OpenSSL and Go refuse it, whether or not the signature is right
        reading.flaws.append("the signature algorithms inside and outside of what is signed differ")
    undated: tuple[datetime | None, datetime | None] = (None, None)
    not_before, not_after = reading.of("validity", lambda: _validity(validity, reading.flaws), undated)
    extensions = next((field for field in optional if field.tag == _EXTENSIONS), None)
    if extensions is not None:
        reading.read_extensions(extensions)
    return Certificate(
        encoding=data,
        tbs=tbs.encoding,
        signature_algorithm=algorithm.encoding,
        signature=reading.of("signature", lambda: der.bit_string(signature), b""),
        version=version,
        serial_number=reading.of("serialNumber", lambda: der.integer(serial), None),
        issuer=reading.name("issuer", issuer),
        subject=reading.name("subject", subject),
        not_before=not_before,
        not_after=not_after,
        public_key=public_key.encoding,
        unknown_critical=tuple(reading.unknown_critical),
        flaws=tuple(reading.flaws),
        **reading.found,  # type: ignore[arg-type]  # the table below pairs each field with the reader of its type
    )


def subject_encoding(data: bytes) -> bytes:
    """The subject's DER, and nothing else read: what an index over many anchors needs. DerError as `parse`."""
    tbs = next(der.children(der.first(data).expect(der.SEQUENCE, "Certificate")), None)
    if tbs is None:
        raise der.DerError("an empty Certificate")
    fields = list(der.children(tbs.expect(der.SEQUENCE, "TBSCertificate")))
    index = 5 if fields and fields[0].tag == _VERSION else 4
    if len(fields) <= index + 1:
        raise der.DerError(f"TBSCertificate: {len(fields)} fields")
    return fields[index].expect(der.SEQUENCE, "subject").encoding


class _Reading:
    """One pass over a certificate that collects flaws instead of giving up."""

    def __init__(self) -> None:
        self.flaws: list[str] = []
        self.unknown_critical: list[str] = []
        self.found: dict[str, object] = {}

    def of(self, what: str, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except der.DerError as error:
            self.flaws.append(f"malformed {what}: {error}")
            return default

    def name(self, what: str, element: der.Element) -> Name:
        rdns: tuple[Rdn, ...] = self.of(what, lambda: parse_name(element), ())
        odd = misencoded(rdns)
        if odd is not None:
            self.flaws.append(
                f"malformed {what}: OpenSSL and Go read no certificate with {odd}, which is no text in its encoding"
            )
        return Name(element.encoding, rdns)

    def read_extensions(self, wrapper: der.Element) -> None:
        seen: set[bytes] = set()
        try:
            for extension in der.children(der.only(wrapper.value).expect(der.SEQUENCE, "Extensions")):
                self._read_extension(extension, seen)
        except der.DerError as error:
            self.flaws.append(f"malformed extensions: {error}")

    def _read_extension(self, extension: der.Element, seen: set[bytes]) -> None:
        parts = list(der.children(extension.expect(der.SEQUENCE, "Extension")))
        if not 2 <= len(parts) <= 3:
            raise der.DerError(f"an extension of {len(parts)} parts at offset {extension.start}")
        oid = parts[0].expect(der.OBJECT_IDENTIFIER, "extension type").value
        critical = len(parts) == 3 and parts[1].expect(der.BOOLEAN, "critical").value != b"\x00"
        if oid in seen:
            self.flaws.append(f"extension {_EXTENSION_NAMES.get(oid) or der.dotted(oid)} twice")
            return
        seen.add(oid)
        reader = _READERS.get(oid)
        if reader is None:
            if critical and oid not in _EXTENSION_NAMES:
                self.unknown_critical.append(der.dotted(oid))
            return
        field, read = reader
        value = parts[-1]
        try:
            self.found[field] = read(der.only(value.expect(der.OCTET_STRING, "extension value").value))
        except der.DerError as error:
            self.flaws.append(f"malformed extension {_EXTENSION_NAMES[oid]}: {error}")


def _validity(element: der.Element, flaws: list[str]) -> tuple[datetime | None, datetime | None]:
    times = list(der.children(element.expect(der.SEQUENCE, "validity")))
    if len(times) != 2:
        raise der.DerError(f"{len(times)} times")
    not_before, not_after = map(der.time, times)
    # Told all the same, as its authority meant it.
    odd = [time.value.decode("latin-1") for time in times if not der.is_whole_time(time)]
    flaws += [f"malformed validity: OpenSSL takes no date like {text!r}" for text in odd]
    return not_before, not_after


def _basic_constraints(element: der.Element) -> BasicConstraints:
    ca, path_length = False, None
    for part in der.children(element.expect(der.SEQUENCE, "basicConstraints")):
        if part.tag == der.BOOLEAN:
            ca = part.value != b"\x00"
        else:
            path_length = der.integer(part)
    return BasicConstraints(ca, path_length)


def _key_usage(element: der.Element) -> int:
    # Bit 0 is the most significant bit of the first octet (X.690 §8.6.2).
    octets = der.bit_string(element)[:2]
    return sum(1 << (8 * index + bit) for index, octet in enumerate(octets) for bit in range(8) if octet & 0x80 >> bit)


def _extended_key_usage(element: der.Element) -> tuple[bytes, ...]:
    purposes = der.children(element.expect(der.SEQUENCE, "extKeyUsage"))
    return tuple(purpose.expect(der.OBJECT_IDENTIFIER, "key purpose").value for purpose in purposes)


def _alternative_names(element: der.Element) -> tuple[GeneralName, ...]:
    return tuple(map(general_name, der.children(element.expect(der.SEQUENCE, "subjectAltName"))))


def _name_constraints(element: der.Element) -> NameConstraints:
    trees: dict[int, tuple[GeneralName, ...]] = {}
    for part in der.children(element.expect(der.SEQUENCE, "nameConstraints")):
        subtrees = []
        for subtree in der.children(part):
            base = next(der.children(subtree.expect(der.SEQUENCE, "GeneralSubtree")), None)
            if base is None:
                raise der.DerError(f"an empty subtree at offset {subtree.start}")
            subtrees.append(general_name(base))
        trees[part.tag & 0x1F] = tuple(subtrees)
    return NameConstraints(trees.get(0, ()), trees.get(1, ()))


def _authority_key_id(element: der.Element) -> bytes | None:
    parts = der.children(element.expect(der.SEQUENCE, "authorityKeyIdentifier"))
    return next((part.value for part in parts if part.tag == der.CONTEXT | 0), None)


def _subject_key_id(element: der.Element) -> bytes:
    return element.expect(der.OCTET_STRING, "subjectKeyIdentifier").value


_READERS: dict[bytes, tuple[str, Callable[[der.Element], object]]] = {
    bytes.fromhex("551d0e"): ("subject_key_id", _subject_key_id),
    bytes.fromhex("551d0f"): ("key_usage", _key_usage),
    bytes.fromhex("551d11"): ("alternative_names", _alternative_names),
    bytes.fromhex("551d13"): ("basic_constraints", _basic_constraints),
    bytes.fromhex("551d1e"): ("name_constraints", _name_constraints),
    bytes.fromhex("551d23"): ("authority_key_id", _authority_key_id),
    bytes.fromhex("551d25"): ("extended_key_usage", _extended_key_usage),
}

# Those that we read, and those that a client may meet as critical and go on (OpenSSL's list of supported extensions).
_EXTENSION_NAMES = {
    bytes.fromhex("551d0e"): "subjectKeyIdentifier",
    bytes.fromhex("551d0f"): "keyUsage",
    bytes.fromhex("551d11"): "subjectAltName",
    bytes.fromhex("551d13"): "basicConstraints",
    bytes.fromhex("551d1e"): "nameConstraints",
    bytes.fromhex("551d1f"): "cRLDistributionPoints",
    bytes.fromhex("551d20"): "certificatePolicies",
    bytes.fromhex("551d21"): "policyMappings",
    bytes.fromhex("551d23"): "authorityKeyIdentifier",
    bytes.fromhex("551d24"): "policyConstraints",
    bytes.fromhex("551d25"): "extKeyUsage",
    bytes.fromhex("551d36"): "inhibitAnyPolicy",
    bytes.fromhex("2b06010505070107"): "ipAddrBlocks",
    bytes.fromhex("2b06010505070108"): "autonomousSysIds",
    bytes.fromhex("2b0601050507300105"): "ocspNoCheck",
    bytes.fromhex("6086480186f8420101"): "netscapeCertType",
}
