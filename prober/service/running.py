"""What the outlets may ask of the running service: reads, a reload, a probe now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time

import trio

from prober.addresses import is_ip
from prober.config import Config, ConfigError, Problem
from prober.config.alerting import Alerting
from prober.config.allow import permits
from prober.config.show import show
from prober.findings import Diagnosis
from prober.judge.chains import assess
from prober.judge.verdicts import judge
from prober.model import Address, Endpoint, Module, Target
from prober.operations import ProbeAnswer, ProbeRefused, ProbeRequest, Reloaded
from prober.probing.resolve import ResolveError, resolve
from prober.probing.runner import Runner
from prober.service.file_stamps import Stamp, stamp
from prober.service.logs import event
from prober.service.plan import Plan, Watched, load_plan, watched
from prober.service.rounds import Rounds
from prober.service.web_access import refuse_other_protocol
from prober.service.workers import Workers
from prober.snapshot import Statistics, Store

__all__ = ["RunningService"]

_log = logging.getLogger("prober.service")


class RunningService:
    """Implements `prober.operations.Operations`."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        runner: Runner,
        rounds: Rounds | Workers,
        store: Store,
        statistics: Statistics,
        on_alerting: Callable[[Alerting], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._plan = plan
        self._by_address: dict[Address, Watched] = {}
        self._reloading = trio.Lock()
        self._runner = runner
        self._rounds = rounds
        self._store = store
        self._statistics = statistics
        self._on_alerting = on_alerting
        self._found: tuple[Target, ...] = ()
        self._targets: tuple[Target, ...] = ()
        self.on_config: Callable[[Config], None] = lambda _: None
        """Told of every configuration that is reloaded."""
        self.on_read: Callable[[Stamp], None] = lambda _: None
        """Told what the files are like that a reload reads: those of the running configuration, and then those of the new one."""
        self.on_reload: Callable[[bool], None] = lambda _: None
        """Told when a reload begins (True), and when it is over."""
        self.diagnosed: Callable[[str], Diagnosis | None] = lambda _: None
        """Who knows why a target fails."""
        self._unanswered = tuple(source.name for source in plan.config.discovery)
        self._rounds.awaiting_targets = bool(self._unanswered)
        self._adopt(plan)

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """All states."""
        return self._store

    @property
    def statistics(self) -> Statistics:
        """The service's own counters."""
        return self._statistics

    @property
    def targets(self) -> tuple[Target, ...]:
        """Those of this shard, in the configuration's order, then those that were discovered."""
        return self._targets

    @property
    def modules(self) -> Mapping[str, Module]:
        """By name."""
        return self._plan.config.modules

    @property
    def ready(self) -> bool:
        """Configuration loaded and first round done."""
        return self._rounds.first_round_done

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Discovery sources that are still to answer for the first time."""
        return self._unanswered

    def diagnosis(self, target: str) -> Diagnosis | None:
        """Why a target fails."""
        return self.diagnosed(target)

    def running_config(self) -> str:
        """As YAML."""
        return show(self._plan.config)

    # -- reload --------------------------------------------------------------------------------------------------------

    async def reload(self) -> Reloaded:
        """Read the configuration again, in a thread since it may be large; swap only what was checked whole."""
        async with self._reloading:  # one after the other, so that the file's last state wins
            self.on_reload(True)
            try:
                return await self._reload()
            finally:
                self.on_reload(False)

    async def _reload(self) -> Reloaded:
        # Also of one that is refused it is known what it was refused for.
        self.on_read(await trio.to_thread.run_sync(stamp, self._plan.files, abandon_on_cancel=True))
        try:
            # Abandoned at the end of the service: a file on a share that hangs does not hold it up.
            plan = await trio.to_thread.run_sync(load_plan, self._path, self._plan.options, abandon_on_cancel=True)
            _refuse_what_needs_a_restart(self._plan, plan)
        except ConfigError as error:
            self._statistics.reload_successful = False
            for problem in error.problems:
                event(_log, logging.ERROR, "reload refused", problem=str(problem))
            return Reloaded(tuple(map(str, error.problems)))
        self._adopt(plan)
        self._on_alerting(plan.config.alerting)
        self.on_config(plan.config)
        self.on_read(plan.seen)
        self._statistics.reload_successful = True
        self._statistics.reload_success_timestamp = time()
        event(_log, logging.INFO, "reloaded", file=str(self._path), targets=self._statistics.targets["config"])
        return Reloaded()

    def _adopt(self, plan: Plan) -> None:
        self._plan = plan
        for doubt in plan.config.doubts:
            event(_log, logging.WARNING, "hardly what is meant", problem=str(doubt))
        shard = plan.options.shard
        self._statistics.shard, self._statistics.shards = shard.number, shard.of
        self._statistics.vantage = plan.config.vantage or ""
        self._statistics.targets["config"] = sum(shard.owns(target.name) for target in plan.config.targets)
        self._watch()

    def discovered(self, targets: tuple[Target, ...], unanswered: tuple[str, ...]) -> None:
        """Watch these beside the configured ones; ``unanswered`` are the sources that are still to answer for the first time."""
        self._found = targets
        self._unanswered = unanswered
        self._rounds.awaiting_targets = bool(unanswered)
        self._watch()

    def _watch(self) -> None:
        configured = self._plan.config.targets
        # A name that a reload has just given to a configured target is its own; what was found is made anew at once.
        names = {target.name for target in configured}
        everywhere = (*configured, *(target for target in self._found if target.name not in names))
        shard = self._plan.options.shard
        self._targets = tuple(target for target in everywhere if shard.owns(target.name))
        self._rounds.policy = self._plan.config.alerting.policy
        by_key = watched(self._targets)
        # `/probe` may ask any shard for any target. Of targets that share an address, the first is meant.
        all_by_key = by_key if len(self._targets) == len(everywhere) else watched(everywhere)
        self._by_address = {one.address: one for one in reversed(all_by_key.values())}
        self._rounds.replace(by_key, self._plan.trust)

    # -- probing now ---------------------------------------------------------------------------------------------------

    async def probe(self, request: ProbeRequest) -> ProbeAnswer | ProbeRefused:
        """One differential. A name is resolved once; the address that was checked is the one that is connected to."""
        plan = self._plan
        began = perf_counter()
        configured = self._by_address.get(request.address)
        by_rule = any(rule.permits_port(request.address.port) for rule in plan.config.probe_allow)
        if not (configured or by_rule or self._watches_port(request.address.port)):
            return ProbeRefused(_refusal(request.address))  # whatever a name would resolve to: no packet to a resolver, either
        try:
            with trio.fail_after(request.timeout):
                endpoints = await resolve(request.address)
        except (ResolveError, trio.TooSlowError) as error:
            if not (configured or by_rule):
                return ProbeRefused(_refusal(request.address))
            seconds = perf_counter() - began
            late = ResolveError("ETIMEDOUT", f"{request.address.host} was not resolved within {request.timeout:g} s")
            target = _target(request, configured)
            differential = self._runner.unresolved(
                target, request.address, error if isinstance(error, ResolveError) else late, seconds
            )
            resolve_seconds = seconds
        else:
            resolve_seconds = 0.0 if is_ip(request.address.host) else perf_counter() - began
            permitted = [one for one in endpoints if configured or self._rounds.at(one) or permits(plan.config.probe_allow, one)]
            if not permitted:
                return ProbeRefused(_refusal(request.address, endpoints if by_rule else ()))
            target = _target(request, configured or self._rounds.at(permitted[0]))
            differential = await self._runner.differential(target, request.address, permitted[0], resolve_seconds)
        # The module may have been removed by a reload meanwhile: its trust anchors are those of the plan that it came from.
        trust = plan.trust.get(request.module.ca_file, plan.trust[None])
        now = datetime.fromtimestamp(time(), UTC)
        return ProbeAnswer(
            target=target,
            differential=differential,
            judgement=judge(differential, target.non_sni, trust, now, proxied=request.module.proxy_protocol is not None),
            verified_until=tuple(
                assess(handshake.observation.facts.certificates, trust).verified_until(now)
                for handshake in differential.handshakes
            ),
            resolve_seconds=resolve_seconds,
            seconds=perf_counter() - began,
        )

    def _watches_port(self, port: int) -> bool:
        """Whether a name may lead to what is watched; an endpoint has its address's port."""
        return any(address.port == port for address in self._by_address)


def _target(request: ProbeRequest, configured: Watched | None) -> Target:
    """What is probed: the configured target where there is one, by the request's module, deadline and name."""
    base = configured.target if configured is not None else Target(name=str(request.address), addresses=(request.address,))
    if request.hostname is not None:
        base = replace(base, server_names=(request.hostname,))
    elif not is_ip(request.address.host):
        base = replace(base, server_names=(request.address.host.removesuffix("."),))
    elif configured is not None:
        base = replace(base, server_names=configured.asked.server_names)
    return replace(base, module=request.module, timeout=request.timeout)


def _refusal(address: Address, endpoints: tuple[Endpoint, ...] = ()) -> str:
    """With what a name leads to only where a rule let it be asked for: prober is no resolver for whoever may not know."""
    where = ", ".join(map(str, endpoints))
    resolved = f" ({where})" if where and not is_ip(address.host) else ""
    return f"{address}{resolved} is neither a configured target nor permitted by probe_allow"


def _refuse_what_needs_a_restart(old: Plan, new: Plan) -> None:
    problems: list[Problem] = []
    try:
        refuse_other_protocol(new.config.file, old.config.web, new.config.web)
    except ConfigError as error:
        problems += error.problems
    for key, before, after in (
        ("listen", old.config.listen, new.config.listen),
        ("state", old.config.state or "memory", new.config.state or "memory"),
    ):
        if after != before:
            change = f"changed from {before} to {after}, which needs a restart; restart, or change it back"
            problems.append(Problem(new.config.file, new.config.lines.get(key), key, change))
    if problems:
        raise ConfigError(problems)
