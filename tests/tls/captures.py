"""The captured ClientHellos of ``tests/vectors/clienthellos``, and what makes two hellos comparable."""

from __future__ import annotations

from pathlib import Path

from prober.tls.client_hello_parser import ClientHello, parse_client_hello

__all__ = ["CAPTURES", "capture", "without_randomness"]

_DIRECTORY = Path(__file__).parent.parent / "vectors" / "clienthellos"

CAPTURES = tuple(sorted(path.stem for path in _DIRECTORY.glob("*.hex")))


def capture(name: str) -> bytes:
    """The TLS record of one capture."""
    lines = (_DIRECTORY / f"{name}.hex").read_text("ascii").splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


def without_randomness(record: bytes) -> bytes:
    """A ClientHello record with zeros for the random, the session id and the key shares, everything else as it is."""
    hello: ClientHello = parse_client_hello(record[5:])
    for secret in (hello.random, hello.session_id, *(share for _, share in hello.key_shares)):
        if secret:
            assert record.count(secret) == 1
            record = record.replace(secret, bytes(len(secret)))
    return record
