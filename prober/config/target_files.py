"""Files of targets: prober's own form (``targets:`` with a list, or the bare list) and Prometheus's file_sd, as YAML or JSON."""

from __future__ import annotations

import re
from pathlib import Path

from prober.config.durations import format_duration
from prober.config.nodes import Value, document, read_text
from prober.config.problems import ConfigError, Problems, Wrong
from prober.config.readers import each
from prober.config.targets import TargetDefaults, targets
from prober.model import NonSniPolicy, Target
from prober.sources import ADDRESS, EXPECT, INTERVAL, MODULE, NAME, SERVER_NAMES, TIMEOUT, LabelSet, LabelSets, SourceError

__all__ = ["read_target_file"]

_FILE = "__meta_filepath"

# RFC 8259 §7. An escaped backslash comes first, since what follows it is no escape.
_JSON_PAIR = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
# What may stand as it is in a string of JSON, and is not printable or a line break to YAML.
_JSON_RAW = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def read_target_file(path: str, defaults: TargetDefaults) -> LabelSets:
    """What the file says; `SourceError` with everything that is wrong with it, each with file and line."""
    problems = Problems(path)
    try:
        text = read_text(Path(path))
        if path.endswith(".json"):
            text = _json_as_yaml(text)
        whole = document(text, problems)
        found = whole.read(lambda value: _label_sets(value, defaults), [])
        problems.raise_if_any()
    except ConfigError as error:
        raise SourceError(str(error)) from None
    return tuple({**labels, _FILE: path} for labels in found)


def _json_as_yaml(text: str) -> str:
    """JSON in the words of YAML 1.1, which differ in a few characters: so read, complaints have lines."""
    # JSON allows tabs between tokens and nowhere else, YAML in fewer places.
    text = text.replace("\t", " ").translate(_JSON_RAW)
    return _JSON_PAIR.sub(_whole_character, text)


def _whole_character(pair: re.Match[str]) -> str:
    if pair[1] is None:
        return pair[0]
    return f"\\U{0x10000 + ((int(pair[1], 16) - 0xD800) << 10) + (int(pair[2], 16) - 0xDC00):08x}"


def _label_sets(value: Value, defaults: TargetDefaults) -> list[LabelSet]:
    if value.kind == "a mapping":
        listed = value.fields(("targets",)).require("targets", lambda value: value, None, "write the list of targets under it")
        return [] if listed is None else _own(listed, defaults)
    items = value.items()
    if any(item.kind == "a mapping" and "targets" in item.entries() for item in items):
        return [labels for item in items for labels in item.read(_group, [])]
    return _own(value, defaults)


def _group(value: Value) -> list[LabelSet]:
    """A group of file_sd. As in Prometheus, a label without a value is an empty one, and a group may have no targets."""
    fields = value.fields(("targets", "labels"))
    addresses = fields.read("targets", each(_scalar), ())
    labels = fields.read("labels", _labels, {})
    return [{**labels, ADDRESS: address} for _, address in addresses]


def _labels(value: Value) -> dict[str, str]:
    return {name: "" if entry.is_null else entry.read(_scalar, "") for name, entry in value.entries().items()}


def _scalar(value: Value) -> str:
    if value.is_null:
        raise Wrong("is empty; write a value")
    return value.raw


def _own(value: Value, defaults: TargetDefaults) -> list[LabelSet]:
    return [
        {**_described(target, defaults), ADDRESS: str(address)}
        for target in targets(value, defaults)
        for address in target.addresses
    ]


def _described(target: Target, defaults: TargetDefaults) -> LabelSet:
    """A target in the language of all sources; what it has from the configuration file's defaults is left to them."""
    described = dict(target.labels)
    described[NAME] = target.name
    if target.server_names:
        described[SERVER_NAMES] = ",".join(target.server_names)
    if target.module.name != "default":
        described[MODULE] = target.module.name
    if target.non_sni is not NonSniPolicy.CERTIFICATE:
        described[EXPECT] = str(target.non_sni)
    if target.interval != defaults.interval:
        described[INTERVAL] = format_duration(target.interval)
    if target.timeout != defaults.timeout_of(target.module, target.interval):
        described[TIMEOUT] = format_duration(target.timeout)
    return described
