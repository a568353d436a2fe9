"""Where trust anchors come from."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from prober.config import trust as config_trust
from prober.config.trust import TrustError, load_trust
from prober.judge.certificates import certificate_facts
from tests.pki import Authority
from tests.servers.requirements import require_module

ROOT = Authority.root()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system without anchors: no environment, no bundle, no directory."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setattr(config_trust, "SYSTEM_BUNDLES", ())
    missing = str(tmp_path / "missing")
    paths = ssl.get_default_verify_paths()._replace(cafile=None, capath=None, openssl_cafile=missing, openssl_capath=missing)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    return tmp_path


def test_a_given_file_is_the_only_source(tmp_path: Path) -> None:
    """``--ca-file`` replaces the system's anchors."""
    path = ROOT.write(tmp_path)
    trust = load_trust(str(path))
    assert len(trust) == 1
    assert trust.origin == str(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read (No such file or directory); give a readable PEM file of CA certificates"),
        (b"", "no PEM certificate in it; expected -----BEGIN CERTIFICATE-----"),
        (
            ROOT.pem + b"-----BEGIN CERTIFICATE-----\n",
            "certificate 2: no -----END CERTIFICATE-----; remove the block or export it again",
        ),
    ],
)
def test_a_bad_file_is_named_with_what_to_do(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    """At the start, not when the first chain is judged."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrustError) as raised:
        load_trust(str(path))
    assert str(raised.value) == f"{path}: {complaint}"


def test_a_directory_and_a_giant_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a file of anchors."""
    with pytest.raises(TrustError, match="cannot be read \\(Is a directory\\)"):
        load_trust(str(tmp_path))
    monkeypatch.setattr(config_trust, "_MAX_BYTES", 10)
    with pytest.raises(TrustError, match="more than 10 bytes; give a file of CA certificates"):
        load_trust(str(ROOT.write(tmp_path)))


def test_the_environment_names_the_systems_bundle_first(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenSSL, Go and curl have it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ROOT.write(nowhere)))
    assert certificate_facts(ROOT.der) in load_trust(None)


def test_a_well_known_bundle_is_found_where_python_does_not_know_one(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And files without a certificate are passed over."""
    empty = nowhere / "empty.pem"
    empty.write_bytes(b"# nothing\n")
    monkeypatch.setattr(config_trust, "SYSTEM_BUNDLES", (str(empty), str(nowhere / "missing.pem"), str(ROOT.write(nowhere))))
    assert certificate_facts(ROOT.der) in load_trust(None)


def test_a_directory_of_hashed_certificates_is_read(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that have no bundle."""
    (nowhere / "0a1b2c3d.0").write_bytes(ROOT.pem)
    (nowhere / "README").write_bytes(Authority.root("Another").pem)
    monkeypatch.setenv("SSL_CERT_DIR", str(nowhere))
    trust = load_trust(None)
    assert len(trust) == 1
    assert certificate_facts(ROOT.der) in trust


def test_certifis_copy_is_the_last_resort(nowhere: Path) -> None:
    """It comes with an HTTP library of ours."""
    require_module("certifi")
    assert len(load_trust(None)) > 50


def test_the_systems_anchors_cost_nothing_before_they_are_needed() -> None:
    """`prober once` starts within a few hundred milliseconds; a hundred anchors take twenty to index."""
    assert "_by_subject" not in vars(load_trust(None))
