"""What the tests of chains share: a plain chain, and the codes of what is wrong with one."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from prober.judge.chains import judge_chain
from prober.judge.trust import TrustStore
from tests.judge import witness
from tests.pki import NOW, Authority

API = "api.example.test"
Chain = tuple[bytes, ...]
Case = tuple[Chain, list[bytes]]


def codes(chain: Chain, anchors: list[bytes], *names: str, now: datetime = NOW) -> list[str]:
    """The codes of all problems, in their order."""
    return [problem.code.value for problem in judge_chain(chain, names, TrustStore(witness.pem(anchors)), now)]


def plain() -> Case:
    root = Authority.root()
    return root.intermediate().issue(API).ders, [root.der]


def der_of(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
