"""The lab and the service together, as `make demo` runs them: every behaviour gets its verdict, and a flip changes it."""

from __future__ import annotations

import re
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from prober.lab.behaviours import BEHAVIOURS
from tests.servers.processes import running
from tests.service.process import Service, eventually, serving

VERDICTS = {
    "healthy": "ok",
    "envoy-reset": "non_sni_reset",
    "not-linked": "ok",
    "wrong-certificate": "non_sni_wrong_certificate",
    "expired-certificate": "certificate_invalid",
    "alert-112": "non_sni_rejected",
    "alert-40": "non_sni_rejected",
    "fin": "non_sni_reset",
    "silent": "non_sni_timeout",
    "dribble": "non_sni_timeout",
    "reset-all": "tls_failing",
    "plain-http": "tls_failing",
    "refuse": "unreachable",
}

_CONTROL = re.compile(r"curl -X PUT --data envoy-reset (\S+)/")


@dataclass
class Rehearsal:
    """The lab, and the service that watches it."""

    service: Service
    control: str

    def verdicts(self) -> dict[str, str]:
        """By listener."""
        return {key.split()[0]: verdict for key, verdict in self.service.verdicts().items()}

    def flip(self, listener: str, behaviour: str) -> None:
        """As `prober lab flip` does."""
        request = urllib.request.Request(f"http://{self.control}/{listener}", data=behaviour.encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status < 300


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    directory = tmp_path_factory.mktemp("rehearsal")
    options = ["--port", "0", "--control-port", "0", "--directory", str(directory / "lab")]
    # Unbuffered: the announcement says where the control interface is.
    with running([sys.executable, "-u", "-m", "prober", "lab", *options], directory=directory, name="prober-lab") as lab:
        eventually(lambda: _CONTROL.search(lab.log()), "the lab's announcement")
        control = _CONTROL.search(lab.log())
        assert control is not None
        document = yaml.safe_load((directory / "lab" / "prober.yml").read_text())
        with serving(directory, {**document, "interval": "3s", "timeout": "2s"}) as service:
            service.wait_ready()
            yield Rehearsal(service, control[1])


def test_the_table_covers_every_behaviour() -> None:
    """A behaviour that is added to the lab gets its verdict here."""
    assert VERDICTS.keys() == BEHAVIOURS.keys()


def test_every_behaviour_has_its_verdict(rehearsal: Rehearsal) -> None:
    """Eventually, since a busy machine may be late for one deadline."""
    eventually(lambda: rehearsal.verdicts() == VERDICTS, f"the verdicts of the table, but:\n{rehearsal.service.program.log()}")


def test_a_flip_changes_the_verdict_and_back(rehearsal: Rehearsal) -> None:
    """Within a round, and each change is one line of the log."""
    eventually(lambda: rehearsal.verdicts()["healthy"] == "ok", "healthy at first")
    rehearsal.flip("healthy", "envoy-reset")
    eventually(lambda: rehearsal.verdicts()["healthy"] == "non_sni_reset", "reset after the flip")
    rehearsal.flip("healthy", "healthy")
    eventually(lambda: rehearsal.verdicts()["healthy"] == "ok", "healthy again")
    lines = [line for line in rehearsal.service.program.log().splitlines() if "msg=verdict" in line and "target=healthy" in line]
    assert [re.sub(r".*(from=\S+ to=\S+).*", r"\1", line) for line in lines][-2:] == [
        "from=ok to=non_sni_reset",
        "from=non_sni_reset to=ok",
    ]
