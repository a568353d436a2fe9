"""Relabelling, as Prometheus means it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prober.config import ConfigError, load
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
        ("{action: keep, source_labels: [missing], regex: ''}", True),
        ("{action: keep, source_labels: [missing]}", True),
        ("{action: keep, source_labels: [__meta_env, missing, team], regex: 'prod;;blue'}", True),
        ("{action: keep, source_labels: [__meta_env, team], separator: '', regex: prodblue}", True),
        ("{action: keep, source_labels: [__meta_env], regex: 'pr|od'}", False),
        ("{action: keep, source_labels: [__meta_env], regex: '(?i)PROD'}", True),
        ("{action: keepequal, source_labels: [__meta_env], target_label: team}", False),
        ("{action: keepequal, source_labels: [team], target_label: team}", True),
        ("{action: keepequal, source_labels: [missing], target_label: absent}", True),
        ("{action: dropequal, source_labels: [team], target_label: team}", False),
        ("{action: Drop, source_labels: [__meta_env], regex: p.*}", False),
        ("{action: KEEP, source_labels: [__meta_env], regex: p.*}", True),
        ("{action: dropequal, source_labels: [__meta_env], target_label: team}", True),
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
        ("{source_labels: [__meta_env], regex: '(?<first>.).*', target_label: env, replacement: '${first}x'}", {"env": "px"}),
        ("{source_labels: [__meta_env], regex: '(.).*', target_label: env, replacement: '$1x'}", {}),
        ("{source_labels: [__meta_env], regex: '(.).*', target_label: env, replacement: '${1}x$9${no}'}", {"env": "px"}),
        ("{source_labels: [__meta_env], regex: '(x)?prod', target_label: env, replacement: 'a${1}b'}", {"env": "ab"}),
        ("{source_labels: [__meta_env], target_label: env, replacement: 'a$ ${ $-'}", {"env": "a$ ${ $-"}),
        ("{source_labels: [__meta_env, __meta_zone], target_label: env}", {"env": "prod;b"}),
        ("{source_labels: [__meta_env, __meta_zone], separator: '', target_label: env}", {"env": "prodb"}),
        ("{source_labels: [__meta_env], regex: '(.*)', target_label: '${1}_zone', replacement: x}", {"prod_zone": "x"}),
        ("{source_labels: [__address__], regex: '(.*)', target_label: '${1}', replacement: x}", {}),
        ("{source_labels: [missing], target_label: team}", {"team": None}),
        ("{source_labels: [missing], regex: '.+', target_label: team}", {}),
        ("{source_labels: [missing], target_label: env, replacement: always}", {"env": "always"}),
        (
            "{source_labels: [__address__], regex: '([^:]+)(?::[0-9]+)?', target_label: __address__, replacement: '$1:8443'}",
            {"__address__": "203.0.113.1:8443"},
        ),
        ("{target_label: team, replacement: ''}", {"team": None}),
        ("{target_label: __server_names, replacement: 'a.example'}", {"__server_names": "a.example"}),
        ("{action: labelmap, regex: __meta_(.+)}", {"env": "prod", "zone": "b"}),
        ("{action: labelmap, regex: __meta_(.+), replacement: 'x_$1'}", {"x_env": "prod", "x_zone": "b"}),
        ("{action: labelmap, regex: __meta_.+, replacement: same}", {"same": "b"}),
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


def test_hashmod_of_half_a_character_ends_nothing(tmp_path: Path) -> None:
    """JSON can write one; a source's other targets are none the worse for it."""
    rule = "{action: hashmod, source_labels: [c], target_label: d, modulus: 1000}"
    changed = apply(tmp_path, rule, {"c": "\ud800"})
    assert changed is not None
    assert changed["d"].isdecimal()


def test_a_point_matches_line_breaks(tmp_path: Path) -> None:
    """Since Prometheus 3, and the whole text has to match."""
    rule = "{source_labels: [a], regex: 'x.y', target_label: b, replacement: found}"
    assert apply(tmp_path, rule, {"a": "x\ny"}) == {"a": "x\ny", "b": "found"}
    assert apply(tmp_path, rule, {"a": "x.y\n"}) == {"a": "x.y\n"}


@pytest.mark.parametrize(
    ("regex", "text", "matches"),
    [
        (r"[[:alpha:]]+", "abc", True),
        (r"[[:alpha:]]+", "[a", False),
        (r"[^[:digit:]x]+", "abc", True),
        (r"[^[:digit:]x]+", "a1", False),
        (r"[]a[]+", "][a", True),
        (r"\d+", "12", True),
        (r"\d+", "\u0661\u0662", False),
        (r"\w+", "\u00e9", False),
        (r"\Aab\z", "ab", True),
        (r"a\*+", "a**", True),
        (r"a\(?=b", "a(=b", True),
        (r"(?:a|b){2,3}", "aba", True),
        (r"(?s:a.)c", "a\nc", True),
    ],
)
def test_expressions_mean_what_they_mean_in_re2(regex: str, text: str, matches: bool, tmp_path: Path) -> None:
    """Classes, ASCII, the end of the text; without a warning of Python's."""
    rule = f"{{action: keep, source_labels: [a], regex: {json.dumps(regex)}}}"
    assert (apply(tmp_path, rule, {"a": text}) is not None) is matches


@pytest.mark.parametrize(
    "regex",
    [
        *(r"(?=a)b", r"(?!a)b", r"(?<=a)b", r"(?<!a)b", r"(a)\1", r"(?P<n>a)(?P=n)", r"(?>a)b", r"a*+b", r"(a)?(?(1)b|c)"),
        *(r"[[:letters:]]", r"\pL+", r"\Qa.b\E", r"a(?i)b", r"(", r"a**"),
    ],
)
def test_what_re2_does_not_know_is_refused(regex: str, tmp_path: Path) -> None:
    """And so is what Python does not know, rather than read as something else."""
    rule = f"{{action: keep, source_labels: [a], regex: {json.dumps(regex)}}}"
    with pytest.raises(ConfigError, match="is no regular expression"):
        apply(tmp_path, rule)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{action: keepequal, source_labels: [a], target_label: b, regex: x}", "regex: means nothing with the action keepequal"),
        ("{action: dropequal, source_labels: [a]}", "target_label is missing"),
        ("{action: hashmod, source_labels: [a], target_label: b, modulus: 0}", "is no modulus"),
        ("{action: hashmod, source_labels: [a], target_label: b, modulus: 18446744073709551616}", "is no modulus"),
        ("{action: uppercase, source_labels: [a], target_label: '$1'}", "is no label name"),
        ("{source_labels: [a], target_label: 'a-b'}", "is no label name"),
    ],
)
def test_a_rule_that_could_not_do_what_it_says_is_refused(rule: str, said: str, tmp_path: Path) -> None:
    """As Prometheus refuses it."""
    with pytest.raises(ConfigError) as refused:
        apply(tmp_path, rule)
    assert said in str(refused.value)
