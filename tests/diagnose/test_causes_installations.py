"""More than one of everything: ingresses, installations, links. What is right in one of them is not told of the other."""

from __future__ import annotations

import yaml

from prober.diagnose.causes import diagnose
from prober.diagnose.evidence import EvidenceSet, FlowEnd
from prober.findings import Confidence, Fix, Severity
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD, capture, flow, http, overrides, probe, routes, told
from tests.judge.differentials import KNOWN

LINK = "  additionalGateways: [fallback-no-sni]\n"
UNLINKED = GROUP.replace(LINK, "")
AT_EDGE_A = WILDCARD.replace("{app: apigee-ingressgateway}", "{app: apigee-ingressgateway, ingress_name: edge-a}")
# Of two ingresses, and of two organizations in namespaces of their own.
OTHER = (
    GROUP.replace("acme-hyb-prod-grp", "acme-hyb-ext-grp").replace("hostnames: [", "hostnames: [ext.").replace("edge-a", "edge-b")
)
SECOND = UNLINKED.replace("acme-hyb", "bcorp-hyb").replace("namespace: apigee,", "namespace: apigee-b,")
RESET = probe("certificate", "reset")


def fix_of(fix: Fix | None) -> dict[str, object]:
    assert fix is not None
    assert fix.yaml is not None
    return dict(yaml.safe_load(fix.yaml))


def test_a_group_on_another_ingress_than_the_wildcard_route_it_is_linked_to_is_told() -> None:
    """The link binds its hosts to the other ingress; who comes to its own without SNI is reset. The fix selects both."""
    found = told(routes=routes(GROUP, OTHER, AT_EDGE_A))["selector"]

    assert (Severity.WARNING, Confidence.LIKELY) == (found.severity, found.confidence)
    assert "acme-hyb-ext-grp" in found.summary
    assert "acme-hyb-prod-grp" not in found.summary
    assert {"app": "apigee-ingressgateway"} == fix_of(found.fix)["spec"]["selector"]  # type: ignore[index]


def test_virtual_hosts_on_another_ingress_are_told_without_the_groups_routes_and_the_fix_selects_both() -> None:
    """overrides.yaml alone says on which ingress a group is."""
    head, _, tail = OVERRIDES.partition("- name: test-grp\n")
    two = f"{head}- name: test-grp\n{tail.replace('edge-a', 'edge-b')}".replace(
        "- name: edge-a\n", "- name: edge-a\n- name: edge-b\n"
    )
    found = told(routes=routes(AT_EDGE_A), overrides=overrides(two))["selector"]

    assert "test-grp, linked to it, is on the ingress app=apigee-ingressgateway, ingress_name=edge-b" in found.summary
    assert {"app": "apigee-ingressgateway"} == fix_of(found.fix)["spec"]["selector"]  # type: ignore[index]


def test_a_probe_of_the_name_of_that_group_confirms_it() -> None:
    """It runs what it should, so nothing is told of an older configuration. One of a group on the right ingress confirms nothing."""
    there, here = (GROUP.replace("edge-a", "edge-b"), OTHER.replace("edge-b", "edge-a"))

    assert ["selector"] == list(told(probes=RESET, routes=routes(there, here, AT_EDGE_A)))
    assert Confidence.CONFIRMED is told(probes=RESET, routes=routes(there, here, AT_EDGE_A))["selector"].confidence
    assert Confidence.LIKELY is told(probes=RESET, routes=routes(GROUP, OTHER, AT_EDGE_A))["selector"].confidence


def test_wildcard_routes_of_both_ingresses_leave_nothing_to_tell() -> None:
    """One for each, and each group linked to its own; or one for all."""
    second = AT_EDGE_A.replace("edge-a", "edge-b").replace("fallback-no-sni", "second")
    both = routes(GROUP, OTHER.replace("fallback-no-sni", "second"), AT_EDGE_A, second)

    assert "selector" not in told(routes=both)
    assert "selector" not in told(routes=routes(GROUP, OTHER, WILDCARD))


def test_an_installation_of_its_own_has_no_use_for_anothers_wildcard_route() -> None:
    """In its namespace the route is missing, with its own Secret; its groups are not left out of the other's links."""
    findings = told(routes=routes(GROUP, WILDCARD, SECOND))

    assert "partial-vhosts" not in findings
    assert "in namespace apigee-b" in findings["no-wildcard"].summary
    manifest = fix_of(findings["no-wildcard"].fix)
    assert "apigee-b" == manifest["metadata"]["namespace"]  # type: ignore[index]
    assert "bcorp-hyb-prod-grp" == manifest["spec"]["ports"][0]["tls"]["credentialName"]  # type: ignore[index]


def test_a_reset_is_told_of_the_installation_whose_name_was_probed() -> None:
    """The missing route of the one is confirmed, and nothing is suspected of the other, which reads right."""
    elsewhere = GROUP.replace("hostnames: [", "hostnames: [other.")
    findings = diagnose(EvidenceSet(probes=(RESET,), routes=routes(elsewhere, WILDCARD, SECOND)))

    assert [("no-wildcard", Confidence.CONFIRMED)] == [(each.id, each.confidence) for each in findings]


def test_a_reset_of_a_name_that_two_installations_may_have_is_of_the_one_that_has_it_in_full() -> None:
    """A wildcard hostname of the other one covers it as well, and confirms nothing about that one."""
    off = WILDCARD.replace("enableNonSniClient: true", "enableNonSniClient: false")
    findings = told(probes=RESET, routes=routes(GROUP, off, SECOND.replace("[api.", '["*.').replace(".test]", '.test"]')))

    assert Confidence.CONFIRMED is findings["flag-off"].confidence
    assert Confidence.LIKELY is findings["no-wildcard"].confidence


def test_overrides_of_two_installations_that_link_nothing_are_no_groups_that_were_left_out() -> None:
    """The cluster has the link, and the overrides of its own installation nowhere: that is drift."""
    unlinked = OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', "")
    second = unlinked.replace("namespace: apigee", "namespace: apigee-b").replace("acme-hyb", "bcorp-hyb")
    findings = told(routes=routes(GROUP, WILDCARD, SECOND), overrides=overrides(unlinked) + overrides(second))

    assert "not-applied" in findings
    assert "partial-vhosts" not in findings


def test_a_wildcard_route_where_no_groups_are_is_in_the_wrong_place_and_of_no_other_installation() -> None:
    """Then the namespace is what is wrong."""
    misplaced = routes(GROUP, WILDCARD.replace("namespace: apigee", "namespace: default"))

    assert ["dangling"] == list(told(routes=misplaced))


def test_a_link_with_a_slip_in_it_is_no_missing_link_as_well() -> None:
    """One cause and one fix: two that add and rename would spoil each other. A 404 on the wire confirms it."""
    files = routes(GROUP.replace("fallback-no-sni", "fallback-nosni"), WILDCARD)
    slip = overrides(OVERRIDES.replace("fallback-no-sni", "fallback-nosni"))

    assert ["dangling"] == list(told(routes=files, overrides=slip))
    seen = told(routes=files, overrides=slip, probes=probe("certificate", "certificate", None, *http(404)))
    assert ["dangling"] == list(seen)
    assert Confidence.CONFIRMED is seen["dangling"].confidence


def test_groups_that_have_no_link_are_told_beside_those_whose_link_has_a_slip() -> None:
    """Each with its own cause."""
    files = routes(GROUP.replace("fallback-no-sni", "fallback-nosni"), OTHER.replace(LINK, ""), WILDCARD)
    findings = told(routes=files)

    assert ["acme-hyb-ext-grp-000-1a2b3c4"] == [each.text.split()[1] for each in findings["not-linked"].evidence]
    assert {"dangling", "not-linked"} == set(findings)


def test_a_link_that_did_not_arrive_is_no_group_that_was_left_out() -> None:
    """ApigeeRouteConfig has it, ApigeeRoute has not: one finding, about the step between."""
    config = """\
apiVersion: apigee.cloud.google.com/v1alpha1
kind: ApigeeRouteConfig
metadata: {name: acme-hyb-prod-grp, namespace: apigee}
spec:
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  additionalGateways: [fallback-no-sni]
"""
    assert ["not-applied"] == list(told(routes=routes(UNLINKED, config, WILDCARD)))
    assert ["not-applied"] == list(told(routes=routes(UNLINKED, OTHER, WILDCARD), overrides=overrides()))


def test_a_route_that_is_linked_and_is_no_wildcard_is_no_group_that_was_left_out() -> None:
    """The list may name other gateways than the one for clients without SNI."""
    extra = GROUP.replace("acme-hyb-prod-grp-000-1a2b3c4", "extra").replace(LINK, "")
    both = GROUP.replace("[fallback-no-sni]", "[fallback-no-sni, extra]")

    assert ["inconclusive"] == list(told(routes=routes(both, extra, WILDCARD)))


def test_the_404_of_a_link_that_broke_is_told_once() -> None:
    """Not as a missing link besides, which the overrides have already."""
    seen = probe("certificate", "certificate", None, *http(404))

    assert ["not-applied"] == list(told(probes=seen, routes=routes(UNLINKED, WILDCARD), overrides=overrides()))


def test_a_link_that_is_everywhere_is_not_to_be_written_once_more() -> None:
    """The requests get 404 all the same: what was applied has not arrived."""
    fix = told(
        probes=probe("certificate", "certificate", None, *http(404)), routes=routes(GROUP, WILDCARD), overrides=overrides()
    )["not-linked"].fix

    assert fix is not None
    assert "is linked already" in fix.explanation
    assert fix.yaml is None


def test_two_states_of_one_object_in_the_cluster_are_no_mistake() -> None:
    """Printed before a change and after it: the newer one is judged, and that is said."""
    before = GROUP.replace("generation: 4", "generation: 3").replace("Generation: 4", "Generation: 3").replace(LINK, "")
    found = told(routes=routes(before, GROUP, WILDCARD))["not-applied"]
    undone = before.replace("eneration: 3", "eneration: 5")

    assert "partial-vhosts" in told(routes=routes(GROUP, undone, OTHER, WILDCARD))
    assert Severity.INFO is found.severity
    assert "the newer one" in found.summary
    edited = GROUP.replace(LINK, "")
    assert Severity.WARNING is told(routes=routes(edited, GROUP, WILDCARD))["not-applied"].severity


def test_a_secret_with_which_a_name_is_served_is_not_missing() -> None:
    """Nobody is told to write over a Secret that is in use; an ingress that runs an older configuration is what remains."""
    findings = told(probes=RESET, routes=routes(GROUP, WILDCARD))

    assert ["stale-route"] == list(findings)
    assert Confidence.LIKELY is findings["stale-route"].confidence


def test_a_manifest_for_an_unknown_ingress_says_what_old_ones_are_called() -> None:
    """Up to hybrid 1.8 it may be Anthos Service Mesh's; where the labels are known, they are what counts."""
    unknown, known = told(probes=RESET)["no-wildcard"].fix, told(probes=RESET, routes=routes(UNLINKED))["no-wildcard"].fix

    assert unknown is not None
    assert known is not None
    assert "app: apigee-ingressgateway  # with Anthos Service Mesh (hybrid 1.8 and earlier): istio-ingressgateway" in (
        unknown.yaml or ""
    )
    assert "istio-ingressgateway" not in (known.yaml or "")


def test_a_wrong_certificate_beside_the_right_secret_is_an_older_configuration() -> None:
    """The known name gets the right one with the Secret that the wildcard route names, too: to write that Secret again mends nothing."""
    found = told(probes=probe("certificate", "misnamed"), routes=routes(GROUP, WILDCARD))["wrong-default-cert"]

    assert any("names the same Secret" in each.text for each in found.against)
    assert found.fix is not None
    assert found.fix.yaml is None
    assert "another route with host '*'" in found.fix.explanation


def test_a_secret_that_serves_other_names_than_those_probed_is_not_said_to_be_the_right_one() -> None:
    """Each group has its own; the wildcard route presents the one that does not cover the name that was probed."""
    own = OTHER.replace("credentialName: acme-hyb-ext-grp", "credentialName: ext-cert")
    files = routes(GROUP, own, WILDCARD.replace("acme-hyb-prod-grp", "ext-cert"))
    seen = capture(flow(f"ext.{KNOWN}", FlowEnd.CERTIFICATE))
    found = told(probes=probe("certificate", "misnamed"), routes=files, capture=seen)["wrong-default-cert"]

    assert () == found.against
    assert found.fix is not None
    assert found.fix.yaml is not None


def test_a_wrong_certificate_of_a_doubled_route_is_told_with_it() -> None:
    """One cause, and one fix: the superfluous route goes."""
    second = WILDCARD.replace("fallback-no-sni", "legacy").replace("acme-hyb-prod-grp", "old-cert")
    findings = told(probes=probe("certificate", "misnamed"), routes=routes(GROUP, WILDCARD, second))

    assert "dup-wildcard" == next(iter(findings))
    assert "wrong-default-cert" not in findings


def test_a_doubled_route_with_the_same_secret_is_no_reason_for_a_certificate_that_expired() -> None:
    """Whichever takes effect presents it; neither has to do with what is refused with SNI, too."""
    same = WILDCARD.replace("fallback-no-sni", "legacy")
    findings = told(probes=probe("certificate", "expired"), routes=routes(GROUP, WILDCARD, same))

    assert ["wrong-default-cert", "dup-wildcard"] == list(findings)
    assert Confidence.LIKELY is findings["dup-wildcard"].confidence
    other = same.replace("acme-hyb-prod-grp", "old-cert")
    assert "wrong-default-cert" in told(probes=probe("expired", "expired"), routes=routes(GROUP, WILDCARD, other))


def test_the_group_that_lacks_the_link_is_named_where_no_overrides_say_what_it_is_called() -> None:
    """And not every virtual host there may be."""
    fix = told(routes=routes(GROUP, OTHER.replace(LINK, ""), WILDCARD))["partial-vhosts"].fix

    assert fix is not None
    assert "the virtualhost of acme-hyb-ext-grp" in fix.explanation


def test_an_old_ingress_that_the_virtual_hosts_select_is_right_for_the_wildcard_route() -> None:
    """Up to hybrid 1.8 the ingress is the mesh's; overrides.yaml shows it where the groups' routes were not given."""
    mesh = WILDCARD.replace("apigee-ingressgateway", "istio-ingressgateway")
    old = OVERRIDES.replace("ingressGateways:\n- name: edge-a\n", "").replace(
        "{app: apigee-ingressgateway, ingress_name: edge-a}", "{app: istio-ingressgateway}"
    )

    assert "selector" not in told(routes=routes(mesh), overrides=overrides(old))
    assert "selector" in told(routes=routes(mesh), overrides=overrides())
    assert "selector" in told(routes=routes(mesh))
