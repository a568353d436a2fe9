"""The active part of a diagnosis: differentials of every address, and the HTTP request over finished handshakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from prober.cli.descriptors import require_descriptors
from prober.cli.once_targets import Recipe
from prober.cli.parser import UsageError
from prober.config.trust import TrustError, load_trust
from prober.diagnose.collect_http import ask
from prober.diagnose.evidence import HttpAnswer, ProbeFacts
from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import Differential, Module, NonSniPolicy, Outcome, Sni, Target
from prober.probing.engine import Engine
from prober.probing.proxy_protocol import PROXY_HEADERS
from prober.probing.resolve import IpFamily
from prober.probing.runner import Runner

__all__ = ["ProbePlan", "probe_all"]

_AT_ONCE = 64
"""Handshakes in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """What to probe and how. ``http`` is the path to ask for after the handshake, None: no request."""

    targets: Sequence[str]
    server_names: tuple[str, ...]
    timeout: float
    ca_file: str | None
    family: IpFamily | None
    proxy_protocol: str | None
    http: str | None
    agent: str

    @property
    def options(self) -> tuple[str, ...]:
        """What a command that probes the same way needs beside the target and the names."""
        given = (("--ca-file", self.ca_file), ("--proxy-protocol", self.proxy_protocol))
        return tuple(word for option, value in given if value is not None for word in (option, value))


def probe_all(plan: ProbePlan) -> tuple[ProbeFacts, ...]:
    """Probe every address of every target, at the same time. Raises `UsageError` where one is none, or none can be probed."""
    require_descriptors()
    try:
        trust = load_trust(plan.ca_file)
    except TrustError as error:
        raise UsageError(f"--ca-file {error}") from None
    module = Module(timeout=plan.timeout, ca_file=plan.ca_file, proxy_protocol=plan.proxy_protocol)
    recipe = Recipe(module=module, server_names=plan.server_names, timeout=plan.timeout, non_sni=NonSniPolicy.CERTIFICATE)
    targets, errors = [], []
    for text in plan.targets:
        try:
            targets.append(recipe.target(text))
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise UsageError("\n".join(errors))
    return trio.run(_probe, plan, targets, trust)


async def _probe(plan: ProbePlan, targets: list[Target], trust: TrustStore) -> tuple[ProbeFacts, ...]:
    found: dict[int, list[ProbeFacts]] = {}

    async def one(place: int, target: Target, runner: Runner) -> None:
        differentials = await runner.probe(target, target.addresses[0], plan.family)
        found[place] = [await _facts(plan, each, trust) for each in differentials]

    async with trio.open_nursery() as nursery:
        engine = Engine()
        await nursery.start(engine.run)
        runner = Runner(engine, limit=_AT_ONCE)
        async with trio.open_nursery() as runs:
            for place, target in enumerate(targets):
                runs.start_soon(one, place, target, runner)
        nursery.cancel_scope.cancel()
    return tuple(facts for place in sorted(found) for facts in found[place])


async def _facts(plan: ProbePlan, differential: Differential, trust: TrustStore) -> ProbeFacts:
    judgement = judge(differential, NonSniPolicy.CERTIFICATE, trust, datetime.now(UTC), proxied=plan.proxy_protocol is not None)
    http: list[HttpAnswer] = []
    if plan.http is not None:
        for handshake in differential.handshakes:
            if handshake.sni is Sni.KNOWN and handshake.server_name:
                http += await _requests(plan, differential, handshake.server_name)
    return ProbeFacts(differential=differential, judgement=judgement, http=tuple(http), options=plan.options)


async def _requests(plan: ProbePlan, differential: Differential, host: str) -> list[HttpAnswer]:
    """The request without SNI, and the same with it as the control; only where the hellos got a certificate."""
    assert plan.http is not None
    served = {each.sni for each in differential.handshakes if each.observation.outcome is Outcome.CERTIFICATE}
    if differential.endpoint is None or Sni.NONE not in served:
        return []
    answers = []
    for sni, name in ((Sni.NONE, None), (Sni.KNOWN, host)):
        answer = HttpAnswer(sni=sni, host=host, path=plan.http, error=f"no answer within {plan.timeout:g} s")
        with trio.move_on_after(plan.timeout):
            answer = await ask(
                differential.endpoint,
                sni=sni,
                server_name=name,
                host=host,
                path=plan.http,
                agent=plan.agent,
                preamble=None if plan.proxy_protocol is None else PROXY_HEADERS[plan.proxy_protocol],
            )
        answers.append(answer)
    return answers
