"""The configuration with every key, which operators copy from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from prober.config import alerting, document, http_access, modules, targets
from prober.sources import HttpSource

EXAMPLE = (Path(__file__).parents[2] / "config" / "prober.example.yml").read_text()
SECRETS = ("sd-token", "sd-password", "am-password", "hook-key", "kubeconfig", "ca.pem", "client.crt", "client.key")


def test_it_can_be_used_as_it_is(tmp_path: Path) -> None:
    """Nothing in it needs a file, and nothing is doubted."""
    (tmp_path / "prober.yml").write_text(EXAMPLE)
    config = document.load(tmp_path / "prober.yml")
    assert [target.name for target in config.targets] == ["apigee-prod", "partner-gateway"]
    assert config.doubts == ()


def test_what_is_commented_out_can_be_used_too(tmp_path: Path) -> None:
    """Behind a # without a space stands what names files: with them, it is accepted and has its effect."""
    whole = re.sub(r"^( *)#(?=[^ ])", r"\1", EXAMPLE, flags=re.MULTILINE).replace("/var/lib/prober", "state")
    (tmp_path / "prober.yml").write_text(whole)
    (tmp_path / "web.yml").write_text("{}\n")
    (tmp_path / "secrets").mkdir()
    for name in SECRETS:
        (tmp_path / "secrets" / name).write_text("swordfish\n")
    (tmp_path / "secrets" / "hook-url").write_text("https://hooks.example.com/secret\n")

    config = document.load(tmp_path / "prober.yml")

    assert config.web is not None
    assert config.state == str(tmp_path / "state")
    receivers = config.alerting.receivers
    assert [one.access.username for one in receivers.alertmanagers] == [None, "prober"]
    assert [one.name for one in receivers.webhooks] == ["on-call", "chat"]
    http = [source.how.access for source in config.discovery if isinstance(source.how, HttpSource)]
    assert [(access.username, access.credentials_file is not None) for access in http] == [(None, True), ("prober", False)]


@pytest.mark.parametrize(
    "keys",
    [document.KEYS, modules.KEYS, targets.KEYS, alerting.KEYS, alerting.WEBHOOK_KEYS, http_access.ACCESS_KEYS],
    ids=["file", "modules", "targets", "alerting", "webhooks", "http"],
)
def test_every_key_stands_in_it(keys: Iterable[str]) -> None:
    """A key that is added to the product is added to the example."""
    assert [key for key in keys if not re.search(rf"\b{key}:", EXAMPLE)] == []
