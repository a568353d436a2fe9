"""Kept failures as bytes: JSON, compressed with a dictionary of what nearly all of them say.

Most of such a document is what every other one says too, the names of its fields, a hello with 88 cipher suites: with that given
beforehand, a third of the bytes is left, 600 of a failure with its transcripts. A history without a file has them in memory, for each
endpoint that fails.

The dictionary is part of the format, and zlib names it in each document by a checksum (RFC 1950 §2.2, DICTID): the file is never
changed. A document that is not like it only becomes larger.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from prober.report import Json

__all__ = ["pack", "unpack"]

_DICTIONARY = Path(__file__).with_name("failures.dictionary")


@cache
def _dictionary() -> bytes:
    return _DICTIONARY.read_bytes()


def pack(document: Mapping[str, Json]) -> bytes:
    """What `unpack` gives back; text that is no Unicode (a lone surrogate) is replaced."""
    packer = zlib.compressobj(zdict=_dictionary())
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return packer.compress(text) + packer.flush()


def unpack(packed: bytes) -> dict[str, Any]:
    """The document; also of one that a prober of the second schema wrote, without a dictionary. ``ValueError``: it is damaged."""
    unpacker = zlib.decompressobj(zdict=_dictionary())
    try:
        document: dict[str, Any] = json.loads(unpacker.decompress(packed) + unpacker.flush())
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return document
