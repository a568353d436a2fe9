"""What is found out about a terminal, and how text is made to fit it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.cli.terminal import Paint, Terminal, columns, printable


class Stream(io.TextIOWrapper):
    """A stream that is a terminal, or is none."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        """As told."""
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environ", "asked", "colour"),
    [
        (True, {}, True, True),
        (True, {"NO_COLOR": "1"}, True, False),
        (True, {"NO_COLOR": ""}, True, True),
        (True, {"TERM": "dumb"}, True, False),
        (True, {}, False, False),
        (False, {}, True, False),
        (False, {"FORCE_COLOR": "1"}, True, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_for_terminals_unless_the_environment_says_otherwise(
    terminal: bool, environ: dict[str, str], asked: bool, colour: bool
) -> None:
    """An empty NO_COLOR counts as not there (no-color.org); ``--no-color`` beats everything."""
    assert Terminal.of(Stream(terminal=terminal), environ, colour=asked).colour is colour


def test_the_width_is_the_environments_or_the_terminals() -> None:
    """A width in which no table can be kept in shape is not taken at its word."""
    assert Terminal.of(Stream(terminal=True), {"COLUMNS": "132"}).width == 132
    assert Terminal.of(Stream(terminal=True), {"COLUMNS": "9"}).width == 60
    assert Terminal.of(Stream(terminal=False), {}).width >= 60


@pytest.mark.parametrize("wanted", ["\u00b2", "9" * 5000, "-3", "wide"])
def test_a_width_that_is_no_number_is_passed_over(wanted: str) -> None:
    """A superscript is a digit, and int() does not take it; nor does it take thousands of digits."""
    assert Terminal.of(Stream(terminal=False), {"COLUMNS": wanted}).width == Terminal.of(Stream(terminal=False), {}).width


@pytest.mark.parametrize(("encoding", "fancy"), [("utf-8", True), ("UTF8", True), ("ascii", False), ("latin-1", False)])
def test_characters_are_what_the_encoding_has(encoding: str, fancy: bool) -> None:
    """A tick where there is one."""
    terminal = Terminal.of(Stream(terminal=True, encoding=encoding), {})
    assert terminal.symbol("✓", "+") == ("✓" if fancy else "+")


@given(text=st.text(max_size=60), width=st.integers(3, 40), unicode=st.booleans())
def test_shortened_text_fits_and_says_that_it_was_shortened(text: str, width: int, unicode: bool) -> None:
    """Text that fits is left alone."""
    text = printable(text)
    short = Terminal(unicode=unicode).shorten(text, width)
    assert columns(short) <= width
    if columns(text) <= width:
        assert short == text
    else:
        assert short.endswith("…" if unicode else "..")


@given(text=st.text(max_size=60))
def test_printable_text_is_printable(text: str) -> None:
    """And text that is so already is unchanged."""
    assert printable(text).isprintable()
    assert not text.isprintable() or printable(text) == text


def test_wide_characters_take_two_columns() -> None:
    """And combining ones none."""
    assert columns("証明書") == 6
    assert columns("e\u0301") == 1


def test_paint_is_left_out_where_there_is_no_colour() -> None:
    """And around nothing."""
    assert Terminal().paint("x", Paint.BAD) == "x"
    assert Terminal(colour=True).paint("x", Paint.STRONG, Paint.BAD) == "\x1b[1;31mx\x1b[0m"
    assert Terminal(colour=True).paint("", Paint.BAD) == ""
