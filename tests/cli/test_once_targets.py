"""Targets from files: every line counts, whatever the blocks in which they arrive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.cli.once_targets import BadLine, LineSplitter, Recipe, TargetFile
from prober.model import Module, NonSniPolicy, Target

RECIPE = Recipe(module=Module(), server_names=("a.example",), timeout=5.0, non_sni=NonSniPolicy.CERTIFICATE)


def read(*blocks: bytes) -> list[str]:
    """Names of targets, and bad lines as they are told."""
    splitter = LineSplitter("targets.txt", RECIPE)
    found: list[Target | BadLine] = [item for block in (*blocks, b"") for item in splitter.feed(block)]
    return [item.name if isinstance(item, Target) else str(item) for item in found]


def test_one_target_a_line_with_comments_and_empty_lines() -> None:
    """As people and as Windows write files; a byte order mark is no part of the first name."""
    text = b"\xef\xbb\xbf# ingresses\r\n192.0.2.1:8443 # the old one\r\n\r\n   \n\tapi.example.com\t\n[2001:db8::1]:443"
    assert read(text) == ["192.0.2.1:8443", "api.example.com", "[2001:db8::1]:443"]


def test_a_bad_line_is_told_with_its_place_and_the_others_are_kept() -> None:
    """File and line, as compilers say it."""
    told = read(b"192.0.2.1\n# fine\nhttp://b.example\n192.0.2.2\nb\xff.example\n192.0.2.3\n")
    assert [told[0], told[2], told[4]] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert told[1].startswith("targets.txt:3: 'http://b.example' has the scheme 'http'")
    assert told[3] == "targets.txt:5: the line is not UTF-8 (byte 0xff at column 2)"


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    """It is one bad line, at its number, and what follows is read."""
    splitter = LineSplitter("targets.txt", RECIPE)
    kept = []
    for _ in range(100):
        assert list(splitter.feed(b"x" * 65536)) == []
        kept.append(len(splitter._rest))
    assert max(kept) <= 4096
    told = [*splitter.feed(b"x\n192.0.2.1\n"), *splitter.feed(b"")]
    assert str(told[0]) == "targets.txt:1: the line is longer than 4096 bytes; write one target a line"
    assert isinstance(told[1], Target)
    assert len(told) == 2


LINE = st.sampled_from(
    [b"192.0.2.1", b"api.example.com", b"", b"# x", b"bad one", b"\xff", b"\xc3\xa9.example", b"y" * 5000, b"\r"]
)


@given(lines=st.lists(LINE, max_size=12), data=st.data())
def test_blocks_do_not_matter(lines: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere, a file holds the same targets and the same bad lines; one for each line that is not empty."""
    text = b"\n".join(lines)
    whole = read(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(*filter(None, pieces)) == whole
    assert read(*(bytes((byte,)) for byte in text)) == whole
    assert len(whole) == sum(line not in {b"", b"# x", b"\r"} for line in lines)


@given(text=st.binary(max_size=300))
def test_no_bytes_make_it_fail(text: bytes) -> None:
    """Everything that a file can hold is a target or a bad line."""
    assert len(read(text)) <= text.count(b"\n") + 1


def test_counts_the_lines_of_a_file_without_consuming_them(tmp_path: Path) -> None:
    """For the progress bar; of a pipe nobody knows."""
    path = tmp_path / "targets"
    path.write_bytes(b"192.0.2.1\n" * 20_000)
    file = TargetFile(str(path))
    assert file.count_lines() == 20_000
    assert file.read().startswith(b"192.0.2.1\n")
    file.close()
    file.close()

    reading, writing = os.pipe()
    os.close(writing)
    pipe = TargetFile(f"/dev/fd/{reading}")
    assert pipe.count_lines() is None
    assert pipe.read() == b""
    pipe.close()
    os.close(reading)


def test_a_directory_is_no_file_of_targets(tmp_path: Path) -> None:
    """Told at once, not in the middle of a run."""
    with pytest.raises(IsADirectoryError):
        TargetFile(str(tmp_path))
