"""Carrying out ``prober diagnose``: gather, judge, print."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from prober.cli.diagnose_gather import Gathered
from prober.cli.diagnose_probe import ProbePlan, probe_all
from prober.cli.diagnose_text import report
from prober.cli.once_output import Output
from prober.cli.terminal import Terminal
from prober.diagnose.capture_document import capture_object
from prober.diagnose.capture_facts import CaptureFacts
from prober.diagnose.causes import diagnose, exit_status
from prober.diagnose.collect_kubectl import Kubectl
from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.log_document import log_object
from prober.findings import Finding, findings_document
from prober.report import result_object

__all__ = ["carry_out"]

_EXIT_USAGE, _EXIT_UNSURE = 2, 3


def carry_out(args: argparse.Namespace) -> int:
    """Everything that the command line asks for; the exit status."""
    gathered = _gather(args)
    evidence = gathered.evidence()
    if args.route == "bundle":
        from prober.diagnose.bundle import redacted

        # What is printed goes where the archive goes: neither has a secret in it.
        evidence = redacted(evidence)
    findings = diagnose(evidence)
    if args.route == "bundle":
        from prober.cli.diagnose_bundle import write_bundle

        write_bundle(args.output, evidence, findings, gathered, document(evidence, findings, gathered.captures))
    if args.format == "json":
        text = json.dumps(document(evidence, findings, gathered.captures), indent=1) + "\n"
    else:
        terminal = Terminal.of(sys.stdout, os.environ, colour=not args.no_color)
        text = "".join(f"{line}\n" for line in report(evidence, findings, gathered.captures, terminal))
        if args.route == "bundle":
            text += f"\nwritten: {args.output}\n"
    Output(sys.stdout).write(text)
    return _status(evidence, findings)


def document(evidence: EvidenceSet, findings: tuple[Finding, ...], captures: Mapping[str, CaptureFacts]) -> dict[str, Any]:
    """The document of ``--format json``: findings and sources as promised, and what was counted behind them."""
    whole: dict[str, Any] = dict(findings_document(findings, evidence.sources))
    if evidence.probes:
        whole["probes"] = [
            {
                **result_object(probe.differential, probe.judgement),
                "http": [
                    {"sni": each.sni.value, "host": each.host, "path": each.path, "status": each.status, "server": each.server, "error": each.error}
                    for each in probe.http
                ],
            }
            for probe in evidence.probes
        ]  # fmt: skip
    if evidence.logs is not None:
        whole["logs"] = log_object(evidence.logs)
    if captures:
        whole["captures"] = [capture_object(name, facts) for name, facts in captures.items()]
    return whole


def _status(evidence: EvidenceSet, findings: tuple[Finding, ...]) -> int:
    failed = [each for each in evidence.sources if each.error is not None]
    # A capture that was cut off, or half a packed log, has an error and counts for what is before it.
    if failed and len(failed) == len(evidence.sources) and not _anything_read(evidence):
        return _EXIT_USAGE
    status = exit_status(findings)
    return _EXIT_UNSURE if failed and status == 0 else status


def _anything_read(evidence: EvidenceSet) -> bool:
    return bool(evidence.capture or (evidence.logs is not None and evidence.logs.entries))


def _gather(args: argparse.Namespace) -> Gathered:
    words = vars(args)
    gathered = Gathered()
    if words.get("probes"):
        gathered.add_probes(probe_all(_probe_plan(args)))
        if args.settle is not None:
            time.sleep(args.settle)
    if words.get("live"):
        from prober.cli.diagnose_live import watch

        gathered.add_capture(args.live, *watch(args.live))
    for kind in ("logs", "capture", "routes", "overrides"):
        if kind == "logs" and words.get("follow"):
            from prober.cli.diagnose_follow import follow

            follow(words["logs"], gathered)
            continue
        for path in words.get(kind) or ():
            gathered.read(path, kind)
    for path in words.get("files") or ():
        gathered.read(path, None)
    if words.get("kubernetes"):
        from prober.cli.diagnose_cluster import ApiServer

        kubectl = Kubectl(namespace=args.namespace, context=args.context)
        gathered.read_kubernetes(ApiServer(kubectl), args.since, logs=args.route in {"all", "bundle"})
    return gathered


def _probe_plan(args: argparse.Namespace) -> ProbePlan:
    return ProbePlan(
        targets=args.probes,
        server_names=tuple(dict.fromkeys(args.server_name)),
        timeout=args.timeout,
        ca_file=args.ca_file,
        family=args.connect_ip,
        proxy_protocol=args.proxy_protocol,
        http=args.http,
        agent=args.http_agent,
    )
