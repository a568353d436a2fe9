"""The chains in Certificate messages, each read once.

An ingress presents the same message in every handshake, so what was read of it is remembered by its bytes. That spares the
reading, and the chain that comes back is the very same object: whoever asks for its hash or compares it later (the caches of
`judge`) pays for the bytes once, and a thousand handshakes that are kept share one copy of the chain.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from prober.tls.messages12 import Certificate12
from prober.tls.messages13 import Certificate13
from prober.tls.remembered import Remembered

__all__ = ["PresentedChain", "presented_chain12", "presented_chain13"]

_CACHE_BYTES: Final = 16 * 1024 * 1024
"""Some two thousand chains; a message and its chain hold their bytes twice."""


class PresentedChain(NamedTuple):
    """``certificates`` as DER, end-entity first; ``context`` is TLS 1.3's certificate_request_context, empty before."""

    certificates: tuple[bytes, ...]
    context: bytes


_chains12: Remembered[bytes, PresentedChain] = Remembered(_CACHE_BYTES)
_chains13: Remembered[bytes, PresentedChain] = Remembered(_CACHE_BYTES)


def presented_chain12(message: bytes) -> PresentedChain:
    """Of a Certificate message of TLS 1.2 or before (RFC 5246 §7.4.2), its header included; DecodeError."""
    chain = _chains12.get(message)
    if chain is None:
        chain = PresentedChain(Certificate12.parse(message).certificates, b"")
        _chains12.keep(message, chain, 2 * len(message))
    return chain


def presented_chain13(message: bytes) -> PresentedChain:
    """Of a Certificate message of TLS 1.3 (RFC 8446 §4.4.2), its header included; DecodeError."""
    chain = _chains13.get(message)
    if chain is None:
        parsed = Certificate13.parse(message)
        chain = PresentedChain(parsed.certificates, parsed.context)
        _chains13.keep(message, chain, 2 * len(message))
    return chain
