"""Label sets -> targets: the last step of discovery, by the modules and defaults of the running configuration.

What a source says is not what an operator wrote: one unusable entry is left out and reported, and costs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from prober.addresses import parse_address, parse_server_name
from prober.config.durations import parse_duration
from prober.config.modules import SHORTEST_TIMEOUT
from prober.config.problems import near_miss
from prober.config.targets import RESERVED_LABELS, SHORTEST_INTERVAL, TargetDefaults, not_below
from prober.model import NonSniPolicy, Target
from prober.sources import ADDRESS, EXPECT, INTERVAL, LABEL_NAME, MODULE, NAME, SERVER_NAMES, TIMEOUT, LabelSet, LabelSets

__all__ = ["Discovered", "discovered"]

_MANY = 20
"""Problems of one source that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What all sources together come to."""

    targets: tuple[Target, ...]
    counts: Mapping[str, int]
    """Targets by source, as far as they are ours."""
    problems: Mapping[str, tuple[str, ...]]
    """What was left out and why, by source."""


def discovered(
    found: Mapping[str, LabelSets],
    defaults: TargetDefaults,
    configured: Collection[str],
    ours: Callable[[str], bool] = lambda _: True,
) -> Discovered:
    """The targets, in the order of the sources. ``configured`` are names that the configuration file itself uses.

    Targets whose name is not of ``ours`` are made like all others, but not counted.
    """
    targets: dict[str, Target] = {}
    owners = dict.fromkeys(configured, "the configuration file")
    problems: dict[str, tuple[str, ...]] = {}
    for source, label_sets in found.items():
        complaints: list[str] = []
        for labels in label_sets:
            try:
                target = _target(labels, defaults, complaints)
                _claim(target.name, source, owners)
                targets[target.name] = _joined(targets.get(target.name), target)
            except ValueError as error:
                complaints.append(f"{labels.get(ADDRESS, 'an entry without address')}: {error}")
        problems[source] = _told(complaints)
    counts = dict.fromkeys(found, 0)
    for name in targets:
        counts[owners[name]] += ours(name)
    return Discovered(targets=tuple(targets.values()), counts=counts, problems=problems)


def _claim(name: str, source: str, owners: dict[str, str]) -> None:
    owner = owners.setdefault(name, source)
    if owner != source:
        raise ValueError(f"the name {name!r} is used by {owner} already; relabel one of them")


def _target(labels: LabelSet, defaults: TargetDefaults, complaints: list[str]) -> Target:
    _refuse_half_characters(labels)
    address = parse_address(labels.get(ADDRESS, ""))
    module_name = labels.get(MODULE) or "default"
    module = defaults.modules.get(module_name)
    if module is None:
        raise ValueError(f"there is no module {module_name!r}; {near_miss(module_name, tuple(defaults.modules))}")
    expect = labels.get(EXPECT) or NonSniPolicy.CERTIFICATE
    if expect not in set(NonSniPolicy):
        raise ValueError(f"{EXPECT} is {expect!r}; write one of {', '.join(NonSniPolicy)}")
    interval = _duration(labels, INTERVAL, SHORTEST_INTERVAL) or defaults.interval
    timeout = _duration(labels, TIMEOUT, SHORTEST_TIMEOUT) or defaults.timeout_of(module, interval)
    if timeout >= interval:
        raise ValueError(not_below(timeout, interval))
    return Target(
        name=labels.get(NAME) or str(address),
        addresses=(address,),
        server_names=_server_names(labels.get(SERVER_NAMES, "")),
        module=module,
        interval=interval,
        timeout=timeout,
        non_sni=NonSniPolicy(expect),
        labels=dict(_own_labels(labels, complaints)),
    )


def _refuse_half_characters(labels: LabelSet) -> None:
    """JSON can write one half of a surrogate pair (RFC 8259 §8.2), which is no text: it has no UTF-8, and so no place in series and files."""
    for name, value in labels.items():
        for text in (name, value):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError(f"the label {name!r} has half a character in {text!r}; correct it at its source") from None


def _server_names(written: str) -> tuple[str, ...]:
    names = (parse_server_name(name) for name in written.split(",") if name.strip())
    return tuple({name.lower(): name for name in names}.values())


def _duration(labels: LabelSet, key: str, at_least: float) -> float | None:
    written = labels.get(key)
    if not written:
        return None
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if seconds < at_least:
        raise ValueError(f"{key} is {written}, which is too short; write at least {at_least:g}s")
    return seconds


def _own_labels(labels: LabelSet, complaints: list[str]) -> Iterable[tuple[str, str]]:
    for name, value in sorted(labels.items()):
        if name.startswith("__") or name == NAME or not value:
            continue
        if name in RESERVED_LABELS or not LABEL_NAME.match(name):
            why = "is a label of prober's own series" if name in RESERVED_LABELS else "is no label name"
            complaints.append(f"{labels.get(ADDRESS)}: {name!r} {why}; the label is left out, rename it by relabel_configs")
            continue
        yield name, value


def _joined(before: Target | None, target: Target) -> Target:
    """Entries of one name are addresses of one target, and must agree in everything else."""
    if before is None:
        return target
    if replace(target, addresses=before.addresses) != before:
        raise ValueError(f"another entry of the target {target.name!r} says other things of it; relabel one of them")
    if target.addresses[0] in before.addresses:
        return before
    return replace(before, addresses=(*before.addresses, *target.addresses))


def _told(complaints: list[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(complaints))
    if len(distinct) <= _MANY:
        return distinct
    return (*distinct[:_MANY], f"and {len(distinct) - _MANY} more")
