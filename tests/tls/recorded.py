"""The traces of RFC 8448 (``tests/vectors/rfc8448``) as values, and the offer with which each of them began."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric import ec

from prober.tls.client_hello_parser import parse_client_hello
from prober.tls.key_exchange import generate
from prober.tls.registry import CipherSuite, NamedGroup
from tests.tls.counter import CounterEntropy

__all__ = ["TRACES", "RecordedOffer", "trace"]

_DIRECTORY = Path(__file__).parent.parent / "vectors" / "rfc8448"

TRACES = tuple(sorted(path.stem for path in _DIRECTORY.glob("*.hex")))


def trace(name: str) -> dict[str, bytes]:
    """The parts of one trace by name, records as they were on the wire."""
    parts: dict[str, bytes] = {}
    section = ""
    for line in (_DIRECTORY / f"{name}.hex").read_text("ascii").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            parts[section] = b""
        elif line and not line.startswith("#"):
            parts[section] += bytes.fromhex(line)
    return parts


@dataclass
class _P256Share:
    """A P-256 share with the private key of a trace."""

    private: ec.EllipticCurvePrivateKey
    group: NamedGroup = NamedGroup.secp256r1

    def exchange(self, peer_public: bytes) -> bytes:
        return self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(self.private.curve, peer_public))


class RecordedOffer:
    """What `ClientHandshake` needs of an `Offer`, taken from a recorded ClientHello and its private key."""

    def __init__(self, parts: dict[str, bytes], *, second: bool = False) -> None:
        self._parts = parts
        self.wire = parts["second_client_hello" if second else "client_hello"]
        self.message = self.wire[5:]
        self.follows_layout = False
        hello = parse_client_hello(self.message)
        self.random, self.session_id, self.server_name = hello.random, hello.session_id, hello.server_name
        self.extensions = frozenset(kind for kind, _ in hello.extensions)
        self.factory = SimpleNamespace(
            cipher_suites=frozenset(hello.cipher_suites) - {CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV},
            groups=frozenset(hello.groups),
            versions=frozenset(hello.supported_versions),
            max_version=max(hello.supported_versions),
            extensions=self.extensions,
            alpn=(),
            entropy=CounterEntropy(),
        )
        if second:
            private = ec.derive_private_key(int.from_bytes(parts["second_client_private_key"]), ec.SECP256R1())
            self.key_shares = (_P256Share(private),)
        else:
            self.key_shares = (generate(NamedGroup.x25519, lambda _: parts["client_private_key"]),)

    def retry(self, group: int | None, cookie: bytes | None) -> RecordedOffer:
        """The second hello of the trace, which answers just this request."""
        second = RecordedOffer(self._parts, second=True)
        assert group == NamedGroup.secp256r1
        assert cookie is not None
        assert cookie in second.wire
        return second
