"""YAML that would overrun the stack, before it does."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from prober.yaml_text import MOST_LEVELS, compose

DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        "{a: " * DEEP + "}" * DEEP,
        "- " * DEEP + "a",
        "? " * DEEP + "a",
        "\n".join(f"{' ' * level}a:" for level in range(1_000)),
        "\u2028".join(f"{' ' * level}a:\r{' ' * level}-" for level in range(1, 300)),
        "\n".join(f"{' ' * level}- a:" for level in range(0, 1_000, 2)) + "[" * 120,
    ],
    ids=["open brackets", "brackets", "braces", "dashes on a line", "keys of keys", "lines", "lists in mappings", "both styles"],
)
def test_what_is_nested_deeply_is_an_error(text: str) -> None:
    """In a process of its own, which a stack that is overrun would end with a signal."""
    code = (
        "import sys, yaml; from prober.yaml_text import compose\n"
        "try: compose(sys.stdin.read())\n"
        "except yaml.MarkedYAMLError as error: print(error.problem)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"lists and mappings are nested more than {MOST_LEVELS} deep")


def test_what_is_wide_or_as_deep_as_may_be_is_read() -> None:
    """Brackets in quotes and one behind the other are no levels."""
    assert isinstance(compose("[" * MOST_LEVELS + "]" * MOST_LEVELS), yaml.SequenceNode)
    wide = compose("- [a, b]\n- '[[['\n" * 1_000)
    assert isinstance(wide, yaml.SequenceNode)
    assert len(wide.value) == 2_000
    assert compose("") is None
