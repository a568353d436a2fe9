"""Which clients ``client_allowed_sans`` lets in, by certificates that were verified before."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config.web_file import load_web_file
from tests.config.web_files import CLIENT, directory
from tests.judge import forge

__all__ = ["directory"]

NAMED = forge.tlv(0x82, b"a.example.test")


@pytest.mark.parametrize(
    ("names", "admitted"),
    [
        ([NAMED], True),
        ([forge.tlv(0x82, b"b.example.test")], False),
        ([], False),
        # RFC 5280 §4.2.1.6: x400Address and ediPartyName, which nobody uses, and nobody reads.
        ([NAMED, forge.tlv(0xA3, forge.tlv(0x30))], False),
        ([NAMED, forge.tlv(0xA5, forge.tlv(0xA1, forge.tlv(0x0C, b"x")))], False),
        ([NAMED, b"\xff"], False),
    ],
    ids=["named", "other", "nameless", "x400Address", "ediPartyName", "malformed"],
)
def test_whose_names_cannot_be_read_is_not_admitted(names: list[bytes], admitted: bool, directory: Path) -> None:
    """An answer, whatever a verified certificate holds, and not an exception."""
    (directory / "web.yml").write_text(CLIENT + "  client_allowed_sans: [a.example.test]\n")
    tls = load_web_file("web.yml").tls
    assert tls is not None
    extension = forge.extension("2.5.29.17", forge.tlv(0x30, *names))
    assert tls.admits(forge.forge(extensions=[extension] if names else ())) is admitted
