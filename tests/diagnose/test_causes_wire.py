"""What was seen on the wire and is not the ingress's own doing, or no matter of SNI: it confirms no cause that it does not show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prober.diagnose.causes import exit_status
from prober.diagnose.evidence import CaptureEvidence, FlowEnd, HttpAnswer
from prober.findings import Confidence, Severity
from prober.model import Sni
from tests.diagnose.evidence_samples import GROUP, WILDCARD, capture, flow, log, probe, routes, told
from tests.diagnose.log_samples import entry
from tests.judge.differentials import KNOWN

RESET = probe("certificate", "reset")
UNLINKED = GROUP.replace("  additionalGateways: [fallback-no-sni]\n", "")
OFF = WILDCARD.replace("Client: true", "Client: false")
RULE = probe("certificate", "reset", "certificate")


@pytest.mark.parametrize("sign", ["foreign_reset", "early_reset"])
def test_a_reset_by_something_on_the_way_confirms_no_cause_in_the_configuration(sign: str) -> None:
    """A RST with another TTL, or before the hello was acknowledged: it is shown against a missing route, and no client is at fault."""
    more: dict[str, Any] = {sign: True}
    findings = told(capture=capture(flow(None, FlowEnd.RESET, **more)), routes=routes(UNLINKED))

    assert "middlebox" == next(iter(findings))
    assert Confidence.SUSPECTED is findings["no-wildcard"].confidence
    assert any("something on the way" in each.text for each in findings["no-wildcard"].against)
    assert Confidence.CONFIRMED is not findings["client-no-sni"].confidence
    assert findings["client-no-sni"].against


def test_a_server_that_turns_everybody_away_in_a_capture_is_no_matter_of_sni() -> None:
    """A name that a route has was reset as well: layer 4, and no missing wildcard route."""
    flows = [flow(None, FlowEnd.RESET), flow(KNOWN, FlowEnd.RESET, client="198.51.100.8")]
    findings = told(capture=capture(*flows), routes=routes(UNLINKED))

    assert ("l4", Confidence.LIKELY) == (next(iter(findings)), findings["l4"].confidence)
    assert findings["no-wildcard"].severity is Severity.WARNING
    assert any(KNOWN in each.text for each in findings["no-wildcard"].against)
    assert "unknown-name" not in findings


@pytest.mark.parametrize(
    ("word", "looks_at", "command"),
    [
        ("resolve_failed", "DNS record", "getent ahosts "),
        ("refused", "load balancer", "prober once 192.0.2.10:443 "),
        ("reset", "PROXY header", "prober once 192.0.2.10:443 "),
    ],
)
def test_who_gets_no_connection_is_not_sent_to_look_for_a_proxy_header(word: str, looks_at: str, command: str) -> None:
    """DNS comes first; a header can only be missing where a connection stands, and not where one was sent already."""
    fix = told(probes=probe(word, word))["l4"].fix
    sent = told(probes=replace(probe(word, word), options=("--proxy-protocol", "v2")))["l4"].fix

    assert fix is not None
    assert sent is not None
    assert "--proxy-protocol" not in sent.commands[-1]
    assert looks_at in fix.explanation
    assert ("PROXY" in fix.explanation) is (word == "reset")
    assert fix.commands[-1].startswith(command)
    assert ("--proxy-protocol" in fix.commands[-1]) is (word == "reset")


def test_a_server_that_turns_several_names_away_is_no_matter_of_sni_without_routes_either() -> None:
    """One name may be a slip of the client's; two, and nobody who is served, look like a server that serves nobody, or like scanners."""
    names = [flow(None, FlowEnd.RESET), flow(KNOWN, FlowEnd.RESET), flow("shop.test", FlowEnd.RESET)]
    findings = told(capture=capture(*names))

    assert ("l4", Confidence.SUSPECTED) == (next(iter(findings)), findings["l4"].confidence)
    assert "unless none of them is a name of this ingress" in findings["l4"].summary
    assert "no-wildcard" not in findings
    assert "unknown-name" not in findings
    assert "l4" not in told(capture=capture(*names[:2]))
    assert "l4" not in told(capture=capture(*names, flow("served.test", FlowEnd.CERTIFICATE)))
    assert "l4" not in told(capture=capture(*names[1:], flow(None, FlowEnd.CERTIFICATE)))


def test_a_server_that_serves_clients_without_a_name_turns_not_everybody_away() -> None:
    """A name that a route has and that is reset there is a matter of that name."""
    seen = capture(flow(KNOWN, FlowEnd.RESET), flow(None, FlowEnd.CERTIFICATE))
    findings = told(capture=seen, routes=routes(GROUP, WILDCARD))

    assert ["unknown-name"] == list(findings)
    assert "although a route has that name" in findings["unknown-name"].summary


def test_a_name_that_is_served_or_that_no_route_has_leaves_the_missing_route_confirmed() -> None:
    """What an ingress without a wildcard route does: known names are served, unknown ones are reset as missing ones are."""
    flows = [flow(None, FlowEnd.RESET), flow("shop.test", FlowEnd.RESET), flow(KNOWN, FlowEnd.CERTIFICATE)]
    for seen in (flows, flows[:2]):
        findings = told(capture=capture(*seen), routes=routes(UNLINKED))

        assert Confidence.CONFIRMED is findings["no-wildcard"].confidence
        assert () == findings["no-wildcard"].against
        assert "l4" not in findings


@pytest.mark.parametrize(("cause", "texts"), [("no-wildcard", (UNLINKED,)), ("flag-off", (GROUP, OFF))])
def test_an_unknown_name_that_is_served_speaks_against_a_missing_filter_chain(cause: str, texts: tuple[str, ...]) -> None:
    """A rule against missing names is told as another server's; the route is a suspicion, with what contradicts it."""
    findings = told(probes=RULE, routes=routes(*texts))

    assert "other-server" == next(iter(findings))
    assert Confidence.SUSPECTED is findings[cause].confidence
    assert any("unknown name: certificate" in each.text for each in findings[cause].against)


def test_a_name_that_a_route_has_is_not_said_to_be_in_none() -> None:
    """Turned away at one ingress that serves others: the sentence says what was seen, not that the name is missing."""
    flows = [flow(KNOWN, FlowEnd.RESET), flow("shop.test", FlowEnd.CERTIFICATE)]
    finding = told(capture=capture(*flows), routes=routes(UNLINKED))["unknown-name"]

    assert "although a route has that name" in finding.summary
    assert finding.against


def test_a_secret_of_another_name_is_a_hint_and_no_proof_that_it_is_missing() -> None:
    """Nothing tells a missing Secret from an older configuration here: both are suspected, and what reads right is shown."""
    files = routes(GROUP, WILDCARD.replace("acme-hyb-prod-grp", "old-cert"))
    findings = told(probes=RESET, routes=files)

    for cause in ("secret", "stale-route"):
        assert Confidence.SUSPECTED is findings[cause].confidence
        assert any("has host '*', enableNonSniClient true" in each.text for each in findings[cause].against)
    assert any("names the Secret old-cert" in each.text for each in findings["secret"].evidence)
    assert "may have" in findings["secret"].summary


def test_a_client_that_is_served_elsewhere_is_shown_against_a_missing_secret() -> None:
    """One client without SNI is reset, another one is served: the second speaks against a Secret that is missing for all."""
    flows = [flow(None, FlowEnd.RESET), flow(None, FlowEnd.CERTIFICATE, client="198.51.100.8")]

    assert any(
        "198.51.100.8" in each.text for each in told(capture=capture(*flows), routes=routes(GROUP, WILDCARD))["secret"].against
    )


def test_a_groups_route_that_is_not_applied_is_no_reason_for_a_reset_without_a_name() -> None:
    """It is told, by its status alone; the missing wildcard route is what the probe confirms."""
    files = routes(UNLINKED.replace("lastAppliedGeneration: 4", "lastAppliedGeneration: 3, errors: [{message: refused}]"))
    findings = told(probes=RESET, routes=files)

    stale = findings["stale-route"]
    assert (Severity.WARNING, Confidence.LIKELY) == (stale.severity, stale.confidence)
    assert {"routes"} == {each.source for each in stale.evidence}
    assert 9 == stale.evidence[0].line
    assert "has generation 4, and 3 is applied, reports refused" in stale.evidence[0].text
    assert Confidence.CONFIRMED is findings["no-wildcard"].confidence


def test_two_wildcard_routes_on_different_pods_do_not_explain_a_reset() -> None:
    """Their selectors share no pod: a lint, and nothing that the probe would confirm."""
    other = WILDCARD.replace("fallback-no-sni", "legacy").replace("app: apigee-ingressgateway", "app: istio-ingressgateway")
    finding = told(probes=RESET, routes=routes(GROUP, WILDCARD, other))["dup-wildcard"]

    assert (Severity.WARNING, Confidence.SUSPECTED) == (finding.severity, finding.confidence)
    assert {"routes"} == {each.source for each in finding.evidence}


def answers(without: int | None, with_name: int | None, server: str = "istio-envoy") -> list[HttpAnswer]:
    """The request without SNI and its control; None: the connection was closed before an answer."""
    return [
        HttpAnswer(sni=sni, host=KNOWN, path="/healthz/ingress", status=status, server=server, error=None if status else "closed")
        for sni, status in ((Sni.NONE, without), (Sni.KNOWN, with_name))
    ]


@pytest.mark.parametrize("server", ["", "envoy", "somebody's own"])
def test_a_404_without_a_name_is_the_missing_link_whatever_signs_it_where_a_wildcard_route_is(server: str) -> None:
    """The server header can be turned off or written anew; 200 with SNI is what tells it from a path that is not there."""
    asked = probe("certificate", "certificate", None, *answers(404, 200, server))
    findings = told(probes=asked, routes=routes(UNLINKED, WILDCARD))

    assert ("not-linked", Confidence.CONFIRMED) == (next(iter(findings)), findings["not-linked"].confidence)
    assert "ok" not in findings


@pytest.mark.parametrize("server", ["", "istio-envoy", "prober-lab"])
def test_a_404_of_an_envoy_or_of_the_lab_that_rehearses_one_is_the_missing_link_by_itself(server: str) -> None:
    """Without a configuration the header says whose it is; who rehearses the incident is told its cause."""
    findings = told(probes=probe("certificate", "certificate", None, *answers(404, 200, server)))

    assert ("not-linked", Confidence.LIKELY) == (next(iter(findings)), findings["not-linked"].confidence)


@pytest.mark.parametrize(("without", "server"), [(404, "nginx"), (421, "Apache"), (403, "Apache"), (503, "envoy"), (None, "")])
def test_a_request_that_fails_without_a_name_alone_is_never_well(without: int | None, server: str) -> None:
    """The handshake stands, and the client is not served: another server's default host, or what nobody has explained yet."""
    findings = told(probes=probe("certificate", "certificate", None, *answers(without, 200, server)))

    assert ["inconclusive"] == list(findings)
    assert Severity.WARNING is findings["inconclusive"].severity
    assert any("with SNI -> 200" in each.text for each in findings["inconclusive"].evidence)


def test_a_request_that_fails_with_a_name_as_well_is_said_to_tell_nothing() -> None:
    """It was tried: that is not the same as not having tried; and it is no evidence for `ok`."""
    asked = probe("certificate", "certificate", None, *answers(404, 404))
    well, unlinked = told(probes=asked), told(probes=asked, routes=routes(UNLINKED, WILDCARD))

    assert "--http-agent" in well["ok"].summary
    assert "not tried" not in well["ok"].summary
    assert not any("-> 404" in each.text for each in well["ok"].evidence)
    assert "--http-agent" in unlinked["not-linked"].summary
    assert "ok" not in unlinked


def test_a_request_that_nobody_answers_is_no_matter_of_its_path() -> None:
    """A key that cannot sign, a backend that is gone: the connection ends behind the certificate, whatever is asked for."""
    summary = told(probes=probe("certificate", "certificate", None, *answers(None, None)))["ok"].summary

    assert "--http-path" not in summary
    assert "prober once --depth finished" in summary


@pytest.mark.parametrize("texts", [(UNLINKED, WILDCARD), (GROUP, UNLINKED.replace("prod", "test"), WILDCARD)])
def test_a_certificate_alone_is_not_ok_where_the_configuration_is_in_the_way_of_requests(texts: tuple[str, ...]) -> None:
    """Not linked, or in part: requests of a client without SNI would get 404, and that was named."""
    served = probe("certificate", "certificate")

    assert "ok" in told(probes=served, routes=routes(GROUP, WILDCARD))
    assert "ok" not in told(probes=served, routes=routes(*texts))


def test_what_the_configuration_says_against_a_good_answer_is_shown_with_it() -> None:
    """200 without SNI, although nothing is linked: both are told, and each contradicts the other."""
    asked = probe("certificate", "certificate", None, *answers(200, 200))
    findings = told(probes=asked, routes=routes(UNLINKED, WILDCARD))

    assert Confidence.SUSPECTED is findings["not-linked"].confidence
    assert Confidence.LIKELY is findings["ok"].confidence
    assert any("lists no wildcard route" in each.text for each in findings["ok"].against)


def test_a_reset_is_shown_against_what_would_come_behind_the_handshake() -> None:
    """Nothing is linked, and the handshake does not stand either: 404 was not seen, and the reset says so."""
    finding = told(probes=RESET, routes=routes(UNLINKED, WILDCARD))["not-linked"]

    assert Confidence.SUSPECTED is finding.confidence
    assert any("no name: RST" in each.text for each in finding.against)


def test_a_linked_route_that_is_in_no_file_is_a_remark_and_the_files_are_shown() -> None:
    """It may be missing, and it may stand in a file that was not given: neither is claimed, both are said."""
    findings = told(probes=RESET, routes=routes(GROUP, whole=False))

    assert Severity.INFO is findings["dangling"].severity
    assert 9 == findings["dangling"].evidence[0].line
    assert "may not hold all routes" in findings["dangling"].summary
    assert "None of the ApigeeRoutes given" in findings["no-wildcard"].summary
    assert any("no route has host '*'" in each.text for each in findings["no-wildcard"].evidence)


BALANCER = "35.191.0.9"


def test_a_load_balancer_that_is_served_without_a_name_is_a_remark() -> None:
    """What Google's load balancers do, and what the wildcard route is for: nothing is wrong with it."""
    findings = told(capture=capture(flow(None, FlowEnd.CERTIFICATE, client=BALANCER)), routes=routes(GROUP, WILDCARD))

    assert Severity.INFO is findings["sni-stripped"].severity
    assert 0 == exit_status(tuple(findings.values()))


def test_two_captures_before_one_server_do_not_show_that_a_name_was_lost() -> None:
    """They may be of different clients; a missing wildcard route confirms nothing about that."""
    before = flow(KNOWN, FlowEnd.CERTIFICATE, file="before.pcap", client="198.51.100.8")
    finding = told(capture=capture(flow(None, FlowEnd.RESET), before), routes=routes(UNLINKED))["sni-stripped"]

    assert Confidence.SUSPECTED is finding.confidence
    assert "if these are the same clients" in finding.summary


def test_a_captured_alert_about_versions_is_told_of_those_who_got_it() -> None:
    """One old client is no word on SNI; with a name and without is."""
    old = flow(KNOWN, FlowEnd.ALERT, alert=70)
    both = told(capture=capture(old, flow(None, FlowEnd.ALERT, alert=70)))["proto"].summary

    assert "no matter of SNI" in both
    assert "no matter of SNI" not in told(capture=capture(old))["proto"].summary
    assert "client-no-sni" not in told(capture=capture(flow(None, FlowEnd.ALERT, alert=70)))
    assert "client-no-sni" in told(capture=capture(flow(None, FlowEnd.ALERT, alert=112)))


def test_a_certificate_demanded_of_the_known_name_alone_is_not_demanded_of_everybody() -> None:
    """TLS 1.3 says so behind the handshake, to the request with SNI; without SNI the request is answered: a bypass."""
    asked = replace(
        probe("certificate", "certificate", None, *answers(200, None)),
        http=(
            HttpAnswer(sni=Sni.NONE, host=KNOWN, path="/", status=200, server="envoy"),
            HttpAnswer(sni=Sni.KNOWN, host=KNOWN, path="/", error="TLS alert 116 (certificate_required)"),
        ),
    )
    finding = told(probes=asked)["mtls"]

    assert "whatever the server name is" not in finding.summary
    assert any("with SNI -> TLS alert 116" in each.text for each in finding.evidence)


def test_a_fin_is_what_an_envoy_behind_a_proxy_sends_where_apigee_is_configured() -> None:
    """Without a configuration it may be another product's SNI router; with one it is the missing route, and no other server."""
    closed = probe("certificate", "closed")

    assert "other-server" in told(probes=closed)
    assert "other-server" not in told(probes=closed, routes=routes(UNLINKED))
    assert Confidence.CONFIRMED is told(probes=closed, routes=routes(UNLINKED))["no-wildcard"].confidence


def test_a_log_alone_says_that_it_seems_so() -> None:
    """Plain HTTP on the TLS port is written in the same words: no sentence claims that a name was not sent."""
    findings = told(logs=log(entry(remote_address="35.191.0.9:1")))

    assert "seems to send no server name" in findings["client-no-sni"].summary
    assert "seems to send no SNI" in findings["sni-stripped"].summary
    assert (
        "35.191.0.9 sends no server name"
        in told(capture=capture(flow(None, FlowEnd.RESET, client=BALANCER)))["client-no-sni"].summary
    )


def test_a_certificate_that_known_names_refuse_is_told_with_its_reason() -> None:
    """Alone it is no matter of SNI, and is said so; where clients without SNI refuse it as well, both are shown."""
    alone = told(probes=probe("expired", "certificate"))["inconclusive"]
    both = told(probes=probe("expired", "expired"))["wrong-default-cert"]

    assert "no matter of SNI" in alone.summary
    assert any(f"with server_name {KNOWN}: " in each.text and "expired" in each.text for each in alone.evidence)
    assert "With SNI the certificate is refused, too" in both.summary
    assert any(f"with server_name {KNOWN}: " in each.text for each in both.evidence)
    assert "With SNI" not in told(probes=probe("certificate", "expired"))["wrong-default-cert"].summary


def test_a_route_that_takes_clients_without_a_name_speaks_against_the_log() -> None:
    """The configuration says that they are served, the log that some are not: they may be no TLS, and both are told."""
    findings = told(logs=log(entry(remote_address="10.0.0.7:1")), routes=routes(GROUP, WILDCARD))

    assert any("takes clients without SNI" in each.text for each in findings["client-no-sni"].against)
    assert "not-tls" in findings
    served = told(logs=log(entry(remote_address="10.0.0.7:1")), probes=probe("certificate", "certificate"))
    assert any("no name: certificate" in each.text for each in served["client-no-sni"].against)


@pytest.mark.parametrize("host", ["203.0.113.10", "203.0.113.10:443", "[2001:db8::1]:443", "localhost", "nobodys.test"])
def test_a_404_for_a_host_that_no_group_has_is_no_missing_link(host: str) -> None:
    """What scanners ask a wildcard route for: with the routes it is seen that nobody has that Host, and an address is no Host anyway."""
    line = entry(status_details="route_not_found", tls_protocol="TLSv1.3", host=host, status=404)

    assert "not-linked" not in told(logs=log(line), routes=routes(GROUP, WILDCARD))
    assert ("not-linked" in told(logs=log(line))) is (host == "nobodys.test")
    assert "not-linked" in told(logs=log({**line, "host": f"{KNOWN}:443"}), routes=routes(GROUP, WILDCARD))


def test_hellos_that_the_snaplen_cut_are_what_is_missing() -> None:
    """There were some: to say that the capture has none would send people to the wrong place."""
    assert "the other direction of 2 captured connections" in told(capture=CaptureEvidence(one_sided=2))["inconclusive"].summary
    summary = told(capture=CaptureEvidence(files=("in.pcap",), cut=3))["inconclusive"].summary

    assert "cut 3 of them (tcpdump -s 0)" in summary
    assert "has none" not in summary


def test_a_second_wildcard_route_that_is_off_is_no_sure_duplicate() -> None:
    """Apigee allows one; but the one that is off puts no '*' on the gateway, and that is shown against it."""
    second = WILDCARD.replace("fallback-no-sni", "legacy")
    sure = told(routes=routes(GROUP, WILDCARD, second))["dup-wildcard"]
    unsure = told(routes=routes(GROUP, WILDCARD, second.replace("Client: true", "Client: false")))["dup-wildcard"]

    assert (Confidence.LIKELY, ()) == (sure.confidence, sure.against)
    assert Confidence.SUSPECTED is unsure.confidence
    assert ["legacy" in each.text for each in unsure.against] == [True]


def test_a_wildcard_route_speaks_against_a_name_that_nobody_knows() -> None:
    """Istio makes of host '*' a filter chain for every name; alert 112 is the server's own word, and stands."""
    seen = told(logs=log(entry(sni_host="shop.test")), routes=routes(GROUP, WILDCARD))["unknown-name"]

    assert any("has host '*'" in each.text for each in seen.against)
    assert () == told(logs=log(entry(sni_host="shop.test")), routes=routes(UNLINKED))["unknown-name"].against
    assert (
        ()
        == told(probes=probe("alert 112", "certificate"), routes=routes(GROUP.replace(KNOWN, "a.test"), WILDCARD))[
            "unknown-name"
        ].against
    )


def test_the_advice_for_a_name_is_about_what_is_wrong_with_it() -> None:
    """A dot is no hostname's, and a name that a route has needs no second one."""
    dot = told(logs=log(entry(sni_host=f"{KNOWN}.")), routes=routes(UNLINKED))["unknown-name"].fix
    has = told(logs=log(entry(sni_host=KNOWN)), routes=routes(UNLINKED))["unknown-name"].fix
    neither = told(logs=log(entry(sni_host="shop.test.")), routes=routes(UNLINKED))["unknown-name"].fix

    assert dot is not None
    assert has is not None
    assert f"{KNOWN}, without the dot" in dot.explanation
    assert neither is not None
    assert "without the dot" not in neither.explanation
    assert "applied" in has.explanation
    assert "lastAppliedGeneration" in has.commands[0]


def test_clients_that_fail_come_before_what_might_befall_others() -> None:
    """A log of an unknown name, and routes without '*' that no client in it has missed."""
    line = entry(sni_host="shop.test", remote_address="10.0.0.7:1")

    assert ["unknown-name", "no-wildcard"] == list(told(logs=log(line), routes=routes(UNLINKED)))


def test_who_has_a_wildcard_route_is_not_told_to_make_one() -> None:
    """A log that says something else than the routes: probe it."""
    fix = told(logs=log(entry(remote_address="10.0.0.7:1")), routes=routes(GROUP, WILDCARD))["client-no-sni"].fix

    assert fix is not None
    assert "fallback-no-sni should serve such clients" in fix.explanation
