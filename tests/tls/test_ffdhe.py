"""The groups of RFC 7919."""

from __future__ import annotations

import base64
import subprocess

import pytest

from prober.tls.ffdhe import FFDHE_GROUPS, finite_field_group
from prober.tls.registry import NamedGroup
from tests.servers.requirements import require_program


@pytest.mark.parametrize("group", sorted(FFDHE_GROUPS), ids=lambda group: NamedGroup(group).name)
def test_every_digit_is_the_one_that_openssl_has(group: int) -> None:
    """The computed prime and the generator equal the parameters that OpenSSL has built in."""
    named = NamedGroup(group)
    openssl = require_program("openssl")
    command = [openssl, "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:{named.name}"]
    named_parameters = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    # `dhparam` writes the numbers out: SEQUENCE { INTEGER prime, INTEGER generator, ... }
    pem = subprocess.run([openssl, "dhparam"], input=named_parameters, check=True, capture_output=True, timeout=30).stdout
    der = base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"--")))
    computed = finite_field_group(named)
    prime = b"\0" + computed.prime.to_bytes(computed.size)
    assert b"\x02\x82" + len(prime).to_bytes(2) + prime + b"\x02\x01" + bytes([computed.generator]) in der
    assert computed.size == int(named.name.removeprefix("ffdhe")) // 8


def test_the_smallest_prime_is_a_safe_prime() -> None:
    """For ffdhe2048, p and (p - 1) / 2 both pass Fermat's test."""
    prime = finite_field_group(NamedGroup.ffdhe2048).prime
    half = prime // 2
    assert pow(2, prime - 1, prime) == 1
    assert pow(3, half - 1, half) == 1


def test_a_curve_has_no_finite_field_parameters() -> None:
    """Asking for the prime of x25519 is a programming error."""
    with pytest.raises(KeyError):
        finite_field_group(NamedGroup.x25519)
