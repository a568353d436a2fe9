"""``discovery``: where more targets come from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from prober.addresses import is_ip, parse_server_name
from prober.config.http_access import ACCESS_KEYS, http_access, is_url, without_user
from prober.config.nodes import Value
from prober.config.problems import Wrong
from prober.config.readers import called, choice, duration, each, filled, no_repeats, number, parsed, readable_file, word
from prober.config.relabelling import relabel_rule
from prober.config.targets import read_labels
from prober.model import Endpoint
from prober.sources import DnsNames, HttpSource, KubernetesSource, Source, TargetFiles
from prober.whole_numbers import whole_number

__all__ = ["discovery", "kubernetes"]

_EXTENSIONS = (".yml", ".yaml", ".json")
_DNS_PORT = 53
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def discovery(value: Value) -> tuple[Source, ...]:
    """Reader of the section. Sources without a name are called by their kind, and numbered from the second one on."""
    sources: list[Source] = []
    taken: dict[str, Value] = {}
    for item in value.items():
        source = item.read(_source, None)
        if source is None:
            continue
        name, number = source.name, 1
        explicit = "name" in item.entries()
        while not explicit and name in taken:
            number += 1
            name = f"{source.name}-{number}"
        if name in taken or name == "config":
            why = "is what the configuration file itself is called" if name == "config" else f"is {taken[name].path}'s as well"
            item.complain(f"the name {name!r} {why}; names tell sources apart in metrics, so choose another one")
        taken.setdefault(name, item)
        sources.append(Source(name=name, how=source.how, relabelling=source.relabelling))
    return tuple(sources)


def _source(value: Value) -> Source | None:
    fields = value.fields((*_KINDS, "name", "relabel_configs"))
    kinds = [kind for kind in _KINDS if kind in fields]
    if not kinds and value.entries().keys() - {"name", "relabel_configs"}:
        return None  # what stands in its place was complained about
    if len(kinds) != 1:
        what = f"has both {' and '.join(kinds)}" if kinds else "says nowhere to look"
        raise Wrong(f"{what}; write one of {', '.join(_KINDS)} in each entry")
    relabelling = fields.read("relabel_configs", each(relabel_rule), ())
    how = fields.read(kinds[0], _KINDS[kinds[0]], None)
    if how is None:
        return None
    name = fields.read("name", called("source"), kinds[0])
    if "name" in fields.failed:
        return None  # what it is called nobody knows, so whether another one is called so is no question
    return Source(name=name, how=how, relabelling=tuple(rule for _, rule in relabelling))


# -- files ----------------------------------------------------------------------------------------------------------------


def _files(value: Value) -> TargetFiles:
    hint = "write at least one path or pattern, for example [targets/*.yml]"
    return TargetFiles(patterns=no_repeats(filled(each(_pattern), hint)(value)))


def _pattern(value: Value) -> str:
    pattern = word(value)
    if not pattern.endswith(_EXTENSIONS):
        raise Wrong(f"{pattern!r} does not end in .yml, .yaml or .json; nothing else is read, so complete the pattern")
    if re.search(r"[*?\[]", str(Path(pattern).parent)):
        raise Wrong(f"{pattern!r} has a pattern in a directory's name; write patterns in the last part alone")
    # Not resolved: a directory of links, as Kubernetes mounts a ConfigMap, changes by its links.
    return os.path.normpath(Path(value.problems.file).absolute().parent / pattern)


# -- DNS ------------------------------------------------------------------------------------------------------------------


def _dns(value: Value) -> DnsNames:
    fields = value.fields(("names", "type", "port", "server_names", "servers", "labels"))
    hint = "write at least one name to resolve"
    srv = fields.read("type", choice(("A", "SRV")), "A") == "SRV"
    if srv and "port" in fields:
        fields.at("port").complain("means nothing with type SRV, whose records have ports; remove it")
    return DnsNames(
        names=no_repeats(fields.require("names", filled(each(parsed(_dns_name)), hint), (), hint)),
        srv=srv,
        port=fields.read("port", number("port", 1, 65535), 443),
        server_names=no_repeats(fields.read("server_names", each(parsed(parse_server_name)), ())),
        servers=tuple(server for _, server in fields.read("servers", each(parsed(_dns_server)), ())),
        labels=fields.read("labels", read_labels, {}),
    )


def _dns_name(raw: str) -> str:
    name = parse_server_name(raw)
    if is_ip(name):
        raise ValueError(f"{name} is an IP address, and needs no resolution; list it under targets")
    return name


def _dns_server(raw: str) -> Endpoint:
    if is_ip(raw):
        return Endpoint(raw, _DNS_PORT)
    host, _, written = raw.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    port = whole_number(written, 1, 65535)
    if port is None or not is_ip(host):
        raise ValueError(f"{raw!r} is no DNS server; write IP or IP:PORT, for example 10.96.0.10:53")
    return Endpoint(host, port)


# -- HTTP -----------------------------------------------------------------------------------------------------------------


def _http(value: Value) -> HttpSource:
    fields = value.fields(("url", "refresh_interval", "timeout", *ACCESS_KEYS))
    hint = "write the URL of the list, for example https://sd.example.com/targets"
    return HttpSource(
        url=fields.require("url", _url, "", hint),
        refresh=fields.read("refresh_interval", duration(at_least=1.0), 60.0),
        timeout=fields.read("timeout", duration(at_least=0.1), 10.0),
        access=http_access(fields),
    )


def _url(value: Value) -> str:
    url = word(value)
    if not is_url(url):
        # Not repeated: it may hold a password.
        raise Wrong("is no URL; write http:// or https://, a host and a path, for example https://sd.example.com/targets")
    return without_user(url)


# -- Kubernetes -----------------------------------------------------------------------------------------------------------


def kubernetes(value: Value) -> KubernetesSource:
    """Reader of how one cluster is reached, and which part of it is looked at."""
    fields = value.fields(("namespaces", "kubeconfig", "context", "labels"))
    kubeconfig = fields.read("kubeconfig", readable_file, None)
    if "context" in fields and "kubeconfig" not in fields:
        fields.at("context").complain("means nothing without a kubeconfig; name the file, or remove the context")
    return KubernetesSource(
        namespaces=no_repeats(fields.read("namespaces", each(_namespace), ())),
        kubeconfig=kubeconfig,
        context=fields.read("context", word, None),
        labels=fields.read("labels", read_labels, {}),
    )


def _namespace(value: Value) -> str:
    name = word(value)
    if not _NAMESPACE.match(name):
        raise Wrong(f"{name!r} is no namespace; write lower-case letters, digits and hyphens, or leave namespaces out for all")
    return name


_KINDS: dict[str, Callable[[Value], TargetFiles | DnsNames | HttpSource | KubernetesSource]] = {
    "files": _files,
    "dns": _dns,
    "http": _http,
    "kubernetes": kubernetes,
}
