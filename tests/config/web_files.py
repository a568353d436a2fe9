"""Web configuration files as tests write them, and the directory in which what they name is."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.pki import Authority

__all__ = ["CLIENT", "HASH", "PAIR", "directory"]

HASH = "$2y$04$ZxGWsvh9oaF5sV8uE1p4/ON0vHVwnD1J5kHFPQGaJXkaMY7lYZ6m2"
PAIR = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENT = PAIR + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds server.crt, server.key, other.key, encrypted.key, ca.pem, empty.pem; complaints begin with a bare name."""
    root = Authority.root()
    server = root.issue("localhost")
    server.write(tmp_path)
    root.issue("other.example.test").write(tmp_path, "other")
    root.write(tmp_path)
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "encrypted.key").write_bytes(
        server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path
