"""Certificates as the package cryptography sees them, with one documented error in place of its several."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["load_certificate"]


def load_certificate(der: bytes) -> x509.Certificate:
    """Parse one certificate. ValueError for what is none; its fields are parsed when they are read, and raise the same."""
    from cryptography import x509  # 30 ms that a handshake to depth `certificate` need not pay

    with warnings.catch_warnings():
        # What is disallowed but can be read (a serial number of zero) is the judge's business, not a line on standard error.
        warnings.simplefilter("ignore")
        try:
            return x509.load_der_x509_certificate(der)
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from error
