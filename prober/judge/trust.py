"""Trust anchors. Whatever is given is trusted: a root, an intermediate, or a server's own certificate.

Go and ``openssl verify -partial_chain`` see it so, too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from functools import cached_property

from prober.judge import der, x509
from prober.judge.certificates import CertificateFacts, certificate_facts
from prober.judge.names import canonical, parse_name

__all__ = ["NO_TRUST", "TrustError", "TrustStore"]

# RFC 7468 §2, and OpenSSL's two other labels for certificates. A block that is not closed ends where the next begins.
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)(-----END \1-----|(?=-----BEGIN )|\Z)", re.DOTALL)
_LABELS = {b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"}


class TrustError(ValueError):
    """A file of trust anchors that cannot be used: which file, which block, what to do."""


class TrustStore:
    """A set of trust anchors, indexed by subject. Immutable; the index is built when the first chain must be judged."""

    def __init__(self, pem: bytes, *, origin: str = "the trust anchors") -> None:
        """Anchors from PEM text, blocks that cannot be read left out: for the system's, which are no operator's mistake.

        ``origin`` is how sentences call them.
        """
        self._pem = pem
        self.origin = origin

    @classmethod
    def strict(cls, pem: bytes, *, origin: str) -> TrustStore:
        """Anchors from PEM text that an operator chose; raises `TrustError` for the first block that is no certificate."""
        count = 0
        for count, block in enumerate(_blocks(pem), start=1):
            if isinstance(block, str):
                raise TrustError(f"{origin}: certificate {count}: {block}; remove the block or export it again")
            try:
                x509.subject_encoding(block)
            except der.DerError as error:
                raise TrustError(f"{origin}: certificate {count}: {error}; remove the block or export it again") from error
        if count == 0:
            hint = (
                "convert it with: openssl x509 -inform der -in FILE"
                if pem[:1] == b"\x30"
                else "expected -----BEGIN CERTIFICATE-----"
            )
            raise TrustError(f"{origin}: no PEM certificate in it; {hint}")
        return cls(pem, origin=origin)

    @cached_property
    def identity(self) -> bytes:
        """The same for stores with the same contents and origin."""
        return hashlib.sha256(self._pem + self.origin.encode()).digest()

    def __len__(self) -> int:
        return sum(map(len, self._by_subject.values()))

    def __contains__(self, certificate: CertificateFacts) -> bool:
        parsed = certificate.certificate
        return parsed is not None and parsed.encoding in self._by_subject.get(parsed.subject.encoding, ())

    def named(self, name: x509.Name) -> tuple[CertificateFacts, ...]:
        """The anchors with this subject. Names are compared by their octets first, and else as RFC 5280 §7.1 has it."""
        found = self._by_subject.get(name.encoding)
        if found is None:
            found = self._by_comparable_subject.get(name.comparable, ())
        return tuple(map(certificate_facts, found))

    @cached_property
    def _by_subject(self) -> dict[bytes, tuple[bytes, ...]]:
        index: dict[bytes, tuple[bytes, ...]] = {}
        for block in _blocks(self._pem):
            if isinstance(block, str):
                continue
            try:
                subject = x509.subject_encoding(block)
            except der.DerError:
                continue
            known = index.get(subject, ())
            if block not in known:
                index[subject] = (*known, block)
        return index

    @cached_property
    def _by_comparable_subject(self) -> dict[tuple[frozenset[tuple[bytes, str | bytes]], ...], tuple[bytes, ...]]:
        index: dict[tuple[frozenset[tuple[bytes, str | bytes]], ...], tuple[bytes, ...]] = {}
        for subject, anchors in self._by_subject.items():
            # The names alone: reading 140 whole certificates takes 70 ms, which `prober once` would wait for.
            try:
                key = canonical(parse_name(der.only(subject)))
            except der.DerError:
                continue
            index[key] = (*index.get(key, ()), *anchors)
        return index


def _blocks(pem: bytes) -> Iterator[bytes | str]:
    """Each certificate block as DER, or what is wrong with it."""
    for match in _BLOCK.finditer(pem):
        if match[1] not in _LABELS:
            continue
        if not match[3]:
            yield f"no -----END {match[1].decode()}-----"
            continue
        try:
            decoded = base64.b64decode(b"".join(match[2].split()), validate=True)
            # A TRUSTED CERTIFICATE is followed by OpenSSL's own settings.
            yield der.first(decoded).encoding
        except binascii.Error as error:
            yield f"no base64 ({error})"
        except der.DerError as error:
            yield str(error)


NO_TRUST = TrustStore(b"", origin="the trust anchors (there are none)")
"""For those who judge no chains."""
