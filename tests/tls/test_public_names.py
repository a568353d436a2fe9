"""The package's public names: all there, each from its module, and none loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import prober.tls


@pytest.mark.parametrize("name", prober.tls.__all__)
def test_a_public_name_is_that_of_its_module(name: str) -> None:
    """Asked for on the package, it is loaded from there."""
    value = getattr(prober.tls, name)

    assert value is getattr(import_module(f"prober.tls.{prober.tls._MODULES[name]}"), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = prober.tls.Server  # type: ignore[attr-defined]


def test_the_facts_come_without_cryptography() -> None:
    """`prober --version` does not pay for it."""
    code = "import sys, prober.model; sys.exit('cryptography' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
