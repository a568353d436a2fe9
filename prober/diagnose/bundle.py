"""The archive for support: what the playbook asks to collect, with an index, and without secrets.

`members` is pure: names and texts. `write` makes the archive. Every text passes `redaction` on its way in, whatever it was made from.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from prober.diagnose.case import Case
from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.manifest import Manifest
from prober.diagnose.redaction import redact, redact_value
from prober.diagnose.route import Route
from prober.findings import Finding

__all__ = ["members", "redacted", "write"]


def redacted(evidence: EvidenceSet) -> EvidenceSet:
    """The evidence to diagnose anew for a bundle: a diff made of its texts has no secret in the lines around the change."""
    sources = tuple(replace(each, error=None if each.error is None else redact(each.error)) for each in evidence.sources)
    return replace(evidence, texts={name: redact(text) for name, text in evidence.texts.items()}, sources=sources)


def members(
    evidence: EvidenceSet,
    findings: tuple[Finding, ...],
    document: Mapping[str, object],
    report: str,
    manifests: Iterable[Manifest],
) -> dict[str, str]:
    """Name -> text of everything in the archive, redacted once more; ``index.txt`` says what each is.

    ``evidence`` is `redacted`, ``findings``, ``document`` and ``report`` (the text for people) are made from it.
    """
    found: dict[str, tuple[str, str]] = {
        "report.txt": ("the diagnosis for people: evidence, causes, fixes", redact(report)),
        "findings.json": ("the same for programs", _json(document)),
    }
    for number, (name, text) in enumerate(evidence.texts.items(), start=1):
        found[f"overrides/{number}-{_file_name(name)}"] = (f"overrides.yaml, from {name}", redact(text))
    if evidence.routes is not None:
        found["routes/get.txt"] = ("kubectl get apigeeroutes, as far as it was given", _listing(evidence.routes.routes))
        for name, text in _objects(manifests):
            found[f"routes/describe/{name}.yaml"] = ("one object: spec and status", text)
    found["environment-groups.txt"] = ("hostnames and links of each environment group", redact(_groups(Case(evidence))))
    for key, what in (
        ("probes", "the handshakes with each address"),
        ("logs", "counts of the access logs: source addresses, no requests"),
        ("captures", "ClientHellos of the captures, counted; no payload"),
    ):
        if document.get(key):
            found[f"{key}.json"] = (what, _json(document[key]))
    index = "".join(f"{name:<45} {len(_encoded(text)):>9} bytes  {what}\n" for name, (what, text) in sorted(found.items()))
    named = ", ".join(dict.fromkeys(finding.id for finding in findings))
    head = (
        "Diagnostic information about TLS clients without SNI, collected by `prober diagnose bundle`.\n"
        "Private keys, passwords, tokens, service accounts, proxy credentials and encryption keys were taken out;\n"
        "client addresses and hostnames were not: look before you send it.\n\n"
        f"findings: {named}\n\n"
    )
    sources = "".join(
        f"{each.kind:<10} {each.name}: {each.error or each.summary}\n" for each in evidence.sources
    )  # fmt: skip
    return {"index.txt": redact(f"{head}{index}\nread from:\n{sources}"), **{name: text for name, (_, text) in found.items()}}


def write(path: Path, texts: Mapping[str, str], *, now: float) -> None:
    """Write the archive, readable by its owner alone. ``now``: the members' time, in seconds. Raises `OSError`."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in texts.items():
            content = _encoded(text)
            member = tarfile.TarInfo(f"prober-bundle/{name}")
            member.size, member.mtime, member.mode = len(content), int(now), 0o600
            archive.addfile(member, io.BytesIO(content))
    # Mode 0600, and a name that nobody foresees: in /tmp a link may lie in wait at any other.
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".prober-bundle-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.getvalue())
        Path(partial).replace(path)
    except BaseException:
        # On a full disk what came so far is in the way of everything else.
        with suppress(OSError):
            Path(partial).unlink()
        raise


def _encoded(text: str) -> bytes:
    """JSON and YAML can hold halves of characters (a lone surrogate), which have no encoding."""
    return text.encode("utf-8", "replace")


def _json(value: object) -> str:
    return json.dumps(redact_value(value), indent=1, default=str) + "\n"


def _file_name(path: str) -> str:
    name = re.sub(r"[^\w.-]", "_", path.replace("\\", "/").rpartition("/")[2])
    return name.strip(".") or "overrides.yaml"


def _objects(manifests: Iterable[Manifest]) -> Iterable[tuple[str, str]]:
    counted: dict[str, int] = {}
    for manifest in manifests:
        for document in manifest.documents:
            for node in document.items("items") or (document,):
                name = _file_name(f"{node.text('kind') or 'object'}-{node.text('metadata', 'name') or 'unnamed'}").lower()
                counted[name] = counted.get(name, 0) + 1
                text = yaml.safe_dump(redact_value(node.plain()), sort_keys=False, allow_unicode=True)
                yield (name if counted[name] == 1 else f"{name}-{counted[name]}"), redact(text)


def _listing(routes: Iterable[Route]) -> str:
    rows = [("NAMESPACE", "KIND", "NAME", "STATE", "HOSTNAMES", "NON-SNI", "ADDITIONAL GATEWAYS")]
    rows += [
        (
            each.namespace or "-",
            each.kind,
            each.name,
            each.state or "-",
            ",".join(each.hostnames) or "-",
            str(each.enable_non_sni_client).lower() if each.enable_non_sni_client is not None else "-",
            ",".join(each.additional_gateways) or "-",
        )
        for each in routes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


def _groups(case: Case) -> str:
    lines = [
        f"{host.name}: additionalGateways {', '.join(host.additional_gateways) or 'none'}; tlsMode {host.tls_mode} ({file}:{host.line})"
        for file, host in case.virtual_hosts
    ]
    lines += [
        f"{route.kind} {route.name}: hostnames {', '.join(route.hostnames) or 'none'}; additionalGateways {', '.join(route.additional_gateways) or 'none'}"
        for route in (*case.route_configs, *case.group_routes)
    ]
    return "\n".join(lines or ["no environment group is known: give overrides.yaml or the ApigeeRoutes"]) + "\n"
