"""The one sentence about a verdict."""

from __future__ import annotations

import pytest

from prober.judge.problems import ProblemCode
from prober.judge.signatures import ANY, SIGNATURES, Signature
from prober.judge.summaries import _REMEDIES
from prober.judge.trust import TrustStore
from prober.judge.verdicts import judge
from prober.model import Differential, Endpoint, NonSniPolicy, Outcome
from tests.judge.differentials import KNOWN, ROOT, TRUST, differential
from tests.pki import NOW, Authority

C, R, A = NonSniPolicy.CERTIFICATE, NonSniPolicy.REJECTED, NonSniPolicy.ANY
AT = "192.0.2.10:443"


def said(case: Differential, policy: NonSniPolicy = C) -> str:
    return judge(case, policy, TRUST, NOW).summary


@pytest.mark.parametrize(
    ("words", "policy", "sentence"),
    [
        (("certificate",) * 3, C, f"{AT} serves clients without SNI, too. It serves {KNOWN}."),
        (("certificate",), C, f"{AT}: clients without SNI were not tried. It serves {KNOWN}."),
        (
            ("certificate", "reset", "reset"),
            C,
            (
                f"{AT} resets clients without SNI, as Envoy, Istio and Apigee hybrid do without a wildcard route: "
                f"add one (on Apigee with enableNonSniClient). It serves {KNOWN}."
            ),
        ),
        (("certificate", "reset", "reset"), R, f"{AT} resets clients without SNI, which its policy accepts. It serves {KNOWN}."),
        (
            ("certificate", "alert 112", "alert 112"),
            C,
            (
                f"{AT} rejects clients without SNI (alert 112 unrecognized_name), as nginx ssl_reject_handshake, HAProxy strict-sni "
                f"and Traefik sniStrict do: turn that off. It serves {KNOWN}."
            ),
        ),
        (
            ("certificate", "timeout", "reset"),
            C,
            (
                f"{AT} leaves clients without SNI unanswered: look for a filter on the server name, and add a default certificate. "
                f"It serves {KNOWN}."
            ),
        ),
        (
            ("certificate", "timeout", "reset"),
            R,
            (
                f"{AT} leaves clients without SNI unanswered: a timeout is no rejection, so answer them with a TLS alert or a reset. "
                f"It serves {KNOWN}."
            ),
        ),
        (
            ("certificate", "timeout late", "timeout late"),
            C,
            (
                f"{AT} does not finish its answer to clients without SNI in time: look for load, and for large packets that are "
                f"dropped (MTU). It serves {KNOWN}."
            ),
        ),
        (
            ("certificate", "fake", "fake"),
            C,
            f"{AT} gives clients without SNI ingress-nginx's default certificate: give them one that covers a known name.",
        ),
        (
            ("certificate", "fake", "fake"),
            R,
            (
                f"{AT} gives clients without SNI ingress-nginx's default certificate, though its policy wants them rejected: remove it. "
                "Also non_sni_served."
            ),
        ),
        (
            ("timeout late",) * 3,
            C,
            f"{AT} begins to answer, and finishes its answer to no hello in time: look for load, and for large packets that are dropped (MTU).",
        ),
        (
            ("certificate", "refused", "certificate"),
            C,
            (
                f"{AT} fails clients without SNI (connection refused): TCP knows no names, so look for limits on connections, "
                f"and probe again. It serves {KNOWN}."
            ),
        ),
        (
            ("connect_timeout", "certificate", "certificate"),
            C,
            (
                f"{AT} fails {KNOWN} (connect timeout), while a client without SNI gets a certificate: "
                "TCP knows no names, so look for limits on connections, and probe again."
            ),
        ),
        (
            ("certificate", "expired", "certificate"),
            C,
            f"{AT} gives clients without SNI a wrong certificate (CN={KNOWN} expired on 2025-01-01T00:00:00Z): renew it.",
        ),
        (
            ("certificate", "untrusted", "untrusted"),
            C,
            (
                f"{AT} gives clients without SNI a wrong certificate (CN={KNOWN} is self-signed, and not among ca.pem): "
                "install one of a trusted authority."
            ),
        ),
        (
            ("certificate", "misnamed", "misnamed"),
            A,
            (
                f"{AT} gives clients without SNI a wrong certificate (the certificate covers default.example.test, but not {KNOWN}), "
                "which its policy accepts."
            ),
        ),
        (
            ("certificate", "certificate"),
            R,
            f"{AT} serves clients without SNI, which its policy wants rejected: remove the wildcard route or default certificate.",
        ),
        (
            ("expired", "reset", "reset"),
            C,
            f"{AT} has a bad certificate for {KNOWN}: CN={KNOWN} expired on 2025-01-01T00:00:00Z: renew it. Also non_sni_reset.",
        ),
        (
            ("fake", "reset", "reset"),
            C,
            (
                f"{AT} has ingress-nginx's default certificate for {KNOWN}: the one configured for it is missing or not loaded. "
                "Also non_sni_reset."
            ),
        ),
        (
            ("reset", "certificate", "reset"),
            C,
            f"{AT} fails {KNOWN} (reset), while a client without SNI gets a certificate: check that name's route and certificate.",
        ),
        (
            ("alert 50", "certificate", "alert 50"),
            C,
            (
                f"{AT} fails {KNOWN} (alert 50 decode_error), while a client without SNI gets a certificate: "
                "it refuses this form of a hello; choose another --hello."
            ),
        ),
        (
            ("timeout", "connect_timeout", "timeout"),
            C,
            (
                f"{AT} accepts connections, but no hello gets a certificate (timeout, connect timeout): "
                "its queue of connections may be full; look for hung processes and load."
            ),
        ),
        (
            ("closed late", "reset late", "closed late"),
            C,
            (
                f"{AT} accepts connections, but no hello gets a certificate (closed after half an answer, reset after half an answer): "
                "see the bytes with `prober once --verbose`."
            ),
        ),
        (
            ("protocol_error",) * 3,
            C,
            f"{AT} accepts connections, but no hello gets a certificate (broken TLS): see the bytes with `prober once --verbose`.",
        ),
        (
            ("not_tls", "not_tls", "not_tls"),
            C,
            (
                f"{AT} accepts connections, but no hello gets a certificate (not TLS), as a port without TLS does: "
                "check the port, and that TLS is on."
            ),
        ),
        (
            ("connect_timeout",) * 3,
            C,
            (
                f"{AT} does not answer connection attempts: they are dropped on the way, or its queue is full; "
                "check firewalls, routes and load."
            ),
        ),
        (
            ("refused", "connect_timeout", "refused"),
            C,
            f"{AT} cannot be connected to (connect timeout, connection refused): check the load balancer, its endpoints and firewalls.",
        ),
        (
            ("unreachable",) * 3,
            C,
            f"{AT} cannot be reached (EHOSTUNREACH): no route, or a firewall forbids it; check routes and network policies.",
        ),
        (
            (None, "reset", "reset"),
            C,
            (
                f"{AT} cannot be judged: no known server name was sent to compare with; "
                "give one (--server-name, server_names, hostname=); without SNI: reset. Also tls_failing."
            ),
        ),
        (
            ("local_error", "certificate"),
            C,
            (
                f"{AT} cannot be judged: this host could not send the hello with {KNOWN} (EMFILE); without SNI: certificate. "
                "Check its limit of open files (ulimit -n)."
            ),
        ),
    ],
)
def test_a_sentence_says_where_what_and_what_next(words: tuple[str, ...], policy: NonSniPolicy, sentence: str) -> None:
    """Exact wording, since people and dashboards read it."""
    assert said(differential(*words), policy) == sentence


def test_an_address_of_the_other_family_is_no_matter_of_dns() -> None:
    """``--connect-ip 6`` with an IPv4 address: the resolver was never asked."""
    case = differential(*("resolve_failed",) * 3)
    hellos = tuple(each._replace(observation=each.observation._replace(errno="EAI_ADDRFAMILY")) for each in case.handshakes)
    assert said(case._replace(handshakes=hellos)).endswith(
        " has no address of the family that was asked for (EAI_ADDRFAMILY): check --connect-ip."
    )


@pytest.mark.parametrize(
    ("errno", "advice"),
    [
        ("EADDRNOTAVAIL", " Check its free ports, and that it has IPv6 if the address is one."),
        ("ENODEV", " Check the interface behind the %."),
        (None, f" {KNOWN} (local error)."),
    ],
)
def test_what_failed_on_this_host_says_where_to_look_on_it(errno: str | None, advice: str) -> None:
    """Most often IPv6 that is switched off, beside a name that has both kinds of addresses."""
    case = differential(*("local_error",) * 3)
    hellos = tuple(each._replace(observation=each.observation._replace(errno=errno)) for each in case.handshakes)
    assert said(case._replace(handshakes=hellos)).endswith(advice)


@pytest.mark.parametrize(
    ("words", "looked_for"),
    [(("closed",) * 3, True), (("alert 10",) * 3, True), (("alert 47",) * 3, True), (("alert 40",) * 3, False)],
)
def test_a_proxy_header_is_the_first_suspect_where_no_hello_can_have_been_read(
    words: tuple[str, ...], *, looked_for: bool
) -> None:
    """Alert 40 answers a hello: whoever sends it has taken the header."""
    sentence = judge(differential(*words), C, TRUST, NOW, proxied=True).summary
    assert sentence.endswith(": unless it expects one, probe without it.") is looked_for
    assert "unless it expects one" not in said(differential(*words))


@pytest.mark.parametrize(
    ("alert", "advice"),
    [
        ("alert 50", "it refuses this form of a hello; choose another --hello"),
        ("alert 71", "compare its cipher suites and groups with the hello's"),
        ("alert 80", "see its log; Caddy says so without a certificate"),
        ("alert 112", "check its virtual hosts and their certificates"),
        ("alert 115", "its log has the reason"),
        ("alert 120", "it wants another ALPN protocol; choose another --hello"),
    ],
)
def test_who_refuses_every_hello_with_an_alert_speaks_tls_and_is_not_asked_whether_it_does(alert: str, advice: str) -> None:
    """The alert says what to look at, also beside the longest address."""
    sentence = said(differential(*(alert,) * 3, endpoint=Endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 65535)))
    assert sentence.endswith(f": {advice}.")


def test_a_host_without_ipv6_is_not_sent_to_the_network_policies_of_the_ingress() -> None:
    """The kernel says so at once of every IPv6 address; the name's others are reached."""
    case = differential(*("unreachable",) * 3, endpoint=Endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 8443))
    hellos = tuple(each._replace(observation=each.observation._replace(errno="ENETUNREACH")) for each in case.handshakes)
    assert said(case._replace(handshakes=hellos)).endswith(
        " (ENETUNREACH): there is no route from here; check routes, and that this host has IPv6 if the address is one."
    )


def test_a_long_name_is_cut_and_the_next_step_is_kept() -> None:
    """Names have up to 253 characters, and an IPv6 address 39."""
    case = differential("certificate", "reset", "reset", endpoint=Endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 8443))
    long = case.handshakes[0]._replace(server_name=f"{'a' * 60}.{'b' * 60}.{'c' * 60}.test")
    sentence = said(case._replace(handshakes=(long, *case.handshakes[1:])))
    assert len(sentence) <= 200
    assert sentence.startswith("[2001:db8:1111:2222:3333:4444:5555:6666]:8443 has a bad certificate for aaaa")


@pytest.mark.parametrize("row", SIGNATURES, ids=lambda row: row.id)
@pytest.mark.parametrize("name", ["a.example", f"{'a' * 35}.test"], ids=["short", "long"])
def test_the_next_step_is_whole_beside_the_longest_address(row: Signature, name: str) -> None:
    """And what is served is told in full or not at all: half a name is another host's."""
    words = (row.none if behaviour == ANY else behaviour for behaviour in (row.known, row.none, row.unknown))
    case = differential(*words, endpoint=Endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 65535))
    served = case.handshakes[0].observation.facts._replace(certificates=ROOT.issue(name).ders)
    handshakes = [
        each._replace(observation=each.observation._replace(facts=served))
        if each.observation.outcome is Outcome.CERTIFICATE
        else each
        for each in case.handshakes
    ]
    handshakes[0] = handshakes[0]._replace(server_name=name)
    sentence = said(case._replace(handshakes=tuple(handshakes)))
    assert sentence.endswith(".")
    assert "…" not in sentence


def test_many_names_are_counted() -> None:
    """A target may have dozens."""
    case = differential("certificate", "certificate", other="certificate")
    first, second, none = case.handshakes
    assert said(case).endswith(f"It serves {KNOWN} and www.example.test.")
    assert said(case._replace(handshakes=(first, second, second, none))).endswith(f"It serves {KNOWN} and 2 more.")


def test_a_name_from_a_peer_cannot_break_the_line() -> None:
    """Sentences go to terminals, logs and chat."""
    case = differential("certificate", "certificate")
    odd = case.handshakes[0]._replace(server_name="evil\n\x1b[31m.test")
    assert said(case._replace(handshakes=(odd, case.handshakes[1]))).isprintable()


def test_a_private_authority_that_was_not_given_comes_with_what_to_do() -> None:
    """The commonest of all: no --ca-file. The names are those of the lab, the origin is the system's."""
    case = differential("certificate", "certificate")
    known = case.handshakes[0]
    alone = Authority.root("prober lab authority").issue(KNOWN).ders[:1]
    facts = known.observation.facts._replace(certificates=alone)
    untrusted = case._replace(
        handshakes=(known._replace(observation=known.observation._replace(facts=facts)), case.handshakes[1])
    )
    system = TrustStore(b"", origin="the system's trust anchors")
    assert judge(untrusted, C, system, NOW).summary == (
        f"{AT} has a bad certificate for {KNOWN}: its issuer CN=prober lab authority is neither sent nor among the system's trust "
        "anchors: send the intermediates, or give the root as ca_file."
    )


def test_every_problem_has_a_next_step() -> None:
    """The table of remedies is as long as the closed set of problems."""
    assert set(_REMEDIES) == set(ProblemCode)
    assert said(differential("untrusted", "reset")) == (
        f"{AT} has a bad certificate for {KNOWN}: CN={KNOWN} is self-signed, and not among ca.pem: "
        "install one of a trusted authority. Also non_sni_reset."
    )
