"""Writing the bundle of ``prober diagnose bundle``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from prober.cli.diagnose_gather import Gathered
from prober.cli.diagnose_text import report
from prober.cli.parser import UsageError
from prober.cli.terminal import Terminal
from prober.diagnose.bundle import members, write
from prober.diagnose.evidence import EvidenceSet
from prober.findings import Finding

__all__ = ["write_bundle"]


def write_bundle(
    path: str, evidence: EvidenceSet, findings: tuple[Finding, ...], gathered: Gathered, document: Mapping[str, object]
) -> None:
    """Write the archive to ``path``; `UsageError` where it cannot be written. ``evidence`` is `redacted`, the rest is made from it."""
    text = "".join(f"{line}\n" for line in report(evidence, findings, gathered.captures, Terminal(width=100)))
    try:
        write(Path(path), members(evidence, findings, document, text, gathered.manifests), now=time.time())
    except OSError as error:
        raise UsageError(f"-o {path}: cannot be written ({error.strerror or error})") from None
