"""Numbers that no integer of the machine holds, and such as only look small, are refused like all others out of range."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import ConfigError, load

FORMS = {
    "listen": "listen: '127.0.0.1:{}'\n",
    "listen on every address": "listen: ':{}'\n",
    "a permitted port": "probe_allow: [{{networks: [192.0.2.0/24], ports: ['{}']}}]\n",
    "a permitted range": "probe_allow: [{{networks: [192.0.2.0/24], ports: ['1-{}']}}]\n",
    "failures": "alerting: {{failures: {}}}\n",
    "the port of a discovered name": "discovery: [{{dns: {{names: [a.example], port: {}, server_names: [b.example]}}}}]\n",
    "the port of a DNS server": "discovery: [{{dns: {{names: [a.example], server_names: [b.example], servers: ['[2001:db8::53]:{}']}}}}]\n",
    "a modulus": "discovery: [{{files: [a.yml], relabel_configs: [{{action: hashmod, source_labels: [a], target_label: b, modulus: {}}}]}}]\n",
    "the interval": "interval: {}y\n",
    "the expiry": "alerting: {{expiry: {}d}}\n",
}


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "0000001" + "9" * 20], ids=["float", "int", "zeros"])
@pytest.mark.parametrize("form", list(FORMS))
def test_a_number_of_any_length_is_refused_in_its_place(tmp_path: Path, form: str, number: str) -> None:
    """One complaint with its line, and no word about Python."""
    file = tmp_path / "prober.yml"
    file.write_text(FORMS[form].format(number))
    with pytest.raises(ConfigError) as refused:
        load(file)
    [problem] = refused.value.problems
    assert problem.line == 1
    assert "; write " in problem.message
    assert "sys." not in problem.message
