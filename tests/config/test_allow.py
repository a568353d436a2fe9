"""``probe_allow``: what /probe may reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import load
from prober.config.allow import AllowRule, permits
from prober.model import Endpoint


@pytest.fixture
def rules(tmp_path: Path) -> tuple[AllowRule, ...]:
    file = tmp_path / "prober.yml"
    file.write_text(
        "probe_allow:\n- {networks: [10.0.0.0/8, 2001:db8::/32], ports: [443, '8443-8450']}\n- {networks: [192.0.2.7]}\n"
    )
    return load(file).probe_allow


@pytest.mark.parametrize(
    ("ip", "port", "expected"),
    [
        ("10.1.2.3", 443, True),
        ("10.1.2.3", 8443, True),
        ("10.1.2.3", 8450, True),
        ("10.1.2.3", 8451, False),
        ("10.1.2.3", 22, False),
        ("11.1.2.3", 443, False),
        ("2001:db8::1", 443, True),
        ("2001:db9::1", 443, False),
        ("192.0.2.7", 22, True),
        ("192.0.2.8", 22, False),
        ("::ffff:10.1.2.3", 443, True),
        ("::ffff:a01:203", 443, True),
        ("::ffff:11.1.2.3", 443, False),
        ("fe80::1%lo", 443, False),
    ],
)
def test_networks_and_ports_decide(ip: str, port: int, expected: bool, rules: tuple[AllowRule, ...]) -> None:
    """Both must fit; an IPv4-mapped IPv6 address is the IPv4 address that packets would go to."""
    assert permits(rules, Endpoint(ip, port)) is expected


def test_without_rules_nothing_is_permitted() -> None:
    """The default is no scanner."""
    assert not permits((), Endpoint("127.0.0.1", 443))
