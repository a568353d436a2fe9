"""Gathering evidence: each source is read as far as it can be, and one that cannot is named while the others go on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from prober.diagnose.capture import Follower
from prober.diagnose.capture_facts import CaptureFacts
from prober.diagnose.capture_files import CaptureError, read_frames
from prober.diagnose.cluster import ClusterError, read_cluster
from prober.diagnose.collect_files import CLOUD_LOGGING_YAML, Input, InputError, Kind, printed_for_people, recognise
from prober.diagnose.evidence import CaptureEvidence, ClusterFacts, EvidenceSet, ProbeFacts
from prober.diagnose.evidence_capture import flow_groups
from prober.diagnose.log_blocks import BlockCounter
from prober.diagnose.logs import LogFacts
from prober.diagnose.manifest import Manifest, read_manifests
from prober.diagnose.overrides import OverridesFacts, is_overrides, read_overrides
from prober.diagnose.routes import RouteFacts, has_routes, read_routes
from prober.findings import Lint, SourceReport

if TYPE_CHECKING:
    from prober.cli.diagnose_cluster import ApiServer  # with httpx; only who asks a cluster pays for it

__all__ = ["Gathered", "LogReading"]

_MOST_FLAWS = 20
"""Mistakes that are told of a file of which nothing could be read: what is no YAML at all has as many as it has lines."""
_REDRAW = 4 * 1024 * 1024
"""Bytes between two drawings of the progress bar."""


@dataclass(slots=True)
class Gathered:
    """What was read so far, and the report on each source."""

    probes: list[ProbeFacts] = field(default_factory=list)
    logs: LogFacts | None = None
    log_names: list[str] = field(default_factory=list)
    captures: dict[str, CaptureFacts] = field(default_factory=dict)
    manifests: list[Manifest] = field(default_factory=list)
    overrides: list[OverridesFacts] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    cluster: ClusterFacts | None = None
    reports: list[SourceReport] = field(default_factory=list)
    unread: list[tuple[str, Lint]] = field(default_factory=list)
    known: dict[tuple[Kind, tuple[int, int]], SourceReport] = field(default_factory=dict)
    """What was read as what, by the file's identity: two names of one do not double what is counted."""

    def evidence(self) -> EvidenceSet:
        """Everything, as it is judged."""
        groups = tuple(group for name, facts in self.captures.items() for group in flow_groups(name, facts))
        not_read = sum(facts.not_read for facts in self.captures.values())
        cut = sum(facts.truncated for facts in self.captures.values())
        one_sided = sum(facts.one_sided for facts in self.captures.values())
        return EvidenceSet(
            probes=tuple(self.probes),
            logs=self.logs,
            log_names=tuple(self.log_names),
            capture=CaptureEvidence(groups=groups, files=tuple(self.captures), not_read=not_read, cut=cut, one_sided=one_sided)
            if self.captures
            else None,
            routes=self._all_routes(),
            overrides=tuple(self.overrides),
            cluster=self.cluster,
            texts=self.texts,
            sources=tuple(self.reports),
            unread=tuple(self.unread),
        )

    def _all_routes(self) -> RouteFacts | None:
        if not self.manifests:
            return None
        facts = read_routes(self.manifests)
        # What is missing in the others may stand in a file that is damaged as a whole.
        lost = any(source == "routes" for source, _ in self.unread) and not facts.complete
        return replace(facts, damaged=True) if lost else facts

    # -- files ---------------------------------------------------------------------------------------------------------

    def read(self, path: str, kind: Kind | None) -> None:
        """Read one file as ``kind``; None: as what its content says it is."""
        name = "standard input" if path == "-" else path
        try:
            with _ReadingProgress(name) as progress:
                source = Input(path, progress=progress.at)
                progress.expect(source.size)
                try:
                    if kind is None and not source.head:
                        raise InputError(f"{name}: is empty")
                    kind = kind or recognise(source)
                    if kind is None:
                        head = source.head.decode("utf-8-sig", "replace")
                        hint = printed_for_people(head) or "; say what it is with --logs, --capture, --routes or --overrides"
                        raise InputError(
                            f"{name}: is no access log, capture, ApigeeRoute or overrides.yaml that is recognised{hint}"
                        )
                    if not self._read_before(kind, source):
                        self._readers()[kind](source)
                        self._remember(kind, source)
                finally:
                    source.close()
        except InputError as error:
            self.failed(kind or "file", name, str(error))

    def _read_before(self, kind: Kind, source: Input) -> bool:
        first = None if source.identity is None else self.known.get((kind, source.identity))
        if first is None:
            return False
        summary = f"the same file as {first.name}, which is read once" if first.error is None else ""
        self.reports.append(SourceReport(kind=kind, name=source.name, error=first.error, summary=summary))
        return True

    def _remember(self, kind: Kind, source: Input) -> None:
        if source.identity is not None:
            self.known[kind, source.identity] = self.reports[-1]

    def _readers(self) -> dict[Kind, Callable[[Input], None]]:
        return {"logs": self._logs, "capture": self._capture, "routes": self._routes, "overrides": self._overrides}

    def _logs(self, source: Input) -> None:
        if source.is_binary:
            hint = "; it is a capture: give it with --capture" if recognise(source) == "capture" else ""
            raise InputError(f"{source.name}: is binary, so it is no access log{hint}")
        if CLOUD_LOGGING_YAML.match(source.head.decode("utf-8", "replace").replace("\r\n", "\n")):
            raise InputError(f"{source.name}: is YAML of Cloud Logging; print it with gcloud logging read --format=json")
        if (other := _manifest_kind(source)) is not None:
            # Read as a log it would have no entry, and the advice would be to turn the access log on.
            raise InputError(f"{source.name}: is YAML or JSON of another kind; give it with --{other}")
        self.read_log(source.name, source.blocks())

    def read_log(self, name: str, blocks: Iterable[str], kind: str = "logs") -> None:
        """Count one log, given in blocks of one or more whole lines."""
        reading = self.reading(name, kind)
        error = None
        try:
            for block in blocks:
                reading.add(block)
        except (InputError, ClusterError) as failure:
            error = str(failure)
        reading.finish(error)

    def reading(self, name: str, kind: str = "logs") -> LogReading:
        """A log of which more will come; several may be read at a time."""
        facts = self.logs = self.logs if self.logs is not None else LogFacts()
        self.log_names.append(name)
        return LogReading(name, kind, facts, self.reports)

    def _capture(self, source: Input) -> None:
        follower = Follower()
        error = None
        try:
            follower.feed(read_frames(source.stream()))
            error = source.damage
        except CaptureError as failure:
            error = source.damage or f"{source.name}: {failure}"
        except OSError as failure:
            error = f"{source.name}: cannot be read on ({failure.strerror or failure})"
        self.add_capture(source.name, follower.finish(), error)

    def add_capture(self, name: str, facts: CaptureFacts, error: str | None) -> None:
        """Take in what a capture, or live traffic, showed; ``error`` says why it could not be read (on)."""
        if error is None or facts.frames:
            self.captures[name] = facts
        nameless = sum(facts.without_name.values())
        total = nameless + sum(facts.with_name.values())
        unread = f"; {_counted(facts.not_read, 'packet')} not read" if facts.not_read else ""
        summary = f"{_counted(facts.frames, 'packet')}, {_counted(total, 'ClientHello')}, {nameless:,} without a name{unread}"
        anything = error is None or facts.frames
        self.reports.append(SourceReport(kind="capture", name=name, error=error, summary=summary if anything else ""))

    def _routes(self, source: Input) -> None:
        text = _written(source)
        manifest = read_manifests(source.name, text)
        if not manifest.documents and manifest.flaws and not printed_for_people(text):
            self._damaged("routes", manifest)
            return
        if not has_routes(manifest):
            hint = "; it is an overrides.yaml: give it with --overrides" if is_overrides(manifest) else printed_for_people(text)
            self.failed("routes", source.name, f"{source.name}: has no ApigeeRoute and no ApigeeRouteConfig{hint}")
            return
        self.manifests.append(manifest)
        count = len(read_routes([manifest]).routes)
        self.reports.append(SourceReport(kind="routes", name=source.name, summary=f"{count} object{'s' * (count != 1)}"))

    def _overrides(self, source: Input) -> None:
        text = _written(source)
        manifest = read_manifests(source.name, text)
        if not any(document.mapping() for document in manifest.documents):
            if manifest.flaws:
                self._damaged("overrides", manifest)
                self.texts[source.name] = text  # whoever asks for it wants it as it is
            else:
                self.failed("overrides", source.name, f"{source.name}: is empty or no mapping")
            return
        if has_routes(manifest):
            self.failed("overrides", source.name, f"{source.name}: holds Kubernetes objects; give it with --routes")
            return
        facts = read_overrides(manifest)
        self.overrides.append(facts)
        self.texts[source.name] = text
        summary = f"{_counted(len(facts.virtual_hosts), 'virtualhost')}, {_counted(len(facts.gateways), 'ingress gateway')}, {_counted(len(facts.lints), 'lint')}"
        self.reports.append(SourceReport(kind="overrides", name=source.name, summary=summary))

    # -- the wire and the cluster --------------------------------------------------------------------------------------

    def add_probes(self, probes: Sequence[ProbeFacts]) -> None:
        """Take in what was probed."""
        for probe in probes:
            self.probes.append(probe)
            self.reports.append(SourceReport(kind="probe", name=probe.where, summary=f"{probe.judgement.verdict.value}"))

    def read_kubernetes(self, cluster: ApiServer, since: str, *, logs: bool) -> None:
        """Read routes, pods, which Secrets are there, issues and, where ``logs``, the gateways' access logs."""
        reading = read_cluster(cluster)
        self.manifests += reading.manifests
        self.cluster = reading.facts
        if any(each.error is None for each in reading.reports):
            self.reports.append(SourceReport(kind="kubernetes", name="cluster", summary=f"through {cluster.way}"))
        self.reports += reading.reports
        if not logs or any(each.name == "cluster" for each in reading.reports):
            return
        self.read_log("kubernetes:logs", cluster.logs(since), kind="kubernetes")

    def _damaged(self, kind: str, manifest: Manifest) -> None:
        """Name a file whose mistakes left nothing to read; they are findings all the same, with their lines."""
        first = manifest.flaws[0]
        self.failed(kind, manifest.name, f"{manifest.name}:{first.line}: {first.text}")
        self.unread += ((kind, Lint(flaw.kind, manifest.name, flaw.line, flaw.text)) for flaw in manifest.flaws[:_MOST_FLAWS])

    def failed(self, kind: str, name: str, error: str) -> None:
        """Name a source that could not be read."""
        self.reports.append(SourceReport(kind=kind, name=name, error=error))


class LogReading:
    """One log while it is read: its share of all that is counted, and the report on it in the end."""

    def __init__(self, name: str, kind: str, facts: LogFacts, reports: list[SourceReport]) -> None:
        self._name, self._kind = name, kind
        self._facts, self._reports = facts, reports
        self._counter = BlockCounter(facts)
        self._counted = (0, 0, 0)
        self._first_damaged: int | None = None

    def add(self, block: str) -> None:
        """Count a block of whole lines."""
        with self._counting():
            self._counter.add(block)

    def finish(self, error: str | None = None) -> None:
        """No more will come; ``error`` says why, where that was not to be."""
        with self._counting():
            self._counter.finish()
        read, entries, damaged = self._counted
        first = f" (first in line {self._first_damaged})" if self._first_damaged is not None else ""
        broken = f", {damaged:,} damaged{first}" if damaged else ""
        summary = f"{_counted(read, 'line')}, {entries:,} of the access log{broken}"
        anything = error is None or read
        self._reports.append(SourceReport(kind=self._kind, name=self._name, error=error, summary=summary if anything else ""))

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        facts, known = self._facts, len(self._facts.damaged)
        before = (facts.lines, facts.entries, facts.damaged_count)
        yield
        after = (facts.lines, facts.entries, facts.damaged_count)
        self._counted = tuple(has + now - was for has, now, was in zip(self._counted, after, before, strict=True))  # type: ignore[assignment]
        if self._first_damaged is None and len(facts.damaged) > known:
            self._first_damaged = facts.damaged[known]


def _manifest_kind(source: Input) -> Kind | None:
    """``routes`` or ``overrides`` where it is certain; words alone, as in a controller's messages, are not enough."""
    kind = recognise(source)
    if kind not in {"routes", "overrides"}:
        return None
    manifest = read_manifests(source.name, source.head.decode("utf-8-sig", "replace"))
    return kind if has_routes(manifest) or is_overrides(manifest) else None


def _written(source: Input) -> str:
    """The text of a manifest; `InputError` for what is none."""
    if source.is_binary:
        raise InputError(f"{source.name}: is binary, so it is no YAML and no JSON")
    return source.text()


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


class _ReadingProgress:
    """A progress bar on a terminal's standard error, by bytes; nothing elsewhere, and nothing for what is read at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._drawn = 0
        self._total: int | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def expect(self, size: int | None) -> None:
        """How many bytes there will be."""
        self._total = size

    def at(self, position: int) -> None:
        """So many were read."""
        if position - self._drawn < _REDRAW or not sys.stderr.isatty():
            return
        self._drawn = position
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(), TimeRemainingColumn(),
                console=Console(file=sys.stderr), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._task = self._bar.add_task(self._name[-30:], total=self._total)
            self._bar.start()
        self._bar.update(self._task, completed=position)
        self._bar.refresh()

    def __exit__(self, *_exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
