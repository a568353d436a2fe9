"""Label sets become targets."""

from __future__ import annotations

import json
from pathlib import Path

from prober.config import load
from prober.config.discovered import Discovered, discovered
from prober.config.show import show
from prober.config.targets import TargetDefaults
from prober.model import Address, Module, NonSniPolicy, Target
from prober.sources import LabelSet

STRICT = Module(name="strict", timeout=2.0)
DEFAULTS = TargetDefaults(15.0, None, {"default": Module(), "strict": STRICT})


def made(*label_sets: LabelSet, configured: tuple[str, ...] = ()) -> Discovered:
    return discovered({"files": label_sets}, DEFAULTS, configured)


def test_every_label_of_the_contract_arrives() -> None:
    """Labels that begin with two underscores are dropped afterwards."""
    (target,) = made(
        {
            "__address__": "203.0.113.1:8443",
            "__server_names": "a.example, b.example,",
            "__module": "strict",
            "__expect_non_sni": "rejected",
            "__interval": "30s",
            "__meta_filepath": "a.yml",
            "target": "edge",
            "team": "blue",
        }
    ).targets
    assert target == Target(
        name="edge",
        addresses=(Address("203.0.113.1", 8443),),
        server_names=("a.example", "b.example"),
        module=STRICT,
        interval=30.0,
        timeout=2.0,
        non_sni=NonSniPolicy.REJECTED,
        labels={"team": "blue"},
    )


def test_the_address_is_the_name_where_there_is_no_other() -> None:
    """With its port, also where none was written."""
    assert [target.name for target in made({"__address__": "203.0.113.1"}).targets] == ["203.0.113.1:443"]


def test_entries_of_one_name_are_addresses_of_one_target() -> None:
    """The same one twice is once; one that says something else is left out and told."""
    one, two = {"target": "edge", "__address__": "203.0.113.1:443"}, {"target": "edge", "__address__": "203.0.113.2:443"}
    result = made(one, two, one, {**one, "__address__": "203.0.113.3:443", "team": "red"})
    (target,) = result.targets
    assert [str(address) for address in target.addresses] == ["203.0.113.1:443", "203.0.113.2:443"]
    assert result.counts == {"files": 1}
    (problem,) = result.problems["files"]
    assert problem.startswith("203.0.113.3:443: another entry of the target 'edge' says other things of it")


def test_what_cannot_be_used_costs_no_other() -> None:
    """Each with its reason; a label of ours costs the label alone."""
    result = made(
        {"__address__": "203.0.113.1:443:1"},
        {"__address__": "203.0.113.2:443", "__module": "strikt"},
        {"__address__": "203.0.113.3:443", "__interval": "1s", "__timeout": "2s"},
        {"__address__": "203.0.113.4:443", "severity": "x", "team": "blue"},
        {"__address__": "203.0.113.5:443", "target": "taken"},
        {"__address__": "203.0.113.6:443", "__expect_non_sni": "maybe"},
        {"__address__": "203.0.113.7:443", "__interval": "30"},
        configured=("taken",),
    )
    (target,) = result.targets
    assert (target.name, target.labels) == ("203.0.113.4:443", {"team": "blue"})
    told = "\n".join(result.problems["files"])
    for said in ("did you mean 'strict'?", "is not below the interval", "'severity'", "the configuration file already", "maybe"):
        assert said in told
    assert "203.0.113.7:443: __interval: 30 has no unit; write 30s if seconds are meant" in told
    assert len(result.problems["files"]) == 7


def test_half_a_character_is_no_text() -> None:
    """JSON can say it, nothing else can; as a name it ended the service, as a label it ended answers of the API."""
    half = json.loads('"\\ud83d"')
    result = made(
        {"__address__": "203.0.113.1:443", "target": f"edge{half}"},
        {"__address__": "203.0.113.2:443", "team": half},
        {"__address__": "203.0.113.3:443", half: "blue"},
        {"__address__": "203.0.113.4:443", "team": "\U0001f600"},
    )
    (target,) = result.targets
    assert target.labels == {"team": "\U0001f600"}
    assert len(result.problems["files"]) == 3
    assert all("has half a character" in problem for problem in result.problems["files"])
    "\n".join(result.problems["files"]).encode()


def test_a_name_belongs_to_the_first_source() -> None:
    """Sources are asked in the configuration's order."""
    entry = {"__address__": "203.0.113.1:443"}
    result = discovered({"files": (entry,), "dns": (entry,)}, DEFAULTS, ())
    assert result.counts == {"files": 1, "dns": 0}
    assert "is used by files already" in result.problems["dns"][0]


def test_every_kind_of_source_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """What /config shows reads back as the same sources."""
    (tmp_path / "secret").write_text("x")
    file = tmp_path / "prober.yml"
    file.write_text(
        """
discovery:
- files: [targets/*.yml]
- files: [more.json]
  relabel_configs:
  - {action: keep, source_labels: [env], regex: "prod|test"}
  - {source_labels: [a, b], separator: "-", target_label: c, replacement: "$1x"}
  - {action: hashmod, source_labels: [a], target_label: d, modulus: 7}
- dns: {names: [a.example.com], port: 8443, server_names: [b.example.com], servers: ["127.0.0.1:5353"], labels: {a: b}}
- dns: {names: [_https._tcp.example.com], type: SRV}
- http: {url: "https://sd.example.com/list", refresh_interval: 30s, authorization: {credentials_file: secret}}
- http: {url: "https://sd.example.com/list", basic_auth: {username: me, password_file: secret}, tls_config: {ca_file: secret}}
- kubernetes: {namespaces: [apigee], kubeconfig: secret, context: prod}
- kubernetes: {}
  name: here
"""
    )
    config = load(file)
    names = ["files", "files-2", "dns", "dns-2", "http", "http-2", "kubernetes", "here"]
    assert [source.name for source in config.discovery] == names
    again = tmp_path / "again.yml"
    again.write_text(show(config))
    assert load(again).discovery == config.discovery
