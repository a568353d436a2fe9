"""Trust anchors from files: the operator's, or the system's wherever this system keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prober.judge.trust import TrustError, TrustStore

__all__ = ["SYSTEM_BUNDLES", "TrustError", "load_trust"]

_MAX_BYTES = 16 * 1024 * 1024
"""Of one file: the largest public bundle has a quarter of a megabyte."""

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL 7 and later
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL 6, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, the BSDs
    "/opt/homebrew/etc/openssl@3/cert.pem",
    "/usr/local/etc/openssl@3/cert.pem",
)
"""Where systems keep their anchors, if the ``ssl`` module does not know: a Python of its own looks beside itself."""


def load_trust(ca_file: str | None) -> TrustStore:
    """The anchors in a PEM file, each block checked; or, for None, the system's, which are parsed when they are needed.

    Raises `TrustError` with the file, the number of the block and what to do. A system without anchors gives an empty store:
    then no chain is trusted, and the problems say why.
    """
    if ca_file is not None:
        return TrustStore.strict(_read(Path(ca_file)), origin=ca_file)
    for bundle in _system_bundles():
        try:
            pem = _read(bundle)
        except TrustError:
            continue
        if b"-----BEGIN" in pem:
            return TrustStore(pem, origin="the system's trust anchors")
    return TrustStore(_directories(), origin="the system's trust anchors (none were found; give a file)")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise TrustError(f"{path}: more than {_MAX_BYTES} bytes; give a file of CA certificates")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TrustError(f"{path}: cannot be read ({reason}); give a readable PEM file of CA certificates") from error


def _system_bundles() -> Iterator[Path]:
    """Candidates in the order in which OpenSSL would ask, the well-known places after them, certifi's copy last."""
    named = os.environ.get("SSL_CERT_FILE")
    if named:
        yield Path(named)
    # Imported here for its path lookup alone: it costs milliseconds, and with SSL_CERT_FILE set nobody needs it.
    import ssl

    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        yield Path(paths.cafile)
    for bundle in SYSTEM_BUNDLES:
        yield Path(bundle)
    if not _directories():
        try:
            import certifi
        except ImportError:
            return
        yield Path(certifi.where())


def _directories() -> bytes:
    """All certificates of the directories that OpenSSL would look into."""
    import ssl

    paths = ssl.get_default_verify_paths()
    blocks: list[bytes] = []
    for directory in (os.environ.get("SSL_CERT_DIR") or paths.openssl_capath).split(os.pathsep):
        if not os.path.isdir(directory):  # noqa: PTH112 - also where nobody lets us look
            continue
        # The same certificate is there once under its name and once under its hash; the store keeps it once.
        for path in sorted(Path(directory).glob("*.[0-9]")):
            try:
                blocks.append(_read(path))
            except TrustError:
                continue
    return b"\n".join(blocks)
