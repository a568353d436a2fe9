"""What the tests need from the machine. Missing means: skip, with the reason; but where ``CI=true`` it means: fail.

A skipped test proves nothing, so the machine that guards the main branch may not skip: there everything must be installed.
"""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType
from typing import NoReturn

import pytest

__all__ = ["ci", "missing", "not_permitted", "optional_program", "require_module", "require_program"]

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Debian keeps servers (nginx, haproxy) where an unprivileged PATH does not look."""


def ci() -> bool:
    """True where nothing may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(reason: str) -> NoReturn:
    """End the running test: skipped with ``reason``, or failed where ``CI=true``."""
    if ci():
        pytest.fail(f"{reason} (CI=true: nothing may be skipped)", pytrace=False)
    pytest.skip(reason)


def require_program(name: str, *, package: str | None = None) -> str:
    """The absolute path of a program; ``package`` is what a person installs to get it."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)
    if found is None:
        missing(f"{name} is not installed (package {package or name})")
    return found


def require_module(name: str, *, package: str | None = None) -> ModuleType:
    """An optional Python module, imported."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"the Python module {name} is not installed (package {package or name})")


def not_permitted(reason: str) -> NoReturn:
    """End the running test, skipped: the kernel does not let this user do what it needs, and no package would change that."""
    pytest.skip(reason)


def optional_program(name: str) -> str:
    """The absolute path of a program that the tests are glad of and do without: skips even where ``CI=true``."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)
    if found is None:
        pytest.skip(f"{name} is not installed, which is no requirement")
    return found
