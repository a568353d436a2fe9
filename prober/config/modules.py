"""``modules``: named ways to probe."""

from __future__ import annotations

from functools import partial

from prober.config.nodes import Fields, Value
from prober.config.problems import Wrong, near_miss
from prober.config.readers import choice, duration, each, filled, member, no_repeats, optional, readable_file, word
from prober.config.trust import TrustError, load_trust
from prober.model import Depth, Module, Sni, TlsOffer

__all__ = ["LONGEST_DEFAULT_TIMEOUT", "SHORTEST_TIMEOUT", "default_timeout", "modules"]

KEYS = ("hello", "tls", "depth", "sni", "timeout", "ca_file", "proxy_protocol")
# Below this the deadline would be the scheduling noise of an ordinary machine rather than the ingress.
SHORTEST_TIMEOUT = 0.01
LONGEST_DEFAULT_TIMEOUT = 5.0


def default_timeout(interval: float) -> float:
    """The timeout where none is written: ``interval: 2s`` alone is no mistake, so it takes the timeout with it."""
    return min(LONGEST_DEFAULT_TIMEOUT, interval * 0.8)


def modules(value: Value) -> dict[str, Module]:
    """Reader of all modules by name; ``default`` exists without being written."""
    read = {name: entry.read(partial(_module, name), Module(name=name)) for name, entry in value.entries().items()}
    return {"default": Module(), **read}


def _module(name: str, value: Value) -> Module:
    fields = value.fields(KEYS)
    default = Module(name=name)
    module = Module(
        name=name,
        hello=fields.read("hello", _hello, default.hello),
        tls=fields.read("tls", member(TlsOffer), default.tls),
        depth=fields.read("depth", member(Depth), default.depth),
        sni=fields.read("sni", _sni, default.sni),
        timeout=fields.read("timeout", optional(duration(at_least=SHORTEST_TIMEOUT)), default.timeout),
        ca_file=fields.read("ca_file", optional(_ca_file), default.ca_file),
        proxy_protocol=fields.read("proxy_protocol", optional(choice(("v1", "v2"))), default.proxy_protocol),
    )
    if not fields.failed & {"hello", "tls"}:
        _check_version(fields, module)
    return module


def _check_version(fields: Fields, module: Module) -> None:
    from prober.tls.profiles import PROFILES
    from prober.tls.version_restriction import VersionNotInProfile, restricted

    try:
        restricted(PROFILES[module.hello], module.tls)
    except VersionNotInProfile as error:
        fields.at("tls", "hello").complain(str(error))


def _hello(value: Value) -> str:
    from prober.tls.profiles import PROFILES

    name = word(value)
    if name not in PROFILES:
        raise Wrong(f"there is no ClientHello profile {name!r}; {near_miss(name, tuple(PROFILES))}")
    return name


def _sni(value: Value) -> tuple[Sni, ...]:
    return no_repeats(filled(each(member(Sni)), "write the hellos to send: [known, none, unknown] or some of them")(value))


def _ca_file(value: Value) -> str:
    path = readable_file(value)
    try:
        load_trust(path)
    except TrustError as error:
        raise Wrong(str(error)) from None
    return path
