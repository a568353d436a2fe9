"""The tests' own certificate authority is itself checked by a witness."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.pki import KEY_KINDS, Authority, long_chain


@pytest.mark.parametrize("kind", [kind for kind in KEY_KINDS if kind != "rsa4096"])
def test_openssl_verifies_what_the_authority_issues_with_every_kind_of_key(kind: str, openssl: str, tmp_path: Path) -> None:
    """A chain of root, intermediate and end-entity holds for OpenSSL, whatever the kind of key."""
    root = Authority.root(key=kind)
    middle = root.intermediate(key=kind)
    files = middle.issue("api.example.test", key=kind).write(tmp_path)
    ca_file = root.write(tmp_path)
    subprocess.run(
        [openssl, "verify", "-CAfile", ca_file, "-untrusted", files.certificate, files.certificate],
        check=True,
        capture_output=True,
    )


def test_a_long_chain_has_the_size_that_was_asked_for() -> None:
    """The certificate that must not fit one TLS record does not fit one."""
    _, issued = long_chain("api.example.test")
    assert 26_000 < len(issued.der) < 32_000
