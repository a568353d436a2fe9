"""The configuration file as a whole (README, "prober serve")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from prober.addresses import is_ip, parse_address
from prober.config.alerting import DEFAULT_ALERTING, Alerting, alerting, state_directory
from prober.config.allow import AllowRule, probe_allow
from prober.config.diagnosis import DEFAULT_DIAGNOSIS, Diagnosing, diagnosis, with_discovered
from prober.config.discovery import discovery
from prober.config.modules import SHORTEST_TIMEOUT, default_timeout, modules
from prober.config.nodes import Fields, Value, document, read_text
from prober.config.problems import ConfigError, Problem, Problems, Wrong
from prober.config.readers import choice, duration, optional, parsed, readable_file, word
from prober.config.targets import SHORTEST_INTERVAL, TargetDefaults, not_below, targets
from prober.config.web_file import WebFile, load_web_file
from prober.model import Address, Module, Target
from prober.notices import parse_vantage
from prober.sources import Source
from prober.whole_numbers import whole_number

__all__ = ["DEFAULT_LISTEN", "Config", "Listen", "load", "parse_listen"]

KEYS = (
    "listen",
    "web_config_file",
    "interval",
    "timeout",
    "modules",
    "targets",
    "discovery",
    "diagnosis",
    "probe_allow",
    "alerting",
    "state",
    "vantage",
    "reload_on_change",
)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the HTTP server listens. An empty host is every address; port 0 is one that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return str(Address(self.host, self.port))


DEFAULT_LISTEN = Listen("127.0.0.1", 9859)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration that can be used."""

    file: str
    listen: Listen
    interval: float
    """Seconds; default of the targets."""
    timeout: float
    """Seconds; default of the targets and modules."""
    modules: Mapping[str, Module]
    """By name, timeouts filled in."""
    targets: tuple[Target, ...]
    defaults: TargetDefaults
    """For targets that are discovered."""
    discovery: tuple[Source, ...] = ()
    diagnosis: Diagnosing = DEFAULT_DIAGNOSIS
    probe_allow: tuple[AllowRule, ...] = ()
    alerting: Alerting = DEFAULT_ALERTING
    state: str | None = None
    """A directory; None: in memory."""
    vantage: str | None = None
    """Where this prober looks from, when others look at the same targets from elsewhere."""
    reload_on_change: bool = False
    """Whether the service reads the file again by itself when it changes."""
    web: WebFile | None = None
    """What the web configuration file says; None: there is none."""
    doubts: tuple[Problem, ...] = ()
    """What can be used, but hardly is what was meant."""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Where the keys of the top level stand, for complaints that only the running configuration gives reason for."""


def load(path: str | Path, web_config_file: Path | None = None, vantage: str | None = None) -> Config:
    """Read a configuration file; `ConfigError` with everything that is wrong with it.

    ``web_config_file`` is read in place of the one that the file names; ``vantage`` stands in place of the file's.
    """
    path = Path(path)
    problems = Problems(str(path))
    value = document(read_text(path), problems)
    fields = value.read(lambda value: value.fields(KEYS), Fields(value, {}))
    config = _read(fields, str(path))
    named = fields.read("web_config_file", optional(readable_file), None)
    web, wrong_there = _web(web_config_file if web_config_file is not None else named)
    if len(problems) or wrong_there:
        raise ConfigError((*problems, *wrong_there))
    if vantage is None:
        vantage = config.vantage
    receivers = replace(config.alerting.receivers, vantage=vantage or "")
    told = replace(config.alerting, receivers=receivers)
    lines = {key: found.line for key in KEYS if (found := fields.value(key)) is not None}
    return replace(config, doubts=tuple(problems.doubts), web=web, vantage=vantage, alerting=told, lines=lines)


def parse_listen(text: str) -> Listen:
    """Read ``host:port``, ``:port`` (every address) or ``[v6]:port``; ``ValueError`` says what is wrong."""
    if "://" in text:
        # Not passed over: who writes https:// counts on a listener that speaks it.
        raise ValueError(f"{text!r} has a scheme; write HOST:PORT, and turn TLS on by web_config_file")
    if text.startswith(":"):
        host, port = "", text[1:]
    elif ":" in text and is_ip(text):
        # Whether the last part is a port nobody can tell.
        raise ValueError(
            f"{text!r} has no brackets around its IPv6 address; write [IPv6]:PORT, for example [::1]:{DEFAULT_LISTEN.port}"
        )
    elif text.endswith(":0"):
        host, port = parse_address(text[:-2] + ":1").host, "0"
    elif text.isascii() and text.isdigit():
        raise ValueError(f"{text!r} has no host; write :{text} for every address, or 127.0.0.1:{text}")
    elif text.startswith("*:"):
        raise ValueError(f"{text!r} has a pattern for its host; write {text[1:]} for every address")
    elif ":" not in text or text.endswith("]"):
        raise ValueError(f"{text!r} has no port; write HOST:PORT, for example {DEFAULT_LISTEN}")
    else:
        address = parse_address(text)
        host, port = address.host, str(address.port)
    number = whole_number(port, 0, 65535)
    if number is None:
        raise ValueError(f"{port!r} is no port; write a number from 1 to 65535")
    return Listen(host, number)


def _web(file: str | Path | None) -> tuple[WebFile | None, tuple[Problem, ...]]:
    try:
        return (load_web_file(file) if file is not None else None), ()
    except ConfigError as error:
        return None, error.problems


def _read(fields: Fields, file: str) -> Config:
    interval = fields.read("interval", duration(at_least=SHORTEST_INTERVAL), 15.0)
    written = fields.read("timeout", optional(duration(at_least=SHORTEST_TIMEOUT)), None)
    timeout = default_timeout(interval) if written is None else written
    if timeout >= interval and not fields.failed:
        fields.at("timeout").complain(not_below(timeout, interval))
    by_name = fields.read("modules", modules, {"default": Module()})
    defaults = TargetDefaults(interval, written, by_name)
    sources = fields.read("discovery", discovery, ())
    return Config(
        file=file,
        listen=fields.read("listen", _listen, DEFAULT_LISTEN),
        interval=interval,
        timeout=timeout,
        modules={
            name: module if module.timeout is not None else replace(module, timeout=timeout) for name, module in by_name.items()
        },
        targets=fields.read("targets", lambda value: targets(value, defaults), ()),
        defaults=defaults,
        discovery=sources,
        diagnosis=with_discovered(fields.read("diagnosis", diagnosis, DEFAULT_DIAGNOSIS), sources),
        probe_allow=fields.read("probe_allow", probe_allow, ()),
        alerting=fields.read("alerting", alerting, DEFAULT_ALERTING),
        state=fields.read("state", optional(state_directory), None),
        vantage=fields.read("vantage", optional(parsed(parse_vantage)), None),
        reload_on_change=fields.read("reload_on_change", choice(("true", "false")), "false") == "true",
    )


def _listen(value: Value) -> Listen:
    try:
        # A bare number would be told to put itself in quotes, which does not make an address of it.
        return parse_listen(value.raw.strip() if value.kind == "a number" else word(value))
    except ValueError as error:
        raise Wrong(str(error)) from None
