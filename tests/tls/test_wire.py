"""Reader and Writer: integers and vectors, bounds, and offsets that point at the trouble."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.errors import DecodeError
from prober.tls.wire import Reader, Writer

READS: list[tuple[str, Callable[[Reader], object], bytes, object]] = [
    ("u8", Reader.u8, b"\x7f", 0x7F),
    ("u16", Reader.u16, b"\x01\x02", 0x0102),
    ("u32", Reader.u32, b"\x01\x02\x03\x04", 0x01020304),
    ("opaque8", Reader.opaque8, b"\x02ab", b"ab"),
    ("opaque16", Reader.opaque16, b"\x00\x02ab", b"ab"),
    ("opaque24", Reader.opaque24, b"\x00\x00\x02ab", b"ab"),
    ("vector8", lambda r: r.vector8().rest(), b"\x02ab", b"ab"),
    ("vector16", lambda r: r.vector16().rest(), b"\x00\x02ab", b"ab"),
    ("vector24", lambda r: r.vector24().rest(), b"\x00\x00\x02ab", b"ab"),
    ("span16", lambda r: r.span16(), b"\x00\x02ab", (2, 4)),
    ("u16_list", Reader.u16_list, b"\x00\x04\x00\x01\x00\x02", (1, 2)),
    ("take", lambda r: r.take(3), b"abc", b"abc"),
]


@pytest.mark.parametrize(("name", "read", "data", "value"), READS)
def test_a_value_is_read_and_nothing_is_left(name: str, read: Callable[[Reader], object], data: bytes, value: object) -> None:
    """Big-endian, and exactly as long as its encoding."""
    reader = Reader(data, "Test")

    assert read(reader) == value
    assert reader.remaining == 0
    reader.expect_end()


@pytest.mark.parametrize(("name", "read", "data", "value"), READS)
def test_every_proper_prefix_is_an_error_inside_the_data(
    name: str, read: Callable[[Reader], object], data: bytes, value: object
) -> None:
    """Also where a vector's length promises more than there is."""
    for size in range(len(data)):
        with pytest.raises(DecodeError, match="needs") as caught:
            read(Reader(data[:size], "Test"))
        assert caught.value.message == "Test"
        assert caught.value.offset is not None
        assert caught.value.offset <= size


def test_a_sub_reader_cannot_look_behind_its_end() -> None:
    """Its bounds are the vector's, its offsets those of the whole message."""
    inner = Reader(b"\xaa\x01\x05\x06\x07", "Test", 1).vector8("names")
    assert inner.u8() == 5

    with pytest.raises(DecodeError, match="port needs 2 bytes, 0 are left") as caught:
        inner.u16("port")
    assert caught.value.offset == 3


def test_trailing_bytes_are_an_error_at_the_first_of_them() -> None:
    """``expect_end`` says how many."""
    reader = Reader(b"\x01\x02\x03", "Test")
    reader.u8()

    with pytest.raises(DecodeError, match="2 bytes follow the end of hello") as caught:
        reader.expect_end("hello")
    assert caught.value.offset == 1


def test_a_list_of_odd_length_is_an_error() -> None:
    """Half a value is none."""
    with pytest.raises(DecodeError, match="odd length"):
        Reader(b"\x00\x03\x00\x01\x00", "Test").u16_list()


@given(st.lists(st.binary(max_size=300), max_size=5), st.binary(max_size=20))
def test_what_is_written_is_read_again(vectors: list[bytes], tail: bytes) -> None:
    """Round trip through all three widths of length prefix."""
    writer = Writer()
    with writer.vector24():
        for vector in vectors:
            with writer.vector16():
                writer.raw(vector)
    with writer.vector8():
        writer.raw(tail)
    writer.u16(len(vectors))
    assert len(writer) == len(writer.getvalue())

    reader = Reader(writer.getvalue(), "Test")
    block = reader.vector24()
    assert [block.opaque16() for _ in vectors] == vectors
    block.expect_end()
    assert reader.opaque8() == tail
    assert reader.u16() == len(vectors)
    reader.expect_end()


def test_a_vector_that_does_not_fit_its_length_is_our_mistake() -> None:
    """OverflowError, not a truncated length."""
    writer = Writer()
    with pytest.raises(OverflowError), writer.vector8():
        writer.raw(bytes(256))
