"""ApigeeRoutes: what is read of them, each lint with its line and its negative, lists and templates."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.causes import diagnose
from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.manifest import read_manifests
from prober.diagnose.routes import RouteFacts, has_routes, read_routes
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD, overrides, probe, routes, told

BOTH = f"{GROUP}---\n{WILDCARD}"
RESET = probe("certificate", "reset")


def read(*texts: str) -> RouteFacts:
    return read_routes(read_manifests(f"r{number}.yaml", text) for number, text in enumerate(texts))


def lints(*texts: str) -> list[tuple[str, str, int]]:
    return [(lint.id, lint.file, lint.line) for lint in read(*texts).lints]


def test_a_good_pair_has_no_lint_and_its_facts_are_read() -> None:
    """Names, hosts, ports, selector, flag, links, status, with their lines."""
    facts = read(BOTH)
    group, wildcard = facts.routes

    assert () == facts.lints
    assert not facts.complete
    assert (wildcard,) == facts.wildcards
    assert (True, 10, ("running", 1, 1)) == (
        wildcard.enable_non_sni_client,
        (wildcard.flag_line or 0) - wildcard.line,
        (wildcard.state, wildcard.generation, wildcard.applied_generation),
    ) or wildcard.flag_line is not None
    assert (("fallback-no-sni",), "acme-hyb-prod-grp") == (group.additional_gateways, group.ports[0].credential_name)


LISTED = "kind: ApigeeRouteList\nitems: []\n"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("number: 443, protocol: HTTPS, tls: {credentialName: acme-hyb-prod-grp, mode: SIMPLE, minProtocolVersion: TLS_AUTO}}\n  selector: {app: apigee-ingressgateway}",
         "number: 80, protocol: HTTP}\n  selector: {app: apigee-ingressgateway}", "port"),
        ("mode: SIMPLE, minProtocolVersion: TLS_AUTO}}\n  selector: {app: apigee-ingressgateway}", "mode: AUTO_PASSTHROUGH}}\n  selector: {app: apigee-ingressgateway}", "port"),
        ("protocol: HTTPS, tls: {credentialName: acme-hyb-prod-grp, mode: SIMPLE, minProtocolVersion: TLS_AUTO}}\n  selector: {app: apigee-ingressgateway}",
         "protocol: TLS, tls: {credentialName: acme-hyb-prod-grp, mode: SIMPLE}}\n  selector: {app: apigee-ingressgateway}", "port"),
        ("credentialName: acme-hyb-prod-grp, mode: SIMPLE, minProtocolVersion: TLS_AUTO}}\n  selector: {app: apigee-ingressgateway}",
         "mode: SIMPLE}}\n  selector: {app: apigee-ingressgateway}", "port"),
        ("  selector: {app: apigee-ingressgateway}", "  selector: {app: istio-ingressgateway}", "selector"),
        ("  selector: {app: apigee-ingressgateway}\n", "", "selector"),
        ("credentialName: acme-hyb-prod-grp, mode: SIMPLE, minProtocolVersion: TLS_AUTO}}\n  selector: {app: apigee-ingressgateway}",
         "credentialName: other, mode: SIMPLE}}\n  selector: {app: apigee-ingressgateway}", "different-certificates"),
        ("additionalGateways: [fallback-no-sni]", "additionalGateways: [missing]", "dangling"),
        ("name: fallback-no-sni, namespace: apigee", "name: fallback-no-sni, namespace: other", "dangling"),
        ("kind: ApigeeRoute\n", "kind: ApigeeRoute\nkind: ApigeeRoute\n", "duplicate-key"),
    ],
)  # fmt: skip
def test_each_lint_names_file_and_line(before: str, after: str, expected: str) -> None:
    """One mistake gives one lint, at a line of the object that has it; among all routes of the cluster."""
    assert before in BOTH

    found = lints(BOTH.replace(before, after, 1), LISTED)

    assert [(expected, "r0.yaml")] == [(name, file) for name, file, _ in found]
    assert all(1 <= line <= BOTH.count("\n") + 2 for _, _, line in found)


def test_a_group_without_a_link_is_linted_only_where_others_have_one() -> None:
    """One of two groups."""
    second = GROUP.replace("prod-grp-000", "test-grp-000").replace("  additionalGateways: [fallback-no-sni]\n", "")
    empty = GROUP.replace("prod-grp-000", "test-grp-000").replace("[fallback-no-sni]", "[]")

    assert ["partial-vhosts"] == [name for name, _, _ in lints(BOTH, second)]
    assert ["partial-vhosts"] == [name for name, _, _ in lints(BOTH, empty)]
    assert [] == lints(second, WILDCARD)


def test_an_object_in_two_files_is_one_object() -> None:
    """A manifest, and what the cluster printed: no two wildcard routes, of which one would have to be deleted."""
    manifest = WILDCARD[: WILDCARD.index("status:")].replace(", namespace: apigee, generation: 1", "")

    assert {"inconclusive"} == set(told(routes=read(GROUP, WILDCARD, manifest)))
    assert {"inconclusive"} == set(told(routes=read(GROUP, manifest, WILDCARD)))
    assert "dup-wildcard" in told(routes=read(GROUP, WILDCARD, manifest.replace("fallback-no-sni", "second")))
    assert 2 == len(read(WILDCARD, WILDCARD.replace("namespace: apigee", "namespace: other")).routes)


def test_an_object_that_differs_in_two_files_is_judged_as_the_cluster_has_it() -> None:
    """And the difference is told: one of the two was not applied."""
    off = WILDCARD[: WILDCARD.index("status:")].replace("Client: true", "Client: false")
    newer = (
        WILDCARD.replace("generation: 1", "generation: 2")
        .replace("Generation: 1", "Generation: 2")
        .replace("Client: true", "Client: false")
    )

    manifest = told(routes=read(GROUP, WILDCARD, off))
    assert "flag-off" not in manifest
    assert [("r1.yaml", 1), ("r2.yaml", 1)] == [(each.file, each.line) for each in manifest["not-applied"].evidence]
    assert {"flag-off", "not-applied"} <= set(told(routes=read(GROUP, newer, WILDCARD)))


def test_every_place_is_told_once_however_many_there_are() -> None:
    """Nine groups without a link, with an empty list and with none: one finding, and each place is in it."""
    linked = "additionalGateways: [fallback-no-sni]\n"
    groups = [
        GROUP.replace("prod", f"grp{number}").replace(linked, "additionalGateways: []\n" if number % 2 else "rules: {}\n")
        for number in range(9)
    ]
    files = read(GROUP, *groups, WILDCARD)
    findings = diagnose(EvidenceSet(routes=files))

    [finding] = [each for each in findings if each.id == "partial-vhosts"]
    assert [(f"r{number}.yaml", 9 if number % 2 == 0 else 1) for number in range(1, 10)] == [
        (each.file, each.line) for each in finding.evidence
    ]


def test_a_route_that_demands_client_certificates_is_no_gap() -> None:
    """Linking it would open it to clients without a certificate; neither the lint nor the cause asks for that."""
    second = GROUP.replace("prod", "partners").replace("  additionalGateways: [fallback-no-sni]\n", "")
    mutual = second.replace("mode: SIMPLE", "mode: MUTUAL")

    assert "partial-vhosts" in told(routes=read(GROUP, second, WILDCARD))
    assert "partial-vhosts" not in told(routes=read(GROUP, mutual, WILDCARD))


def test_a_missing_route_is_only_missing_among_all_of_them() -> None:
    """In single files nothing says that there are no others."""
    assert [] == lints(GROUP)
    assert ["dangling"] == [name for name, _, _ in lints(GROUP, LISTED)]


def test_lists_in_yaml_and_json_are_read_alike() -> None:
    """``kubectl get -o yaml``, ``-o json``, tabs in JSON, and ApigeeRouteList."""
    items = [yaml.safe_load(GROUP), yaml.safe_load(WILDCARD)]
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    made = [
        yaml.safe_dump(whole),
        json.dumps(whole),
        json.dumps(whole, indent="\t"),
        json.dumps({**whole, "kind": "ApigeeRouteList"}),
    ]

    for text in made:
        facts = read(text)
        assert (True, ["acme-hyb-prod-grp-000-1a2b3c4", "fallback-no-sni"]) == (
            facts.complete,
            [each.name for each in facts.routes],
        )
        assert has_routes(read_manifests("x", text))


def test_objects_one_behind_the_other_and_in_an_array_are_read() -> None:
    """What a loop over `kubectl get -o json` prints, JSON lines, and jq's `.items`: with the lines of each."""
    objects = [yaml.safe_load(GROUP), yaml.safe_load(WILDCARD)]
    loop = "".join(json.dumps(each, indent=2) + "\n" for each in objects)
    lines = "".join(json.dumps(each) + "\n" for each in objects)

    for text in (loop, lines, json.dumps(objects, indent=1)):
        facts = read(text)
        assert [] == list(facts.lints)
        assert ["acme-hyb-prod-grp-000-1a2b3c4", "fallback-no-sni"] == [route.name for route in facts.routes]
        assert not facts.complete
    assert 2 == read(lines).routes[1].line
    assert loop.split("\n").index('    "hostnames": [', 10) + 1 == read(loop).routes[1].line_of("hostnames")


def test_several_merged_mappings_are_read() -> None:
    """`<<: [*a, *b]`: the earlier one wins, and the mapping's own keys win over both."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2, w: 2}\nc:\n  w: 3\n  <<: [*a, *b]\n"

    assert {"x": 1, "y": 1, "z": 2, "w": 3} == read_manifests("m", text).documents[0].plain()["c"]  # type: ignore[index,call-overload]


def test_an_empty_list_says_that_there_is_no_route() -> None:
    """What `kubectl get apigeeroutes -o json` prints where there is none; a list of something else says nothing."""
    empty = '{"apiVersion": "v1", "items": [], "kind": "List", "metadata": {"resourceVersion": ""}}'

    assert has_routes(read_manifests("m", empty))
    assert read(empty).complete
    assert "no-wildcard" in told(routes=read(empty))
    assert not has_routes(read_manifests("m", '{"kind": "List", "items": [{"kind": "Pod"}]}'))


def test_of_what_could_not_be_read_nothing_is_claimed() -> None:
    """A wildcard route whose spec is no YAML is not missing, and not unlinked either: the error is told."""
    findings = told(routes=read(GROUP, WILDCARD.replace("  hostnames:", "   hostnames:")))

    assert {"yaml-error", "inconclusive"} == set(findings)
    assert 6 == findings["yaml-error"].evidence[0].line
    tab = told(routes=read(WILDCARD.replace("  hostnames", "\thostnames")))
    assert "a tab" in tab["yaml-error"].summary
    assert "no-wildcard" not in tab


def test_a_route_with_client_certificates_behind_an_open_wildcard_is_a_bypass() -> None:
    """MUTUAL linked to SIMPLE; not where the wildcard route is MUTUAL as well, nor without the link."""
    mutual = GROUP.replace("mode: SIMPLE", "mode: MUTUAL")

    assert [("mtls-bypass", "r0.yaml", 9)] == lints(mutual, WILDCARD)
    assert [] == lints(mutual, WILDCARD.replace("mode: SIMPLE", "mode: MUTUAL"))
    assert "mtls-bypass" not in {each for each, _, _ in lints(mutual.replace("[fallback-no-sni]", "[]"), WILDCARD)}


def test_a_virtual_host_that_is_linked_to_a_route_as_strict_as_itself_is_no_bypass() -> None:
    """What overrides.yaml alone cannot know, the routes say; one that demands no certificate beside it is one too many."""
    hosts = overrides(OVERRIDES.replace("- name: test-grp\n", "- name: test-grp\n  tlsMode: MUTUAL\n"))
    strict = WILDCARD.replace("mode: SIMPLE", "mode: MUTUAL")

    assert "mtls-bypass" not in told(routes=read(GROUP, strict), overrides=hosts)
    assert "mtls-bypass" in told(routes=read(GROUP, WILDCARD), overrides=hosts)
    assert "mtls-bypass" in told(
        routes=read(GROUP, strict, WILDCARD.replace("namespace: apigee", "namespace: b")), overrides=hosts
    )
    assert "mtls-bypass" in told(overrides=hosts)


def test_a_link_to_another_name_than_the_wildcard_routes_is_suspected() -> None:
    """The fix writes the name that is there, and never makes a second wildcard route; a client that is served says it is none."""
    files = read(GROUP, WILDCARD.replace("fallback-no-sni", "non-sni"))
    finding = told(routes=files, overrides=overrides())["dangling"]

    assert "suspected" == finding.confidence.value
    assert {("r0.yaml", 9), ("overrides.yaml", 10), ("overrides.yaml", 15)} == {
        (each.file, each.line) for each in finding.evidence
    }
    assert finding.fix is not None
    assert finding.fix.commands[0].startswith("sed -E -i '15,16{s/")
    assert finding.fix.commands[0].endswith("' overrides.yaml")
    assert "ApigeeRoute" not in str(finding.fix.yaml)
    assert "dangling" not in told(routes=files, probes=(probe("certificate", "certificate"),))


@pytest.mark.parametrize("written", ["*", "*  # all", "*\r"])
def test_a_star_without_quotes_is_told_what_it_lacks(written: str) -> None:
    """To YAML it is an alias, which is no help to whoever wrote it."""
    [lint] = read(WILDCARD.replace('["*"]', f"\n  - {written}")).lints

    assert ("yaml-error", 6) == (lint.id, lint.line)
    assert lint.text.endswith('put it in quotes: "*"')


def test_a_line_end_of_yaml_alone_leads_no_mark_astray() -> None:
    """YAML counts a carriage return, too: the mistake's line is then behind those that end in a line feed."""
    assert {"yaml-error"} == {lint.id for lint in read("kind: ApigeeRoute\r\rspec:\r\t- b\r").lints}


def test_a_port_in_quotes_is_mended_and_not_kept() -> None:
    """The API takes no number in quotes; beside the right port it would make the manifest wrong."""
    finding = told(routes=read(GROUP, WILDCARD.replace("number: 443", 'number: "443"')))["port"]

    assert finding.fix is not None
    assert [443] == [port["number"] for port in yaml.safe_load(str(finding.fix.yaml))["spec"]["ports"]]
    assert "has no number HTTPS" in finding.evidence[0].text


def test_placeholders_are_never_judged() -> None:
    """A template of a wildcard route in shell's, and in Jinja's, style: what it will become is nobody's mistake."""
    template = (
        WILDCARD.replace('"*"', '"{{ host }}"')
        .replace("number: 443", 'number: "${PORT}"')
        .replace("HTTPS", "${PROTOCOL}")
        .replace("SIMPLE", "${MODE}")
        .replace("acme-hyb-prod-grp", "${SECRET}")
        .replace("app: apigee-ingressgateway", "app: apigee-ingressgateway, ingress_name: ${INGRESS}")
        .replace("NonSniClient: true", 'NonSniClient: "${NON_SNI}"')
    )
    linked = GROUP.replace("[fallback-no-sni]", '["${ROUTE_NAME}"]')
    facts = read(template, linked, LISTED)

    assert () == facts.lints
    assert ["fallback-no-sni"] == [route.name for route in facts.wildcards]
    found = told(routes=facts, overrides=overrides())
    assert {"inconclusive"} == set(found)


def test_a_linked_route_that_is_no_wildcard_is_said_to_be_none() -> None:
    """The name in additionalGateways is right, and the route behind it has a name of its own."""
    other = WILDCARD.replace('"*"', "shop.example.com")
    found = told(probes=RESET, routes=routes(GROUP, other))
    finding = found["no-wildcard"]

    assert "partial-vhosts" not in found, "a route that is linked to is no environment group that lacks the link"
    assert any(
        "fallback-no-sni is listed in additionalGateways, and its hostnames are shop.example.com" in each.text
        for each in finding.evidence
    )


def test_hundreds_of_environment_groups_take_no_cubic_time() -> None:
    """Each object is given to its virtual host once: 600 of either took a minute."""
    group = GROUP.replace("  additionalGateways: [fallback-no-sni]\n", "")
    facts = read(*(group.replace("prod-grp", f"group-{number}") for number in range(600)), WILDCARD)
    hosts = "".join(f"- {{name: group-{number}, sslSecret: s, additionalGateways: [fallback-no-sni]}}\n" for number in range(600))

    started = time.process_time()
    finding = told(routes=facts, overrides=overrides(f"org: acme-hyb\nvirtualhosts:\n{hosts}"))["not-applied"]

    assert "links virtualhost group-0 to" in finding.summary
    assert time.process_time() - started < 15


@given(st.integers(0, len(BOTH)), st.integers(0, 80), st.text(alphabet="{}[]:-&*!|>'\"%@`#\n \tab0", max_size=8))
def test_damage_anywhere_never_raises(start: int, length: int, patch: str) -> None:
    """Whatever was damaged, something is read, and judged."""
    told(probes=RESET, routes=read(BOTH[:start] + patch + BOTH[start + length :], LISTED))


def test_the_old_gateway_is_right_where_the_environment_groups_have_it_too() -> None:
    """Up to hybrid 1.8 every route selects app istio-ingressgateway."""
    old = [text.replace("app: apigee-ingressgateway", "app: istio-ingressgateway") for text in (GROUP, WILDCARD)]

    assert [] == [name for name, _, _ in lints(*old)]


@pytest.mark.parametrize("field", ["hostnames", "additionalGateways"])
def test_one_name_where_a_list_should_be_is_told(field: str) -> None:
    """The API server refuses it; what was meant is judged all the same."""
    text = (
        BOTH.replace('hostnames: ["*"]', 'hostnames: "*"')
        if field == "hostnames"
        else BOTH.replace("[fallback-no-sni]", "fallback-no-sni")
    )
    found = told(routes=read(text))

    assert "no-wildcard" not in found
    assert f"spec.{field} of ApigeeRoute" in found["yaml-error"].summary
    assert "write " in found["yaml-error"].evidence[0].text


def test_a_patch_of_a_route_says_nothing_of_what_it_leaves_out() -> None:
    """Kustomize has objects with what changes in them; that no host is written there is no missing wildcard route."""
    patch = "kind: ApigeeRoute\nmetadata: {name: non-sni}\nspec: {selector: {app: apigee-ingressgateway}}\n"

    assert ["inconclusive"] == list(told(routes=read(patch)))
    assert "no-wildcard" in told(routes=read(patch), probes=(RESET,))
