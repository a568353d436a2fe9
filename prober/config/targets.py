"""``targets``: what to probe. The same reader serves the configuration file and files of targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern

from prober.addresses import is_ip, parse_address, parse_server_name
from prober.config.durations import format_duration
from prober.config.modules import SHORTEST_TIMEOUT, default_timeout
from prober.config.nodes import Fields, Value
from prober.config.problems import Problem, Wrong, near_miss
from prober.config.readers import duration, each, filled, member, no_repeats, parsed, text, word
from prober.model import Address, Module, NonSniPolicy, Sni, Target
from prober.sources import LABEL_NAME

__all__ = ["RESERVED_LABELS", "SHORTEST_INTERVAL", "TargetDefaults", "not_below", "read_labels", "targets"]

KEYS = ("name", "addresses", "server_names", "module", "interval", "timeout", "expect", "labels")
# The hellos of one differential are spread over 250 ms.
SHORTEST_INTERVAL = 0.25

# Labels that prober's own series and alerts carry; a configured label of the same name would make two of one series.
RESERVED_LABELS = frozenset(
    {
        *(
            "address",
            "alertname",
            "cipher",
            "errno",
            "fault",
            "fingerprint_sha256",
            "issuer",
            "le",
            "outcome",
            "phase",
            "quantile",
            "reason",
        ),
        *("serialnumber", "server_name", "severity", "sni", "stage", "subject", "subjectalternative", "target", "tls_alert"),
        *("verdict", "version"),
    }
)


@dataclass(frozen=True, slots=True)
class TargetDefaults:
    """What a target takes from the document around it."""

    interval: float
    timeout: float | None
    """None where the document has none: then it depends on the interval."""
    modules: Mapping[str, Module]

    def timeout_of(self, module: Module, interval: float) -> float:
        """Of a target that has none of its own: the nearest that is written, its module's or the document's."""
        written = self.timeout if module.timeout is None else module.timeout
        return default_timeout(interval) if written is None else written


def targets(value: Value, defaults: TargetDefaults) -> tuple[Target, ...]:
    """All targets of a list; complaints are kept, and targets that were complained about are still returned as far as they go."""
    read: list[Target] = []
    first: dict[str, Value] = {}
    for item in value.items():
        target = item.read(lambda item: _target(item, defaults), None)
        if target is None:
            continue
        if target.name and target.name in first:
            item.complain(
                f"the name {target.name!r} is used twice, first in line {first[target.name].line}; names identify targets"
            )
        first.setdefault(target.name, item)
        read.append(target)
    return tuple(read)


_NO_LABELS: Mapping[str, str] = {}
"""Shared by all targets without any."""


def _target(value: Value, defaults: TargetDefaults) -> Target:
    fields = value.fields(KEYS)
    module = fields.read("module", lambda value: _module(value, defaults.modules), defaults.modules["default"])
    hint = "write at least one NAME[:PORT] or IP[:PORT]"
    addresses = fields.require("addresses", filled(each(parsed(parse_address)), hint), (), hint)
    interval, timeout = _times(fields, module, defaults)
    server_names = no_repeats(fields.read("server_names", each(parsed(parse_server_name)), ()))
    for doubt in _doubts(fields, module, server_names, [address for _, address in addresses]):
        value.problems.doubts.append(Problem(value.problems.file, value.line, value.path, doubt))
    return Target(
        name=fields.require("name", word, "", "write a name that identifies the target in metrics and alerts"),
        addresses=no_repeats(addresses),
        server_names=tuple(map(intern, server_names)),  # thousands of targets are asked for the same few
        module=module,
        interval=interval,
        timeout=timeout,
        non_sni=fields.read("expect", _expect, NonSniPolicy.CERTIFICATE),
        labels=fields.read("labels", read_labels, _NO_LABELS),
    )


def _module(value: Value, modules: Mapping[str, Module]) -> Module:
    name = text(value)
    if name not in modules:
        raise Wrong(f"there is no module {name!r}; {near_miss(name, tuple(modules))}")
    return modules[name]


def _times(fields: Fields, module: Module, defaults: TargetDefaults) -> tuple[float, float]:
    """Interval and timeout; the target's own timeout wins."""
    interval = fields.read("interval", duration(at_least=SHORTEST_INTERVAL), defaults.interval)
    timeout = fields.read("timeout", duration(at_least=SHORTEST_TIMEOUT), defaults.timeout_of(module, interval))
    # What the target only inherits from the document is the document's mistake, and reported there, once.
    its_own = "interval" in fields or "timeout" in fields or module.timeout is not None
    if timeout >= interval and its_own and not fields.failed & {"interval", "timeout", "module"}:
        origin = (
            "" if "timeout" in fields else f" of the module {module.name!r}" if module.timeout is not None else " of all targets"
        )
        fields.at("timeout", "interval", "module").complain(not_below(timeout, interval, origin))
    return interval, timeout


def not_below(timeout: float, interval: float, origin: str = "") -> str:
    """What is wrong with a timeout that is not below its interval."""
    return (
        f"the timeout {format_duration(timeout)}{origin} is not below the interval {format_duration(interval)}; "
        "a round must end before the next begins, so lower the timeout or raise the interval"
    )


def _doubts(fields: Fields, module: Module, server_names: tuple[str, ...], addresses: list[Address]) -> Iterator[str]:
    """What of the target can never be judged, and why."""
    # Without a known name, a client without one can be compared with nothing.
    nameless = [address for address in addresses if is_ip(address.host)]
    if Sni.KNOWN not in module.sni:
        yield f"its module {module.name!r} sends no known name, so its verdict is always inconclusive; add known to the module's sni"
    elif nameless and not server_names:
        yield f"{nameless[0]} has no known name, so its verdict is always inconclusive; write server_names that it must serve"
    if Sni.NONE not in module.sni and "expect" in fields:
        yield f"its module {module.name!r} sends no hello without SNI, so expect is never judged; add none to the module's sni"


def _expect(value: Value) -> NonSniPolicy:
    if value.is_string:
        policy = value.raw if value.raw in set(NonSniPolicy) else NonSniPolicy.CERTIFICATE
        raise Wrong(f"is a string; write a mapping, for example {{non_sni: {policy}}}")
    fields = value.fields(("non_sni",))
    return fields.read("non_sni", member(NonSniPolicy), NonSniPolicy.CERTIFICATE)


def read_labels(value: Value) -> dict[str, str]:
    """Reader of the labels that an operator gives to targets."""
    labels: dict[str, str] = {}
    for name, entry in value.entries().items():
        if not LABEL_NAME.match(name):
            entry.complain(f"{name!r} is no label name; write letters, digits and underscores, no digit first")
        elif name.startswith("__"):
            entry.complain(f"{name!r} begins with two underscores, which Prometheus keeps for itself; choose another name")
        elif name in RESERVED_LABELS:
            entry.complain(f"{name!r} is a label of prober's own series; choose another name, for example {name}_name")
        else:
            labels[name] = entry.read(text, "")
    return labels
