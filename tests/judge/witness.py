"""`openssl verify`, the independent opinion about chains."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

__all__ = ["accepts", "pem"]


def pem(ders: Iterable[bytes]) -> bytes:
    """PEM text of DER certificates."""
    return b"".join(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n" for der in ders)


def accepts(openssl: str, directory: Path, chain: Sequence[bytes], anchors: Sequence[bytes], now: datetime) -> bool:
    """Would a TLS client on OpenSSL accept this chain (names aside)? Any given anchor is trusted, as we do."""
    leaf, rest, trusted = directory / "leaf.pem", directory / "rest.pem", directory / "anchors.pem"
    leaf.write_bytes(pem(chain[:1]))
    rest.write_bytes(pem(chain[1:]))
    trusted.write_bytes(pem(anchors))
    command = [openssl, "verify", "-partial_chain", "-purpose", "sslserver", "-attime", str(int(now.timestamp()))]
    command += ["-no-CApath", "-no-CAstore", "-CAfile", str(trusted)]
    if len(chain) > 1:
        command += ["-untrusted", str(rest)]
    return subprocess.run([*command, str(leaf)], capture_output=True, check=False).returncode == 0
