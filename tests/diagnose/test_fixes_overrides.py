"""The diff of overrides.yaml: made in the file's own style, and proved by reading what comes of it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.fixes_overrides import link_diff, linked_text
from prober.diagnose.manifest import read_manifests
from prober.diagnose.overrides import OverridesFacts, read_overrides
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD, overrides, probe, routes, told
from tests.servers.requirements import require_program

STYLES = {
    "nothing": "- name: one\n  sslSecret: a # why\n- name: two\n  sslSecret: a\n",
    "indented items": "  - name: one\n    sslSecret: a\n  - sslSecret: a\n    name: two\n",
    "items with a value that goes on": "- selector:\n    app: x\n  name: one\n- selector: {\n    app: x}\n  name: two\n",
    "whole items on a line": "- {name: one, sslSecret: a}\n- {name: two, sslSecret: a}  # second\n",
    "an empty list": "- name: one\n  additionalGateways: []\n- name: two\n  additionalGateways: [] # none\n",
    "another in the list": '- name: one\n  additionalGateways: ["other"]\n- name: two\n  additionalGateways: [other, third]\n',
    "a block list": "- name: one\n  additionalGateways:\n  - other\n- name: two\n  additionalGateways:\n    - other\n    - third\n",
    "a scalar": "- name: one\n  additionalGateways: other\n- name: two\n  additionalGateways: 'other'\n",
    "an empty key": "- name: one\n  additionalGateways:\n- name: two\n  additionalGateways: # none yet\n",
    "an empty key that is an item's first": "- additionalGateways:\n  name: one\n- additionalGateways:\n- name: two\n",
    "null": "- name: one\n  additionalGateways: null\n- name: two\n  additionalGateways: ~ # none\n",
    "a block list behind comments": "- name: one\n  additionalGateways:\n  # ours\n\n  - other\n- name: two\n",
    "brackets in a comment, a comma at the end": "- name: one\n  additionalGateways: [a, ] # [b]\n- name: two\n",
    "a key in quotes": "- name: one\n  \"additionalGateways\": ['a']\n- name: two\n",
    "a list within an item on one line": "- {name: one, additionalGateways: [a], sslSecret: b}\n- {name: two, sslSecret: b,}\n",
    "dashes in lines of their own": "-\n  name: one\n- # second\n  name: two\n",
    "a block with blank lines": "- sslCert: |\n    a\n\n    b\n  name: one\n- name: two\n",
    "one that has it": '- name: one\n  additionalGateways: ["non-sni"]\n- name: two\n',
    "no newline at the end": "- name: one\n- name: two",
}


def read(text: str) -> OverridesFacts:
    return read_overrides(read_manifests("overrides.yaml", text))


@pytest.mark.parametrize("items", STYLES.values(), ids=STYLES)
def test_every_style_is_linked_without_touching_the_rest(items: str) -> None:
    """All virtual hosts list the route afterwards, and only lines about additionalGateways (or one-line items) have changed."""
    text = f"# ours\norg: acme\nvirtualhosts:\n{items}"

    changed = linked_text(read(text), text, "non-sni")

    assert changed is not None
    assert all("non-sni" in host.additional_gateways for host in read(changed).virtual_hosts)
    gone = set(text.splitlines()) - set(changed.splitlines())
    assert all("additionalGateways" in line or line.startswith("- {") for line in gone)


def test_line_ends_stay_as_they_are() -> None:
    """A file of Windows has no line of another system in it afterwards."""
    text = OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', "").replace("\n", "\r\n")

    changed = linked_text(read(text), text, "non-sni")

    assert changed is not None
    assert changed.count("non-sni") == changed.count('["non-sni"]\r\n') == 2


def test_a_virtual_host_with_client_certificates_is_never_linked() -> None:
    """A client could otherwise leave its certificate at home by sending no name."""
    text = "virtualhosts:\n- name: one\n  tlsMode: MUTUAL\n- name: two\n"

    changed = linked_text(read(text), text, "non-sni")

    assert changed is not None
    assert [(), ("non-sni",)] == [host.additional_gateways for host in read(changed).virtual_hosts]


def applied(**texts: str) -> list[str]:
    """The helm commands of a fix for these files, without those that only try."""
    facts = tuple(read_overrides(read_manifests(f"{name}.yaml", text)) for name, text in texts.items())
    fix = told(overrides=facts, texts={f"{name}.yaml": text for name, text in texts.items()})["no-wildcard"].fix
    assert fix is not None
    return [command for command in fix.commands if command.startswith("helm") and not command.endswith("--dry-run")]


def test_each_group_is_applied_with_its_own_file_in_its_own_namespace() -> None:
    """Another organization's overrides would make another organization's virtual host of it."""
    one, two = applied(
        one="namespace: first\nvirtualhosts:\n- name: a\n  sslSecret: x\n",
        two="namespace: second\nvirtualhosts:\n- name: b\n  sslSecret: x\n",
    )
    assert "--namespace first " in one
    assert one.endswith("envgroup=a -f one.yaml")
    assert "--namespace second " in two
    assert two.endswith("envgroup=b -f two.yaml")


def test_files_of_which_one_has_the_virtual_hosts_are_applied_together() -> None:
    """Without the other layers a group has no organization."""
    [command] = applied(
        base="org: acme\ngcp: {region: x}\nenvs: [{name: prod}]\n", hosts="virtualhosts:\n- name: a\n  sslSecret: x\n"
    )

    assert command.endswith("envgroup=a -f base.yaml -f hosts.yaml")


def test_what_cannot_be_edited_safely_gets_no_diff() -> None:
    """An item that an alias stands for, or a flow list over several lines, is left to a person."""
    for items in (
        "- &one {name: one}\n- *one\n",
        "- name: one\n  additionalGateways: [\n    a]\n",
        "[{name: one}, {name: two}]\n",
    ):
        text = f"virtualhosts:\n{items}"
        assert link_diff(read(text), text, "non-sni") is None


def test_the_diff_is_one_that_patch_takes(tmp_path: Path) -> None:
    """``patch`` makes of the old file what was intended."""
    patch = require_program("patch")
    text = OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', "")
    (tmp_path / "overrides.yaml").write_text(text)
    diff = link_diff(read(text), text, "non-sni")
    assert diff is not None

    subprocess.run([patch, "-p1"], input=diff, text=True, cwd=tmp_path, check=True, capture_output=True)

    assert linked_text(read(text), text, "non-sni") == (tmp_path / "overrides.yaml").read_text()


@given(st.integers(0, len(OVERRIDES)), st.integers(0, 40), st.text(alphabet="{}[]:-&*\n #\"' ", max_size=6))
def test_damage_gives_a_right_diff_or_none(start: int, length: int, patch: str) -> None:
    """However the file is damaged: what is offered links the route, and changes no other virtual host."""
    text = OVERRIDES[:start] + patch + OVERRIDES[start + length :]

    changed = linked_text(read(text), text, "non-sni")

    if changed is not None:
        assert [host.name for host in read(changed).virtual_hosts] == [host.name for host in read(text).virtual_hosts]


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        ("no-wildcard", OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', "")),
        ("partial-vhosts", OVERRIDES.removesuffix('  additionalGateways: ["fallback-no-sni"]\n')),
    ],
)
def test_what_a_fix_says_is_one_yaml_document_and_its_command_applies_the_diff(cause: str, text: str, tmp_path: Path) -> None:
    """Whoever saves it under its name and runs the command has the virtual hosts linked."""
    require_program("patch")
    evidence = {"routes": routes(GROUP)} if cause == "no-wildcard" else {}
    fix = told(overrides=overrides(text), texts={"overrides.yaml": text}, **evidence)[cause].fix
    assert fix is not None
    assert fix.yaml is not None
    assert isinstance(yaml.safe_load(fix.yaml), dict)
    (command,) = (each for each in fix.commands if each.startswith("sed "))
    (tmp_path / command.split("' ")[1].split(" |")[0]).write_text(fix.yaml)
    (tmp_path / "overrides.yaml").write_text(text)

    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=30)

    after = yaml.safe_load((tmp_path / "overrides.yaml").read_text())
    assert all("fallback-no-sni" in host["additionalGateways"] for host in after["virtualhosts"])


def test_a_name_that_a_shell_would_read_as_more_is_quoted_in_every_command() -> None:
    """Names come from files that people are sent; what is copied into a shell must be one word there."""
    odd = "x; touch owned"
    second = WILDCARD.replace("name: fallback-no-sni", f'name: "{odd}"').replace("acme-hyb-prod-grp", f'"{odd}"')
    reset, wrong = probe("certificate", "reset"), probe("certificate", "misnamed")
    findings = [
        *told(probes=reset, routes=routes(GROUP, second.replace("namespace: apigee", f'namespace: "{odd}"'))).values(),
        *told(probes=wrong, routes=routes(GROUP, WILDCARD, second)).values(),
    ]

    assert {"secret", "dup-wildcard"} <= {each.id for each in findings}
    for command in (command for each in findings if each.fix is not None for command in each.fix.commands):
        assert "owned" not in {word.rpartition("/")[2] for word in shlex.split(command)}
