"""Each lint of overrides.yaml: a file that has it, with the line, and the same file mended, without it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.manifest import read_manifests
from prober.diagnose.overrides import OverridesFacts, is_overrides, read_overrides
from tests.diagnose.evidence_samples import overrides, told

GOOD = """\
namespace: apigee
org: acme-hyb
ingressGateways:
- name: edge-a
  svcLoadBalancerIP: 198.51.100.20
virtualhosts:
- name: prod-grp
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  sslCertPath: ./certs/acme.pem
  sslKeyPath: ./certs/acme.key
  minTLSProtocolVersion: "1.2"
  additionalGateways: ["fallback-no-sni"]
- name: test-grp
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  sslCertPath: ./certs/acme.pem
  sslKeyPath: ./certs/acme.key
  additionalGateways: ["fallback-no-sni"]
"""


def read(text: str) -> OverridesFacts:
    return read_overrides(read_manifests("overrides.yaml", text))


def lints(text: str) -> list[tuple[str, int]]:
    return [(lint.id, lint.line) for lint in read(text).lints]


def test_a_good_file_has_no_lint_and_its_facts_are_read() -> None:
    """Virtual hosts, gateways and links are there, and nothing is complained about."""
    facts = read(GOOD)

    assert [] == list(facts.lints)
    assert ["prod-grp", "test-grp"] == [host.name for host in facts.virtual_hosts]
    assert ["edge-a"] == [gateway.name for gateway in facts.gateways]
    assert frozenset({"fallback-no-sni"}) == facts.linked
    assert ("acme-hyb", "apigee", None) == (facts.organization, facts.namespace, facts.access_log_off)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("  minTLS", "  sslSecret: acme-tls\n  minTLS", ("both-cert-sources", 11)),
        ("  sslKeyPath: ./certs/acme.key\n  minTLS", "  minTLS", ("no-cert-source", 7)),
        ("edge-a}\n  sslCertPath: ./certs/acme.pem\n  sslKeyPath: ./certs/acme.key\n  minTLS", "edge-b}\n  sslCertPath: ./certs/acme.pem\n  sslKeyPath: ./certs/acme.key\n  minTLS", ("unknown-ingress", 8)),
        ("{app: apigee-ingressgateway, ingress_name: edge-a}\n  sslCertPath: ./certs/acme.pem\n  sslKeyPath: ./certs/acme.key\n  minTLS", "{app: istio-ingressgateway, ingress_name: edge-a}\n  sslCertPath: ./certs/acme.pem\n  sslKeyPath: ./certs/acme.key\n  minTLS", ("selector", 8)),
        ("- name: edge-a\n  svc", "- name: edge-a\n- name: a-name-of-18-chars\n  svc", ("ingress-name-invalid", 5)),
        ("  sslCertPath: ./certs/acme.pem\n  sslKeyPath: ./certs/acme.key\n  minTLS", '  sslSecret: ""\n  minTLS', ("no-cert-source", 7)),
        ("  svcLoad", "  svcType: NodePort\n  svcLoad", ("svc-type-invalid", 5)),
        ("  svcLoad", "  svcType: ClusterIP\n  svcLoad", ("lb-ip-with-clusterip", 6)),
        ('"1.2"', "1.2", ("tls-version-not-string", 11)),
        ('"1.2"', "TLSV1_2", ("tls-version-not-string", 11)),
        ('["fallback-no-sni"]\n- name: test', "fallback-no-sni\n- name: test", ("additional-gateways-not-list", 12)),
        ('["fallback-no-sni"]\n- name: test', "\n  - fallback-no-sni\n  - {name: other}\n- name: test", ("additional-gateways-not-list", 14)),
        ('  additionalGateways: ["fallback-no-sni"]\n- name: test', "- name: test", ("partial-vhosts", 7)),
        ("  sslCertPath: ./certs/acme.pem\n  sslKeyPath: ./certs/acme.key\n  minTLS", "  sslSecret: other\n  minTLS", ("different-certificates", 12)),
        ("  minTLS", "  tlsMode: MUTUAL\n  minTLS", ("mtls-bypass", 13)),
        ("namespace: apigee\n", "namespace: apigee\norg: twice\n", ("duplicate-key", 3)),
    ],
)  # fmt: skip
def test_each_lint_names_its_line(before: str, after: str, expected: tuple[str, int]) -> None:
    """One mistake in the good file gives one lint, at the line where a person has to look."""
    assert before in GOOD

    assert [expected] == lints(GOOD.replace(before, after, 1))


TWO_MORE = """\
- name: partners
  sslSecret: partners
  tlsMode: MUTUAL
- name: shop
  sslSecret: shop
"""


def test_a_host_that_demands_client_certificates_is_better_not_linked() -> None:
    """It is no gap among the linked ones, nor must its certificate be theirs; a host that may be linked must have their pair before."""
    assert [("different-certificates", 21), ("partial-vhosts", 21)] == sorted(lints(GOOD + TWO_MORE))
    assert [] == lints(GOOD + TWO_MORE[: TWO_MORE.index("- name: shop")])


def test_the_host_whose_certificate_differs_is_the_one_that_is_named() -> None:
    """The second of three, between two that have the same pair."""
    second = "- name: shop\n  sslSecret: shop\n  additionalGateways: [fallback-no-sni]\n"

    assert [("different-certificates", 13)] == lints(GOOD.replace("- name: test-grp", f"{second}- name: test-grp"))


def test_one_certificate_may_be_written_in_two_ways() -> None:
    """A path with ./ and without is the same file."""
    second = (
        "- name: shop\n  sslCertPath: certs/acme.pem\n  sslKeyPath: certs/acme.key\n  additionalGateways: [fallback-no-sni]\n"
    )

    assert [] == lints(GOOD + second)


@pytest.mark.parametrize("address", ['""', "", "null"])
def test_an_address_that_is_written_empty_is_none(address: str) -> None:
    """As a template leaves it where nobody set one: there is nothing that svcType ClusterIP would ignore."""
    assert [] == lints(GOOD.replace("IP: 198.51.100.20", f"IP: {address}\n  svcType: ClusterIP"))


def test_a_mistake_in_an_anchor_is_one_however_many_aliases_it_has() -> None:
    """Where it stands, once."""
    shared = GOOD.replace("selector: {app: apigee-ingressgateway, ingress_name: edge-a}", "selector: *labels")
    anchor = "labels: &labels {app: apigee-ingressgateway, ingress_name: edge-b, ingress_name: edge-a}\n"

    assert [("duplicate-key", 1)] == lints(anchor + shared)


def test_a_bad_indentation_costs_its_own_section_only() -> None:
    """The error has its line, and the sections around it are read all the same."""
    facts = read(GOOD.replace("  svcLoadBalancerIP", "   svcLoadBalancerIP: x\n svcLoadBalancerIP"))

    assert ["yaml-error"] == [lint.id for lint in facts.lints]
    assert facts.lints[0].line in {5, 6}
    assert ["prod-grp", "test-grp"] == [host.name for host in facts.virtual_hosts]


def test_placeholders_are_never_judged() -> None:
    """A template is linted as far as it can be read: what a placeholder will become is nobody's mistake."""
    template = (
        GOOD.replace("ingress_name: edge-a", 'ingress_name: "{{ ingress }}"')
        .replace("name: edge-a", "name: ${INGRESS}")
        .replace('"1.2"', "{{ tls.minimum }}")
        .replace("namespace: apigee", "{% if customized %}\nnamespace: {{ namespace }}\n{% endif %}")
    )

    assert [] == lints(template)


def test_an_access_log_that_is_turned_off_is_seen() -> None:
    """Without an access log the route of the logs proves nothing, so the line that turns it off is a fact."""
    assert 18 == read(GOOD + "istiod: {accessLogFile: ''}\n").access_log_off


def test_overrides_are_told_from_other_yaml() -> None:
    """A Kubernetes object, a list and another tool's values are not taken for overrides."""
    assert is_overrides(read_manifests("o", GOOD))
    assert not is_overrides(read_manifests("o", "kind: Service\nenvs: []\n"))
    assert not is_overrides(read_manifests("o", "- a\n- b\n"))
    assert not is_overrides(read_manifests("o", "replicaCount: 2\n"))


@given(st.integers(0, len(GOOD)), st.integers(0, 60), st.text(alphabet="{}[]:-&*!|>'\"%@`#\n \tab", max_size=8))
def test_damage_anywhere_never_raises(start: int, length: int, patch: str) -> None:
    """However a file is damaged, something is returned, and each complaint has a line of the file."""
    text = GOOD[:start] + patch + GOOD[start + length :]

    for lint in read(text).lints:
        assert 1 <= lint.line <= text.count("\n") + 1


def test_aliases_that_explode_are_refused() -> None:
    """A billion laughs cost an error, not the memory."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
    )

    assert "yaml-error" in {flaw.kind for flaw in read_manifests("bomb.yaml", bomb).flaws}


def test_the_version_to_write_is_the_one_that_was_meant() -> None:
    """`TLSV1_3` is not turned into 1.2, and a number keeps its digits."""
    texts = [lint.text for word in ("TLSV1_3", "1.3") for lint in read(GOOD.replace('"1.2"', word)).lints]

    assert ['write the string "1.3"'] * 2 == [text.partition("; ")[2] for text in texts]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("additionalGateways: [a]\nvirtualhosts:\n- name: one\n", 1, "stands outside of virtualhosts"),
        ("virtualhosts:\n- name: one\n  additionalGateway: [a]\n", 3, "write additionalGateways"),
        ("virtualhosts:\n- name: one\n  AdditionalGateways: [a]\n", 3, "write additionalGateways"),
        (
            "virtualhosts:\n- name: one\n  selector:\n    app: x\n    additionalGateways: [a]\n",
            5,
            "stands in selector of virtualhost one",
        ),
    ],
)
def test_a_link_that_nobody_reads_is_evidence_of_the_missing_one(text: str, line: int, said: str) -> None:
    """Misspelt, or indented too little or too much: people swear that they have written it."""
    assert () == read(GOOD).astray

    evidence = told(overrides=overrides(text))["no-wildcard"].evidence

    assert [line] == [each.line for each in evidence if said in each.text]


@pytest.mark.parametrize("key", ["virtualhosts", "ingressGateways"])
def test_what_should_be_a_list_and_is_none_is_told(key: str) -> None:
    """Nothing of it is read, and so nothing else would be said about it."""
    assert [("yaml-error", 2)] == lints(f"org: acme\n{key}:\n  one: {{name: one, sslSecret: a}}\n")
    assert [] == lints(f"org: acme\n{key}:\n")


def test_the_ingress_for_chained_proxies_need_not_be_listed() -> None:
    """``enhanceProxyLimits`` makes it (hybrid 1.14)."""
    text = GOOD.replace("ingress_name: edge-a", "ingress_name: internal-chaining", 1)

    assert ["unknown-ingress"] == [name for name, _ in lints(text)]
    assert [] == lints(f"enhanceProxyLimits: true\n{text}")


def test_names_with_commas_between_them_are_several() -> None:
    """As a string of them is meant; the lint says how it is written."""
    facts = read('virtualhosts:\n- name: one\n  sslSecret: a\n  additionalGateways: "a, b"\n')

    assert ("a", "b") == facts.virtual_hosts[0].additional_gateways
    assert facts.lints[0].text.endswith('write ["a", "b"]')
