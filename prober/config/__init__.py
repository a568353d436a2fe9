"""YAML text -> frozen model values. What travels further is a `prober.model.Target`, never an object called config.

The text is read as nodes (`nodes`), not as Python values, so that every complaint names file, line and path, and so that
``tls: 1.0`` keeps its zero. A reader (`readers`, `targets`, ...) turns one node into one value or raises `Wrong`; the complaints
of all readers are collected and raised together as one `ConfigError`. Environment variables and ``~`` are not expanded: a file
means the same wherever it is read. Relative paths are relative to the file that names them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.config.document import Config, Listen, load
    from prober.config.problems import ConfigError, Problem

__all__ = ["Config", "ConfigError", "Listen", "Problem", "load"]

_MODULES = {"Config": "document", "ConfigError": "problems", "Listen": "document", "Problem": "problems", "load": "document"}


def __getattr__(name: str) -> object:
    # Loaded when they are asked for: `prober once` needs the trust anchors alone, and YAML takes 30 ms to import.
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
