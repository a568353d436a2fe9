"""``diagnosis``: whose clusters are asked, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from prober.config import Config, ConfigError, load
from prober.config.show import show
from prober.sources import KubernetesSource


def read(directory: Path, **document: object) -> Config:
    """The configuration that this document is."""
    file = directory / "prober.yml"
    file.write_text(yaml.safe_dump({"targets": [], **document}))
    return load(file)


def test_the_clusters_of_discovery_are_asked_unless_others_are_named(tmp_path: Path) -> None:
    """Each once, whatever labels it gives its targets; without discovery there is none."""
    assert read(tmp_path).diagnosis.clusters == ()
    here, there = {"namespaces": ["apigee"]}, {"namespaces": ["apigee"], "labels": {"team": "a"}}
    sources = [{"kubernetes": here}, {"kubernetes": there}, {"files": ["*.yml"]}]
    config = read(tmp_path, discovery=sources, diagnosis={"refresh": "5m"})
    assert config.diagnosis.clusters == (KubernetesSource(namespaces=("apigee",)),)
    assert config.diagnosis.refresh == 300.0
    named = read(tmp_path, discovery=sources, diagnosis={"kubernetes": {"namespaces": ["other"]}})
    assert named.diagnosis.clusters == (KubernetesSource(namespaces=("other",)),)
    assert read(tmp_path, discovery=sources, diagnosis={"kubernetes": False}).diagnosis.clusters == ()


@pytest.mark.parametrize("diagnosis", [{"refresh": "5m"}, {"kubernetes": {"namespaces": ["a"]}}, {"kubernetes": False}, None])
def test_what_is_shown_is_read_back_as_the_same(tmp_path: Path, diagnosis: object) -> None:
    """The running configuration says whether, where and how often."""
    document = {
        "discovery": [{"kubernetes": {"namespaces": ["apigee"]}}],
        **({} if diagnosis is None else {"diagnosis": diagnosis}),
    }
    config = read(tmp_path, **document)
    file = tmp_path / "shown.yml"
    file.write_text(show(config))
    assert load(file).diagnosis == config.diagnosis


@pytest.mark.parametrize(
    ("diagnosis", "complaint"),
    [
        ({"refresh": "10ms"}, "diagnosis.refresh: 10ms is too short; write at least 1s"),
        ({"kubernetes": True}, "diagnosis.kubernetes: is a boolean; write a mapping"),
        ({"kubernetes": {"labels": {"a": "b"}}}, "diagnosis.kubernetes: has labels, which mean nothing here; remove them"),
        ({"kubernets": {}}, "diagnosis.kubernets: unknown key; did you mean 'kubernetes'?"),
        ({"kubernetes": {"context": "prod"}}, "diagnosis.kubernetes.context: means nothing without a kubeconfig"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, diagnosis: object, complaint: str) -> None:
    """With its place and what to write."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, diagnosis=diagnosis)
    assert any(complaint in str(problem) for problem in caught.value.problems), list(map(str, caught.value.problems))
