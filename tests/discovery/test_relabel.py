"""Relabelling, as Prometheus means it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import load
from prober.discovery.relabel import relabel
from prober.sources import LabelSet

LABELS = {"__address__": "203.0.113.1:443", "__meta_env": "prod", "__meta_zone": "b", "team": "blue"}


def apply(tmp_path: Path, rule: str, labels: LabelSet = LABELS) -> LabelSet | None:
    """As an operator writes the rule."""
    file = tmp_path / "prober.yml"
    file.write_text(f"discovery: [{{files: [a.yml], relabel_configs: [{rule}]}}]\n")
    (source,) = load(file).discovery
    return relabel(labels, source.relabelling)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("{action: keep, source_labels: [__meta_env], regex: prod}", True),
        ("{action: keep, source_labels: [__meta_env], regex: pro}", False),
        ("{action: keep, source_labels: [__meta_env, __meta_zone], regex: 'prod;(a|b)'}", True),
        ("{action: keep, source_labels: [__meta_env, __meta_zone], separator: '/', regex: 'prod/b'}", True),
        ("{action: drop, source_labels: [__meta_env], regex: p.*}", False),
        ("{action: drop, source_labels: [missing], regex: '.+'}", True),
    ],
)
def test_the_whole_text_decides_what_is_kept(rule: str, kept: bool, tmp_path: Path) -> None:
    """Expressions are anchored at both ends; a label that is not there is empty."""
    assert (apply(tmp_path, rule) is not None) is kept


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("{source_labels: [__meta_env], target_label: env}", {"env": "prod"}),
        ("{source_labels: [__meta_env], regex: '(.)(.*)', target_label: env, replacement: '${2}-$1$$'}", {"env": "rod-p$"}),
        ("{source_labels: [__meta_env], regex: '(?P<first>.).*', target_label: env, replacement: '$first'}", {"env": "p"}),
        ("{source_labels: [__meta_env], regex: 'x', target_label: team}", {}),
        ("{target_label: team, replacement: ''}", {"team": None}),
        ("{target_label: __server_names, replacement: 'a.example'}", {"__server_names": "a.example"}),
        ("{action: labelmap, regex: __meta_(.+)}", {"env": "prod", "zone": "b"}),
        ("{action: labelmap, regex: __meta_(.+), replacement: 'x_$1'}", {"x_env": "prod", "x_zone": "b"}),
        ("{action: labeldrop, regex: __meta_.*}", {"__meta_env": None, "__meta_zone": None}),
        ("{action: labelkeep, regex: 'team|__address__'}", {"__meta_env": None, "__meta_zone": None}),
        ("{action: uppercase, source_labels: [team], target_label: team}", {"team": "BLUE"}),
        ("{action: lowercase, source_labels: [team], target_label: env}", {"env": "blue"}),
        ("{action: hashmod, source_labels: [team], target_label: shard, modulus: 1}", {"shard": "0"}),
    ],
)
def test_labels_change_as_the_rule_says(rule: str, changed: dict[str, str | None], tmp_path: Path) -> None:
    """What a rule does not name stays; an empty value is no label."""
    expected = {key: value for key, value in {**LABELS, **changed}.items() if value is not None}
    assert apply(tmp_path, rule) == expected


def test_hashmod_spreads_as_prometheus_does(tmp_path: Path) -> None:
    """The value of Prometheus's own test of hashmod: the value "baz", modulus 1000."""
    rule = "{action: hashmod, source_labels: [c], target_label: d, modulus: 1000}"
    assert apply(tmp_path, rule, {"a": "foo", "b": "bar", "c": "baz"}) == {"a": "foo", "b": "bar", "c": "baz", "d": "976"}
