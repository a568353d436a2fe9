"""A checked configuration as what is watched: every address of every target, and the trust anchors that judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prober.addresses import is_ip
from prober.config import Config, ConfigError, Problem, load
from prober.config.trust import TrustError, load_trust
from prober.judge.trust import TrustStore
from prober.model import Address, Target
from prober.schedule import Key
from prober.service.file_stamps import Stamp, stamp
from prober.sharding import WHOLE, Shard

__all__ = ["Options", "Plan", "Watched", "asked", "files_of", "load_plan", "same_question", "watched"]


@dataclass(frozen=True, slots=True)
class Watched:
    """One address of one target."""

    target: Target
    """As it is configured, and shown."""
    asked: Target
    """As it is probed: with a server name where the address gives one."""
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says of one process beside the configuration, which others may share. It stays over reloads."""

    web_config_file: Path | None = None
    """Wins over the configuration's."""
    shard: Shard = WHOLE
    """The part of the targets that is watched."""
    vantage: str | None = None
    """Wins over the configuration's."""
    workers: int = 1
    """Processes that run handshakes; one is the service's own."""
    packet_timestamps: bool = False
    """Whether RSTs and FINs are timed by a packet socket, for which the process needs a right."""
    log_level: str = "info"
    log_format: str = "logfmt"


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration, and what was read with it."""

    config: Config
    trust: Mapping[str | None, TrustStore]
    """By the modules' ``ca_file``."""
    options: Options = Options()
    seen: Stamp = ()
    """What `files` were like before they were read."""

    @property
    def files(self) -> list[str]:
        """The configuration file, and the trust anchors that it names."""
        return files_of(self.config)


def files_of(config: Config) -> list[str]:
    """The configuration file, and the trust anchors that it names."""
    return [config.file, *sorted({module.ca_file for module in config.modules.values() if module.ca_file is not None})]


def load_plan(path: Path, options: Options = Options()) -> Plan:
    """Read the configuration and the files that it names; `ConfigError` with everything that is wrong."""
    # Before and not behind: what changes while it is read is seen to have changed, whichever of the two was read.
    seen = stamp([str(path)])
    config = load(path, options.web_config_file, options.vantage)
    anchors = files_of(config)[1:]
    seen += stamp(anchors)
    try:
        return Plan(config, {file: load_trust(file) for file in (None, *anchors)}, options, seen)
    except TrustError as error:  # it was readable a moment ago
        raise ConfigError([Problem(config.file, None, "", str(error))]) from None


def watched(targets: tuple[Target, ...]) -> dict[Key, Watched]:
    """Everything that is watched, by its key in the schedule, in the configuration's order."""
    return {
        (target.name, str(address)): Watched(target, asked(target, address), address)
        for target in targets
        for address in target.addresses
    }


def asked(target: Target, address: Address) -> Target:
    """The target with the names that are asked of this address: its own, else the address where that is a name."""
    if target.server_names or is_ip(address.host):
        return target
    # RFC 6066 §3: the server name has no trailing dot.
    return replace(target, server_names=(address.host.removesuffix("."),))


def same_question(now: Watched, then: Watched) -> bool:
    """Whether an answer to what was asked then still answers what is asked now."""
    return now is then or (now.asked.server_names, now.asked.module) == (then.asked.server_names, then.asked.module)
