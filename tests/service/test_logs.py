"""Log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from prober.service.logs import FORMATS, configure, event

NASTY = 'say "hi" = \\ \n\t\x1b[31m ünï'


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_logfmt_is_one_line_of_keys_and_values(stream: io.StringIO) -> None:
    """Values are quoted where they must be, None is left out, and the order is that of the call."""
    configure("info", "logfmt", stream)
    event(
        logging.getLogger("prober.service"),
        logging.INFO,
        "verdict",
        target="a b",
        address="[::1]:443",
        count=3,
        share=0.25,
        expected=True,
        was=None,
    )
    line = stream.getvalue()
    stamp, _, rest = line.partition(" ")
    assert stamp.startswith("ts=20")
    assert stamp.endswith("Z")
    assert rest == 'level=info msg=verdict target="a b" address=[::1]:443 count=3 share=0.25 expected=true\n'


def test_json_is_one_object_a_line(stream: io.StringIO) -> None:
    """With the same keys, and values of their own types."""
    configure("info", "json", stream)
    event(logging.getLogger("prober.service"), logging.WARNING, "verdict", target=NASTY, count=3, was=None)
    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "warning", "msg": "verdict", "target": NASTY, "count": 3, "was": None}


@pytest.mark.parametrize("form", FORMATS)
def test_no_value_breaks_the_line(form: str, stream: io.StringIO) -> None:
    """What a peer or a file says cannot forge a second line or colour a terminal."""
    configure("info", form, stream)
    event(logging.getLogger("prober.service"), logging.INFO, NASTY, value=NASTY)
    try:
        raise RuntimeError(NASTY)
    except RuntimeError:
        logging.getLogger("prober.probing").exception("a bug")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "\x1b" not in stream.getvalue()
    assert "prober.probing" in lines[1]
    assert "RuntimeError" in lines[1]


def test_below_the_level_nothing_is_written(stream: io.StringIO) -> None:
    """`--log-level warning` is quiet about what is normal."""
    configure("warning", "logfmt", stream)
    event(logging.getLogger("prober.service"), logging.INFO, "started")
    assert stream.getvalue() == ""
