"""Fixes of links and of wildcard routes, applied: what they say is done, and the finding is gone without another one in its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from prober.findings import Finding
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD, overrides, routes, told

LINK = '["fallback-no-sni"]'
MUTUAL = OVERRIDES.replace("- name: test-grp\n", "- name: test-grp\n  tlsMode: MUTUAL\n").replace(
    "acme.key\n  additionalGateways: " + LINK, "acme.key"
)
ELSEWHERE = WILDCARD.replace("namespace: apigee", "namespace: other")


def dangling(text: str, *others: str) -> Finding:
    """The finding about the name in overrides.yaml that no route has."""
    return told(routes=routes(*others, WILDCARD), overrides=overrides(text), texts={"overrides.yaml": text})["dangling"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[old]", ["fallback-no-sni"]),
        ("['old'] # old", ["fallback-no-sni"]),
        ("[old-2, old]", ["old-2", "fallback-no-sni"]),
        ("[fallback-no-sni, old]", ["fallback-no-sni"]),
        ('["old", "fallback-no-sni"]', ["fallback-no-sni"]),
        ("[old-2, 'old', fallback-no-sni]", ["old-2", "fallback-no-sni"]),
        ("\n  - fallback-no-sni\n  - 'old' # why", ["fallback-no-sni"]),
    ],
)
def test_a_name_that_no_route_has_gives_way_to_the_one_that_is_there(before: str, after: list[str], tmp_path: Path) -> None:
    """A longer name that begins alike stays, and a name that is listed already is not listed twice."""
    text = OVERRIDES.replace(LINK, before)
    second = WILDCARD.replace('"*"', "b.example").replace("fallback-no-sni", "old-2")
    (tmp_path / "overrides.yaml").write_text(text)
    found = dangling(text, second)
    assert found.fix is not None

    for command in found.fix.commands:
        if command.startswith("sed "):
            subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=30)

    hosts = yaml.safe_load((tmp_path / "overrides.yaml").read_text())["virtualhosts"]
    assert [after, after] == [host["additionalGateways"] for host in hosts]


@pytest.mark.parametrize("links", [LINK, "[fallback-no-sni, other]", "\n  - fallback-no-sni\n  - 'other'", "fallback-no-sni"])
def test_who_demands_client_certificates_is_unlinked(links: str, tmp_path: Path) -> None:
    """A client could leave its certificate at home by sending no name; the other virtual hosts stay linked."""
    text = OVERRIDES.replace("- name: test-grp\n", "- name: test-grp\n  tlsMode: MUTUAL\n  caCertPath: ca.pem\n")
    text = text[: text.rindex(LINK)] + links + text[text.rindex(LINK) + len(LINK) :]
    (tmp_path / "overrides.yaml").write_text(text)
    fix = told(overrides=overrides(text))["mtls-bypass"].fix
    assert fix is not None

    for command in fix.commands:
        if command.startswith("sed "):
            subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=30)

    after = (tmp_path / "overrides.yaml").read_text()
    assert [["fallback-no-sni"], []] == [host["additionalGateways"] or [] for host in yaml.safe_load(after)["virtualhosts"]]
    assert "mtls-bypass" not in told(overrides=overrides(after))
    assert [each for each in fix.commands if "envgroup=prod-grp" in each] == []


def test_a_line_that_is_taken_out_leads_no_other_edit_astray(tmp_path: Path) -> None:
    """The last virtual host first: its lines are where they were."""
    text = OVERRIDES.replace(LINK, "\n  - fallback-no-sni\n  - old", 1).replace(LINK, "[old]")
    (tmp_path / "overrides.yaml").write_text(text)
    found = dangling(text)
    assert found.fix is not None

    for command in found.fix.commands[:2]:
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=30)

    hosts = yaml.safe_load((tmp_path / "overrides.yaml").read_text())["virtualhosts"]
    assert [["fallback-no-sni"]] * 2 == [host["additionalGateways"] for host in hosts]


def test_of_two_wildcard_routes_of_one_name_the_one_that_is_linked_stays() -> None:
    """A link is to a route of its own namespace: the other one may go."""
    finding = told(routes=routes(ELSEWHERE, GROUP, WILDCARD), overrides=overrides())["dup-wildcard"]

    fix = finding.fix
    assert fix is not None
    assert "(other/fallback-no-sni, apigee/fallback-no-sni)" in finding.summary
    assert fix.explanation.startswith("Keep apigee/fallback-no-sni (linked: yes) and delete other/fallback-no-sni;")
    assert "kubectl -n other delete apigeeroute fallback-no-sni" in fix.commands
    assert not any("-n apigee delete" in command for command in fix.commands)


def test_who_uses_the_second_wildcard_route_is_named_before_it_is_deleted() -> None:
    """In a namespace of its own it may be another installation's, whose clients would be turned away."""
    finding = told(routes=routes(GROUP, WILDCARD, ELSEWHERE, GROUP.replace("namespace: apigee", "namespace: other")))[
        "dup-wildcard"
    ]

    assert finding.fix is not None
    assert "look who uses other/fallback-no-sni (by acme-hyb-prod-grp-000-1a2b3c4)" in finding.fix.explanation
    assert any("installation with an ingress of its own" in each.text for each in finding.against)


def test_a_template_is_to_be_changed_where_it_stands() -> None:
    """Its name is a placeholder: a manifest of it, and commands with it, would be of no use."""
    text = WILDCARD.replace("name: fallback-no-sni", "name: {{ .Values.name }}").replace("Client: true", "Client: false")
    fix = told(routes=routes(GROUP, text))["flag-off"].fix

    assert fix is not None
    assert "is a template: change it there" in fix.explanation
    assert fix.yaml is None
    assert not any("<<<" in command for command in fix.commands)


def test_a_wildcard_route_of_another_namespace_is_made_where_it_is_linked() -> None:
    """Under the name that is listed, in the namespace of the route that lists it."""
    more = ELSEWHERE.replace("fallback-no-sni", "second"), ELSEWHERE.replace("fallback-no-sni", "third")
    fix = told(routes=routes(*more, GROUP, ELSEWHERE))["dangling"].fix

    assert fix is not None
    assert {"name": "fallback-no-sni", "namespace": "apigee"} == yaml.safe_load(str(fix.yaml))["metadata"]


@pytest.mark.parametrize("linked_there", [False, True])
def test_a_wildcard_route_of_another_namespace_goes_if_nobody_there_is_linked_to_it(linked_there: bool) -> None:
    """Two with host * may not be; but what another installation uses is not ours to delete."""
    user = GROUP.replace("namespace: apigee", "namespace: other") if linked_there else ""
    finding = told(routes=routes(GROUP, ELSEWHERE, user))["dangling"]

    assert finding.fix is not None
    assert "it is in namespace other" in finding.summary
    deleted = "kubectl -n other delete apigeeroute fallback-no-sni"
    assert linked_there is (deleted not in finding.fix.commands)
    if not linked_there:
        assert finding.fix.commands.index(deleted) < finding.fix.commands.index("kubectl -n apigee apply -f fallback-no-sni.yaml")


def test_a_link_is_right_where_its_own_namespace_has_the_route_and_another_one_too() -> None:
    """The one of the other namespace is one too many, and the link leads where it should."""
    assert "dangling" not in told(routes=routes(GROUP, WILDCARD, ELSEWHERE))


@pytest.mark.parametrize(
    ("lint", "before", "after"),
    [
        ("selector", "  selector: {app: apigee-ingressgateway}\n", ""),
        ("different-certificates", "acme-hyb-prod-grp", "another"),
    ],
)
def test_what_a_lint_finds_in_the_wildcard_route_is_corrected_in_its_manifest(lint: str, before: str, after: str) -> None:
    """Applied, the lint is gone; also where more wildcard routes than environment groups name the wrong Secret."""
    wrong = WILDCARD.replace(before, after)
    other = "---\n" + wrong.replace("fallback-no-sni", "third").replace("number: 443", "number: 80")
    finding = told(routes=routes(GROUP, wrong, *([other] if lint != "selector" else [])))[lint]

    assert finding.fix is not None
    assert lint not in told(routes=routes(GROUP, str(finding.fix.yaml)))


def test_where_its_namespace_has_a_wildcard_route_the_link_is_to_that_one() -> None:
    """Another one would be one too many."""
    fix = told(routes=routes(GROUP, ELSEWHERE, WILDCARD.replace("fallback-no-sni", "non-sni")))["dangling"].fix

    assert fix is not None
    assert fix.explanation.startswith("Write non-sni instead of fallback-no-sni")


def test_who_demands_client_certificates_is_not_told_to_link() -> None:
    """Alone it is nothing that is missing; among others it is left out by name."""
    alone = GROUP.replace("mode: SIMPLE", "mode: MUTUAL").replace("  additionalGateways: [fallback-no-sni]\n", "")
    assert "not-linked" not in told(routes=routes(alone, WILDCARD))

    others = MUTUAL.replace(f"  additionalGateways: {LINK}\n", "")
    fix = told(routes=routes(alone, WILDCARD), overrides=overrides(others))["not-linked"].fix
    assert fix is not None
    assert "to every virtualhost but test-grp (tlsMode MUTUAL) of" in fix.explanation


def test_overrides_that_link_all_but_who_demands_client_certificates_are_told_as_linked() -> None:
    """Only the wildcard route is to be made: there is nothing to add, and no one to leave out."""
    head, _, tail = OVERRIDES.partition("- name: test-grp\n")
    text = f"{head}- name: test-grp\n  tlsMode: MUTUAL\n{tail}".removesuffix(f"  additionalGateways: {LINK}\n")
    fix = told(routes=routes(GROUP), overrides=overrides(text), texts={"overrides.yaml": text})["no-wildcard"].fix

    assert fix is not None
    assert "overrides.yaml, which links it already" in fix.explanation


@pytest.mark.parametrize("written", ['"*"', '""', "no sni", "${GATEWAY}", "'{{ gateway }}'", "UPPER"])
def test_a_link_that_can_be_no_name_gives_no_route_its_name(written: str) -> None:
    """The host of the wildcard route in place of its name, what a template fills in, nothing at all: the manifest can be applied."""
    text = OVERRIDES.replace("fallback-no-sni", "GATEWAY").replace('"GATEWAY"', written)
    found = told(
        routes=routes(GROUP.replace("fallback-no-sni", "GATEWAY").replace("GATEWAY", written)), overrides=overrides(text)
    )

    for finding in (found["no-wildcard"], found.get("dangling", found["no-wildcard"])):
        assert finding.fix is not None
        assert "non-sni" == yaml.safe_load(str(finding.fix.yaml))["metadata"]["name"]
    if written == '"*"':
        assert "Take * out of additionalGateways" in str(found["dangling"].fix)


KEPT = """\
  - {number: 80, protocol: HTTP, tls: {httpsRedirect: true}}
  - {number: 443, protocol: HTTPS, tls: {credentialName: own, mode: SIMPLE, minProtocolVersion: TLSV1_2, cipherSuites: [A, B]}}
"""
BOTH_PORTS = f"{WILDCARD[: WILDCARD.index('  - {number')]}{KEPT}{WILDCARD[WILDCARD.index('  selector') :]}"


@pytest.mark.parametrize(
    ("cause", "before", "after", "kept"),
    [
        ("selector", "app: apigee-ingressgateway", "app: istio-ingressgateway", {"hostnames", "ports"}),
        ("port", "mode: SIMPLE", "mode: PASSTHROUGH", {"hostnames", "ports", "selector"}),
        ("port", "credentialName: own, ", "", {"hostnames", "selector"}),
        ("flag-off", "Client: true", "Client: false", {"hostnames", "ports", "selector"}),
    ],
)
def test_a_corrected_route_keeps_what_was_right(cause: str, before: str, after: str, kept: set[str]) -> None:
    """Its other port, the versions and cipher suites of its TLS, its Secret, its selector, its namespace: applied, nothing else is lost."""
    written = BOTH_PORTS.replace("{app: api", "{ingress_name: edge-a, app: api").replace(
        "namespace: apigee", "namespace: gateways"
    )
    fix = told(routes=routes(GROUP, written.replace(before, after)))[cause].fix

    assert fix is not None
    mended, was = yaml.safe_load(str(fix.yaml)), yaml.safe_load(written)
    assert {key: was["spec"][key] for key in kept} == {key: mended["spec"][key] for key in kept}
    assert ("gateways", was["spec"]["ports"][0]) == (mended["metadata"]["namespace"], mended["spec"]["ports"][0])
    assert any(command.startswith("kubectl -n gateways ") for command in fix.commands)
    assert cause not in told(routes=routes(GROUP, str(fix.yaml)))
