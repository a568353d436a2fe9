"""The values that a diagnosis is made of; they live in `prober.findings`, where those who show them find them, too."""

from __future__ import annotations

from prober.findings import Confidence, Evidence, Finding, Fix, Lint, Severity, SourceReport, findings_document

__all__ = ["Confidence", "Evidence", "Finding", "Fix", "Lint", "Severity", "SourceReport", "findings_document"]
