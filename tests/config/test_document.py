"""What a configuration means."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import Config, Listen, load
from prober.config.document import parse_listen
from prober.config.show import show
from prober.model import Address, Depth, Module, NonSniPolicy, Sni, Target, TlsOffer
from prober.sources import BARE_ACCESS, HttpAccess

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "config").glob("*.yml"))


def written(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "prober.yml"
    file.write_text(text, encoding="utf-8")
    return load(file)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_shipped_examples_are_accepted(file: Path) -> None:
    """What people copy from works, and watches something."""
    assert load(file).targets


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_what_is_shown_reads_back_as_the_same_configuration(file: Path, tmp_path: Path) -> None:
    """/config shows the whole truth: loading it again gives the same values."""
    config = load(file)
    again = written(tmp_path, show(config))
    assert (again.listen, again.interval, again.timeout, again.modules, again.probe_allow) == (
        config.listen,
        config.interval,
        config.timeout,
        config.modules,
        config.probe_allow,
    )
    assert [(t.name, t.addresses, t.server_names, t.interval, t.timeout, t.non_sni, t.labels) for t in again.targets] == [
        (t.name, t.addresses, t.server_names, t.interval, t.timeout, t.non_sni, t.labels) for t in config.targets
    ]


def test_everything_but_a_name_and_an_address_has_a_default(tmp_path: Path) -> None:
    """The least configuration gives the promised defaults."""
    config = written(tmp_path, "targets: [{name: a, addresses: [203.0.113.1]}]\n")
    assert config.listen == Listen("127.0.0.1", 9859)
    assert config.targets == (
        Target(name="a", addresses=(Address("203.0.113.1", 443),), module=Module(), interval=15.0, timeout=5.0),
    )
    assert config.modules == {"default": Module(timeout=5.0)}


def test_every_key_arrives_in_the_target(tmp_path: Path) -> None:
    """Addresses in all their forms, names, module, policy, labels and times."""
    config = written(
        tmp_path,
        """
listen: "[::1]:0"
interval: 1m
timeout: 10s
modules:
  old: {hello: openssl-3.0, tls: 1.2, depth: finished, sni: [known, none], timeout: 3s, proxy_protocol: v2}
targets:
- name: apigee-prod
  addresses: [203.0.113.10, "203.0.113.11:8443", "[2001:db8::1]:443", ingress.example.com, "https://edge.example.com:444/"]
  server_names: [api.example.com]
  module: old
  expect: {non_sni: rejected}
  labels: {environment: prod}
- {name: b, addresses: [203.0.113.12], interval: 500ms, timeout: 100ms}
- {name: c, addresses: [203.0.113.13], timeout: 1s500ms}
""",
    )
    apigee, b, c = config.targets
    assert config.listen == Listen("::1", 0)
    assert [str(address) for address in apigee.addresses] == [
        "203.0.113.10:443",
        "203.0.113.11:8443",
        "[2001:db8::1]:443",
        "ingress.example.com:443",
        "edge.example.com:444",
    ]
    assert apigee.server_names == ("api.example.com",)
    assert apigee.module == Module(
        name="old",
        hello="openssl-3.0",
        tls=TlsOffer.TLS_1_2,
        depth=Depth.FINISHED,
        sni=(Sni.KNOWN, Sni.NONE),
        timeout=3.0,
        proxy_protocol="v2",
    )
    assert (apigee.interval, apigee.timeout) == (60.0, 3.0)
    assert apigee.non_sni is NonSniPolicy.REJECTED
    assert apigee.labels == {"environment": "prod"}
    assert (b.interval, b.timeout) == (0.5, 0.1)
    assert (c.interval, c.timeout) == (60.0, 1.5)


def test_an_interval_alone_takes_the_default_timeout_with_it(tmp_path: Path) -> None:
    """`interval: 1s` is no mistake: where no timeout is written it stays below the interval."""
    config = written(tmp_path, "interval: 1s\ntargets: [{name: a, addresses: [a]}, {name: b, addresses: [b], interval: 2s}]\n")
    assert [target.timeout for target in config.targets] == pytest.approx([0.8, 1.6])


@pytest.mark.parametrize("version", ["1.0", "'1.0'", '"1.0"'])
def test_tls_versions_need_no_quotes(version: str, tmp_path: Path) -> None:
    """YAML takes 1.0 for a number; the characters that were written count."""
    config = written(tmp_path, f"modules: {{default: {{tls: {version}}}}}\ntargets: []\n")
    assert config.modules["default"].tls is TlsOffer.TLS_1_0


def test_anchors_and_merge_keys_save_typing(tmp_path: Path) -> None:
    """What a target writes itself wins over what it merges; keys of the top level that begin with x- hold anchors."""
    config = written(
        tmp_path,
        """
x-edge: &edge
  server_names: [api.example.com]
  expect: {non_sni: rejected}
targets:
- {<<: *edge, name: a, addresses: [203.0.113.1]}
- {<<: [*edge], name: b, addresses: [203.0.113.2], expect: {non_sni: any}}
""",
    )
    assert [target.server_names for target in config.targets] == [("api.example.com",)] * 2
    assert [target.non_sni for target in config.targets] == [NonSniPolicy.REJECTED, NonSniPolicy.ANY]


def test_no_target_at_all_is_a_configuration(tmp_path: Path) -> None:
    """A prober that waits for targets is legitimate, also where all of them are commented out."""
    assert written(tmp_path, "targets:\n# - name: a\n").targets == ()


def test_nothing_is_expanded(tmp_path: Path) -> None:
    """Environment variables and ~ stay as they are: the file means the same wherever it is read."""
    config = written(tmp_path, "targets: [{name: $HOME, addresses: [a], labels: {home: ~/x}}]\n")
    assert config.targets[0].name == "$HOME"
    assert config.targets[0].labels == {"home": "~/x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9859", Listen("127.0.0.1", 9859)),
        (":9859", Listen("", 9859)),
        ("[::]:9859", Listen("::", 9859)),
        ("localhost:443", Listen("localhost", 443)),
        ("127.0.0.1:0", Listen("127.0.0.1", 0)),
    ],
)
def test_listen_addresses(text: str, expected: Listen) -> None:
    """Every form that Prometheus's exporters take."""
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["fe80::443", "2001:db8::1:0", "2001:db8::1:9859", "2001:db8::1"])
def test_listen_wants_brackets(text: str) -> None:
    """Without them the end of an address is taken for a port, or a port for its end."""
    with pytest.raises(ValueError, match=r"write \[IPv6\]:PORT"):
        parse_listen(text)


def test_ten_thousand_targets_are_read_in_a_blink(tmp_path: Path) -> None:
    """A bound that only a quadratic reader would miss (start-up of the service depends on it)."""
    from time import perf_counter

    rows = "".join(
        f"- {{name: t{n}, addresses: ['10.0.{n // 250}.{n % 250}:{443 + n % 2}'], server_names: [a{n}.example.com]}}\n"
        for n in range(10_000)
    )
    began = perf_counter()
    config = written(tmp_path, "targets:\n" + rows)
    assert len(config.targets) == 10_000
    assert perf_counter() - began < 20


def test_alerting_is_read_and_shown_without_secrets(tmp_path: Path) -> None:
    """``resolve_after`` is ``failures`` unless written; user information in URLs is masked in ``/config``."""
    file = tmp_path / "prober.yml"
    file.write_text(
        "targets: []\nstate: state\n"
        "alerting:\n  failures: 3\n  expiry: 14d\n  for: 1m\n"
        "  alertmanagers: ['http://user:hunter2@127.0.0.1:9093/prefix/']\n"
        "  webhooks: [{url: 'https://hooks.example.com/x?key=hunter2'}]\n"
        "  external_url: https://user:hunter2@prober.example.com/\n"
    )
    config = load(file)
    policy, receivers = config.alerting.policy, config.alerting.receivers
    assert (policy.failures, policy.resolve_after, policy.for_seconds, policy.expiry) == (3, 3, 60.0, 14 * 86400.0)
    assert [(one.name, one.url) for one in receivers.alertmanagers] == [
        ("alertmanager:127.0.0.1:9093", "http://user:hunter2@127.0.0.1:9093/prefix")
    ]
    assert [one.name for one in receivers.webhooks] == ["webhook:hooks.example.com"]
    assert receivers.external_url == "https://user:hunter2@prober.example.com"
    assert config.state == str(tmp_path / "state")
    assert "hunter2" not in show(config) + repr(config)
    assert "http://***@127.0.0.1:9093/prefix" in show(config)


def test_webhooks_of_one_host_are_told_apart_by_number(tmp_path: Path) -> None:
    """Two channels of one chat service need no names; a name that is written is nobody else's."""
    (tmp_path / "hook").write_text("https://hooks.example.com/c\n")
    config = written(
        tmp_path,
        "alerting:\n"
        "  webhooks:\n"
        "  - url: https://hooks.example.com/a\n"
        "  - url: https://hooks.example.com/b\n"
        "  - {url: https://hooks.example.com/d, name: 'webhook:hooks.example.com-2'}\n"
        "  - url: https://hooks.example.com:8443/a\n"
        "  - url_file: hook\n",
    )
    assert [one.name for one in config.alerting.receivers.webhooks] == [
        "webhook:hooks.example.com",
        "webhook:hooks.example.com-3",
        "webhook:hooks.example.com-2",
        "webhook:hooks.example.com:8443",
        "webhook:hook",
    ]


def test_alertmanagers_of_one_host_are_told_apart_by_number(tmp_path: Path) -> None:
    """Behind one gateway each has a path; of one name, the log would call both silent and delivered to in turn."""
    hosts = ("am.example.com/a", "am.example.com/b", "am.example.com-2")
    config = written(tmp_path, "alerting:\n  alertmanagers:\n" + "".join(f"  - https://{host}\n" for host in hosts))
    assert [one.name for one in config.alerting.receivers.alertmanagers] == [
        "alertmanager:am.example.com",
        "alertmanager:am.example.com-2",
        "alertmanager:am.example.com-2-2",
    ]


def test_an_alertmanager_is_a_url_or_a_mapping(tmp_path: Path) -> None:
    """In Prometheus's words; what is shown reads back, and holds no secret."""
    (tmp_path / "token").write_text("hunter2")
    file = tmp_path / "prober.yml"
    file.write_text("""
alerting:
  alertmanagers:
  - http://127.0.0.1:9093
  - {url: "https://am.example.com/prefix/", authorization: {credentials_file: token}, tls_config: {ca_file: token}}
  - {url: "https://am2.example.com", basic_auth: {username: prober, password_file: token}}
targets: []
""")
    config = load(file)
    plain, token, password = config.alerting.receivers.alertmanagers
    path = str(tmp_path / "token")
    assert (plain.url, plain.access) == ("http://127.0.0.1:9093", BARE_ACCESS)
    assert (token.name, token.url) == ("alertmanager:am.example.com", "https://am.example.com/prefix")
    assert token.access == HttpAccess(credentials_file=path, ca_file=path)
    assert password.access == HttpAccess(username="prober", password_file=path)
    shown = show(config)
    assert "hunter2" not in shown
    file.write_text(shown)
    assert load(file).alerting == config.alerting


def test_a_vantage_point_is_read_and_the_command_line_s_wins(tmp_path: Path) -> None:
    """Receivers know it; what is shown reads back."""
    file = tmp_path / "prober.yml"
    file.write_text("vantage: eu-west-1/a\ntargets: []\n")
    config = load(file)
    assert (config.vantage, config.alerting.receivers.vantage) == ("eu-west-1/a", "eu-west-1/a")
    assert load(file, vantage="tokyo").alerting.receivers.vantage == "tokyo"
    file.write_text(show(config))
    again = load(file)
    assert (again.vantage, again.alerting) == (config.vantage, config.alerting)
    file.write_text("targets: []\n")
    assert load(file).vantage is None


@pytest.mark.parametrize(
    "base", ["https://wiki.example.com/runbooks/", "https://wiki.example.com/runbooks#", "https://w.example/?p="]
)
def test_runbooks_may_be_pages_of_a_directory(tmp_path: Path, base: str) -> None:
    """The alert's name is appended to what was written, and to nothing else."""
    config = written(tmp_path, f"targets: []\nalerting: {{runbook_base: '{base}'}}\n")
    assert config.alerting.receivers.runbook_base == base
