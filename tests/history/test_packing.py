"""Kept failures as bytes."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path

from prober.history import packing, reading
from prober.history.database import FILE_NAME
from prober.history.history import History
from prober.history.packing import pack, unpack
from prober.history.schema import STEPS
from prober.report import Json
from tests.tls.scripted import Script13, client, offer_of

CHECKSUM = 0xFB231DB8
DOCUMENT: dict[str, Json] = {
    "address": "192.0.2.10",
    "port": 443,
    "summary": "Größe \udcff",
    "transcripts": [[], []],
    "since": None,
}


def test_a_document_comes_back() -> None:
    """But for what no UTF-8 can hold."""
    assert unpack(pack(DOCUMENT)) == {**DOCUMENT, "summary": "Größe ?"}


def test_the_dictionary_is_part_of_the_format() -> None:
    """Whoever changes it makes every failure that was ever kept unreadable: another one needs a name of its own beside it."""
    dictionary = Path(packing.__file__).with_name("failures.dictionary").read_bytes()
    assert zlib.adler32(dictionary) == CHECKSUM
    # RFC 1950 §2.2: FDICT, and the checksum behind the first two bytes
    packed = pack(DOCUMENT)
    assert packed[1] & 0x20
    assert int.from_bytes(packed[2:6]) == CHECKSUM


def test_a_transcript_takes_few_bytes() -> None:
    """A hello with all its cipher suites and what a server of TLS 1.3 answers, 5 KB of text, are half of what zlib alone makes of them."""
    handshake = client(transcript=True)
    handshake.receive_data(Script13(offer_of(handshake)).flight())
    transcript: list[Json] = [entry._asdict() for entry in handshake.transcript_entries]
    document: dict[str, Json] = {**DOCUMENT, "summary": "", "transcripts": [transcript]}
    packed = pack(document)
    assert unpack(packed) == json.loads(json.dumps(document))
    assert len(packed) * 2 < len(zlib.compress(json.dumps(document).encode()))


def test_what_was_kept_without_a_dictionary_is_still_read(tmp_path: Path) -> None:
    """The file of a prober of the second schema: after its migration, failures of both kinds are there."""
    old = sqlite3.connect(tmp_path / FILE_NAME)
    for step in STEPS[:2]:
        old.executescript(step)
    row = ("edge", "192.0.2.10:443", 5.0, zlib.compress(json.dumps({"verdict": "non_sni_reset"}).encode()))
    old.execute("INSERT INTO failures (target, address, at, result) VALUES (?, ?, ?, ?)", row)
    old.execute("PRAGMA user_version = 2")
    old.commit()
    old.close()
    History.open(tmp_path).close()
    connection = reading.open_for_reading(tmp_path)
    connection.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    row = ("edge", "192.0.2.10:443", 6.0, pack({"verdict": "non_sni_rejected"}))
    connection.execute("INSERT INTO failures (target, address, at, result) VALUES (?, ?, ?, ?)", row)
    kept = reading.failures(connection, "edge", 10)
    connection.close()
    assert [one.result["verdict"] for one in kept] == ["non_sni_rejected", "non_sni_reset"]
