"""What the engine is asked to do: one handshake."""

from __future__ import annotations

from typing import NamedTuple

from prober.model import Depth, Endpoint, Sni
from prober.tls.client_hello import HelloFactory

__all__ = ["Attempt"]


class Attempt(NamedTuple):
    """One handshake with one endpoint. A NamedTuple for the reason given in `prober.tls.facts`."""

    endpoint: Endpoint
    factory: HelloFactory
    sni: Sni
    server_name: str | None
    """What goes into the hello: None for no name."""
    timeout: float
    """Seconds for everything, counted from the beginning of the resolution."""
    depth: Depth = Depth.CERTIFICATE
    resolve_seconds: float | None = None
    """What resolution took out of ``timeout``; None: there was none."""
    proxy_protocol: str | None = None
    """``v1`` or ``v2``: a key of `prober.probing.proxy_protocol.PROXY_HEADERS`."""
    transcript: bool = False
