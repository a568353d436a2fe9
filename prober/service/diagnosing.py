"""Why a target fails: for each that is at fault, the last rounds and what its cluster says are put together and judged.

It looks at the store now and then, and touches neither rounds nor alerts: a cluster that is slow, silent or gone delays the findings
alone. One collection runs at a time, at most one in `GAP_SECONDS` a cluster, with a deadline; what it came to serves all targets. When
a cluster cannot be asked, its last answer is judged together with the newest rounds, and its age is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import time

import trio

from prober.config.diagnosis import Diagnosing as Settings
from prober.diagnose.causes import diagnose
from prober.diagnose.evidence import EvidenceSet, ProbeFacts
from prober.discovery.kubernetes_client import Client
from prober.findings import Diagnosis, Finding, SourceReport
from prober.model import Verdict
from prober.service.installations import Installation, read_installations, that_serves
from prober.service.logs import event
from prober.snapshot import EndpointState, StateKey, Store
from prober.sources import KubernetesSource, SourceError

__all__ = ["Diagnosing"]

_log = logging.getLogger("prober.service")

LOOK_SECONDS = 1.0
"""Between two looks at the store."""
LOOK_PART = 250
"""States that are looked at before the probing loop runs again: 0.05 ms."""
GAP_SECONDS = 10.0
"""A cluster is asked at most so often, however many targets fail and recover."""
COLLECT_SECONDS = 30.0
"""For all answers of one cluster together."""
AT_ONCE = 20
"""Targets that are diagnosed before the store is looked at again, those first that have waited longest."""
REST = 4.0
"""Seconds of rest for each second that a diagnosis took: it shares the interpreter with the probing loop."""
MOST_TARGETS = 200
"""Targets that are diagnosed; when more fail at once, they fail for the reasons of these."""
MOST_PROBES = 20
"""Endpoints of one target that are evidence, those at fault first."""

_Seen = frozenset[tuple[StateKey, tuple[Verdict, ...]]]
"""What fails, and how: when it is something else, the cause may be another one."""


@dataclass(slots=True)
class _Cluster:
    """One cluster, and what it said last."""

    source: KubernetesSource
    client: Client
    installations: tuple[Installation, ...] = ()
    read_at: float | None = None
    asked: float = float("-inf")
    """In seconds of Trio's clock, when the last attempt ended."""
    trouble: str = ""


@dataclass(slots=True)
class _Case:
    """One target that fails."""

    seen: _Seen
    diagnosis: Diagnosis
    judged: float = float("-inf")
    """In seconds of Trio's clock."""


@dataclass(slots=True)
class _Failing:
    states: list[EndpointState] = field(default_factory=list)
    at_fault: bool = False

    def seen(self) -> _Seen:
        return frozenset((state.key, state.judgement.faults) for state in self.states if state.judgement.at_fault)


class Diagnosing:
    """Run it; then `of` answers at once, from what is known."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time) -> None:
        self._store = store
        self._clock = clock
        self._refresh = settings.refresh
        self._clusters: list[_Cluster] = []
        self._cases: dict[str, _Case] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings into use; a cluster that stays keeps what it said."""
        known = self._clusters
        self._refresh = settings.refresh
        self._clusters = [
            next((one for one in known if one.source == source), None)
            or _Cluster(source, Client(source.kubeconfig, source.context))
            for source in settings.clusters
        ]
        if [one.source for one in known] != list(settings.clusters):
            self._cases.clear()

    def of(self, target: str) -> Diagnosis | None:
        """None: the target does not fail, or there is no cluster to ask."""
        case = self._cases.get(target)
        return None if case is None else case.diagnosis

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            if not self._clusters and not self._cases:
                continue
            try:
                await self._look()
            except Exception:
                _log.exception("a bug of prober's own ended a diagnosis")

    async def _look(self) -> None:
        clusters = self._clusters
        failing = await self._failing() if clusters else {}
        if self._clusters is not clusters:
            return  # a reload came between
        for name in self._cases.keys() - failing.keys():
            del self._cases[name]
        for name, one in failing.items():
            if name not in self._cases:
                self._cases[name] = _Case(one.seen(), Diagnosis(at=self._clock()))
        due = [name for name, one in failing.items() if self._is_due(self._cases[name], one)]
        if not due:
            return
        for cluster in clusters:  # a reload may put others in their place meanwhile
            await self._ask(cluster)
        for name in sorted(due, key=lambda name: self._cases[name].judged)[:AT_ONCE]:
            case = self._cases.get(name)
            if case is None:
                continue  # a reload came between
            began = trio.current_time()
            case.seen, case.judged = failing[name].seen(), began
            case.diagnosis = await self._diagnose(clusters, failing[name].states, case.diagnosis.findings)
            await trio.sleep(REST * (trio.current_time() - began))

    def _is_due(self, case: _Case, now: _Failing) -> bool:
        age = trio.current_time() - case.judged
        return age >= self._refresh or (age >= self._gap and now.seen() != case.seen)

    @property
    def _gap(self) -> float:
        return min(GAP_SECONDS, self._refresh / 2)

    async def _failing(self) -> dict[str, _Failing]:
        """The targets that are at fault, with all their endpoints: what the others show is evidence, too."""
        found: dict[str, _Failing] = {}
        states = self._store.states()
        for begin in range(0, len(states), LOOK_PART):
            for state in states[begin : begin + LOOK_PART]:
                if state.judgement.at_fault and (len(found) < MOST_TARGETS or state.key.target in found):
                    found.setdefault(state.key.target, _Failing()).states.append(state)
            await trio.lowlevel.checkpoint()
        if found:
            for begin in range(0, len(states), LOOK_PART):
                for state in states[begin : begin + LOOK_PART]:
                    if not state.judgement.at_fault and state.key.target in found:
                        found[state.key.target].states.append(state)
                await trio.lowlevel.checkpoint()
        return found

    async def _ask(self, cluster: _Cluster) -> None:
        """Read the cluster again, unless it was asked a moment ago."""
        if trio.current_time() - cluster.asked < self._gap:
            return
        before = cluster.trouble
        try:
            with trio.fail_after(COLLECT_SECONDS):
                cluster.installations = await read_installations(cluster.client, cluster.source)
        except SourceError as error:
            cluster.trouble = str(error)
        except trio.TooSlowError:
            cluster.trouble = f"it did not answer everything within {COLLECT_SECONDS:g} s"
        else:
            cluster.read_at, cluster.trouble = self._clock(), ""
        finally:
            cluster.asked = trio.current_time()
        if cluster.trouble and cluster.trouble != before:
            event(_log, logging.WARNING, "a cluster cannot be asked for causes", problem=cluster.trouble)

    async def _diagnose(
        self, clusters: Sequence[_Cluster], states: Sequence[EndpointState], before: tuple[Finding, ...]
    ) -> Diagnosis:
        states = states[:MOST_PROBES]
        mine, installation = _behind(clusters, states)
        reports = [SourceReport(kind="probe", name=state.key.address, summary=state.judgement.verdict.value) for state in states]
        if installation is not None:
            reports += installation.reports
        elif not mine.trouble:
            nobody = "nothing of Apigee that the cluster shows leads to this target"
            reports.append(SourceReport(kind="kubernetes", name="cluster", summary=nobody))
        if mine.trouble:
            reports.append(SourceReport(kind="kubernetes", name="cluster", error=mine.trouble))
        evidence = EvidenceSet(
            probes=tuple(ProbeFacts(differential=state.differential, judgement=state.judgement) for state in states),
            routes=None if installation is None else installation.routes,
            cluster=None if installation is None else installation.facts,
            sources=tuple(reports),
        )
        at = self._clock()
        findings = await trio.to_thread.run_sync(diagnose, evidence)
        if [one.id for one in findings] != [one.id for one in before]:
            top = findings[0]
            event(
                _log,
                logging.INFO,
                "cause",
                target=states[0].key.target,
                id=top.id,
                confidence=top.confidence,
                summary=top.summary,
            )
        return Diagnosis(
            findings=findings,
            sources=tuple(reports),
            at=at,
            read_at=None if installation is None else mine.read_at,
            trouble=mine.trouble,
        )


def _behind(clusters: Sequence[_Cluster], states: Sequence[EndpointState]) -> tuple[_Cluster, Installation | None]:
    """The cluster and the installation that serve a target; of none, the first cluster with trouble, if any."""
    owners = {id(one): cluster for cluster in clusters for one in cluster.installations}
    found = that_serves((one for cluster in clusters for one in cluster.installations), states)
    if found is not None:
        return owners[id(found)], found
    return next((cluster for cluster in clusters if cluster.trouble), clusters[0]), None
