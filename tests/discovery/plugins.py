"""Exec plugins as tests write them: a Python program, and the entry of a kubeconfig that runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["VERSION", "credential", "plugin"]

VERSION = "client.authentication.k8s.io/v1"


def plugin(directory: Path, script: str, **more: Any) -> dict[str, Any]:
    """A user's ``exec``."""
    program = directory / "plugin.py"
    program.write_text(script)
    return {"apiVersion": VERSION, "command": sys.executable, "args": ["-S", str(program)], **more}


def credential(**status: Any) -> str:
    """A program that prints it."""
    return f"print({json.dumps({'apiVersion': VERSION, 'kind': 'ExecCredential', 'status': status})!r})\n"
