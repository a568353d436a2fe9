"""What can be wrong with a presented chain. A closed set."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Problem", "ProblemCode"]


class ProblemCode(StrEnum):
    """In the order in which problems are told."""

    EMPTY = "empty"
    """A Certificate message without a certificate."""
    UNPARSEABLE = "unparseable"
    """A certificate, or a part of it, cannot be read; TLS clients abort on it."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    NAME_MISMATCH = "name_mismatch"
    """The end-entity certificate covers none of the names that it should."""
    SELF_SIGNED = "self_signed"
    """It signed itself and is no trust anchor."""
    UNKNOWN_AUTHORITY = "unknown_authority"
    """The presented chain ends at an authority that is no trust anchor."""
    INCOMPLETE_CHAIN = "incomplete_chain"
    """The end-entity certificate's issuer was neither presented nor is it a trust anchor."""
    INVALID_SIGNATURE = "invalid_signature"
    WEAK_SIGNATURE = "weak_signature"
    """MD2, MD4 or MD5."""
    UNSUPPORTED_SIGNATURE = "unsupported_signature"
    """An algorithm or a key that cannot be checked here."""
    CA_CONSTRAINT = "ca_constraint"
    """An issuer that may not issue this: no CA, no keyCertSign, path too long, issuing for other purposes."""
    NAME_CONSTRAINT = "name_constraint"
    """An issuer that may not issue for this name."""
    NOT_A_SERVER_CERTIFICATE = "not_a_server_certificate"
    """Its keyUsage or extKeyUsage rules out TLS servers."""
    UNSUPPORTED_EXTENSION = "unsupported_extension"
    """A critical extension that clients do not know."""
    INTERMEDIATE_EXPIRED = "intermediate_expired"
    """An issuer on the path, the trust anchor included, has expired."""
    INTERMEDIATE_NOT_YET_VALID = "intermediate_not_yet_valid"


class Problem(NamedTuple):
    """One problem, and a sentence with names and dates that a person can act on."""

    code: ProblemCode
    text: str

    def __str__(self) -> str:
        return self.text
