"""What an ingress does to clients with and without SNI does not depend on whose ClientHello it is."""

from __future__ import annotations

import pytest

from prober.model import Depth, Handshake, Outcome, Sni
from prober.tls.profiles import PROFILES
from tests.real.matrix import Case, Truths
from tests.real.probes import Probes, Setting
from tests.real.witness import s_client_witness
from tests.servers.fleets import SERVERS, Fleets
from tests.servers.material import KNOWN

pytestmark = pytest.mark.timeout(300)
"""The first case of a server pays for all of them: it starts the server, and probes every listener."""

LISTENERS = {
    "envoy": (
        "names-only",
        "wildcard-route",
        "default-chain",
        "secret-missing-for-the-wildcard",
        "client-certificate-required",
        "proxy-protocol-v2",
        "ipv6-names-only",
    ),
    "nginx": (
        "default-certificate",
        "reject-handshake",
        "preread-no-default",
        "long-chain",
        "rsa",
        "client-certificate-required",
        "plain-http",
        "ipv6-reject-handshake",
    ),
    "haproxy": ("strict-sni", "crt-list", "switch-without-default", "switch-rejects"),
    "gnutls": ("normal", "sni-fatal", "p384-group"),
    "openssl": ("max-fragment", "servername-fatal", "no-tickets"),
    "python_ssl": ("alert-40", "alert-80", "alert-112"),
}
"""What they do goes by the server name alone: every client of this century can speak with them."""
ORDINARY = sorted(PROFILES.keys() - {"legacy-tls10", "sni-ip-literal", "sni-trailing-dot"})
CASES = [
    Case(server, listener, sni)
    for server, names in LISTENERS.items()
    for listener in names
    if listener in SERVERS[server]
    for sni in Sni
]


def setting(profile: str, server: str) -> Setting:
    """Whole handshakes, so that what follows the certificate is exercised too."""
    return Setting(profile, Depth.FINISHED, frozenset(LISTENERS[server]))


@pytest.mark.parametrize("profile", ORDINARY)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_client_meets_the_same_end(profile: str, case: Case, truths: Truths, probes: Probes, fleets: Fleets) -> None:
    """Outcome, alert and certificate are what OpenSSL's client met, and the handshake finishes where that one did."""
    seen, said = truths[case], probes.handshake(case, setting(profile, case.server)).observation
    assert said.outcome is seen.outcome, (said, seen.account)
    if seen.outcome is Outcome.TLS_ALERT:
        assert said.facts.tls_alert is not None
        assert said.facts.tls_alert.code == seen.tls_alert
    if seen.outcome is Outcome.CERTIFICATE:
        assert said.facts.certificates[0] == seen.certificates[0], fleets.material.role_of(said.facts.certificates[0])
        same_version = case._replace(offer=said.facts.tls_version.removeprefix("TLSv")) if said.facts.tls_version else case
        assert said.facts.finished == truths[same_version].finished, said


def test_profiles_send_the_hellos_they_are_named_after(probes: Probes) -> None:
    """Eleven profiles have eleven fingerprints, as reported with the handshakes that were made with them."""
    case = Case("envoy", "names-only", Sni.NONE)
    told = {profile: probes.handshake(case, setting(profile, "envoy")) for profile in ORDINARY}
    assert {handshake.profile for handshake in told.values()} == set(ORDINARY)
    assert all(handshake.ja4.startswith("t1") for handshake in told.values())


def _probe(fleets: Fleets, server: str, listener: str, profile: str, sni: Sni = Sni.KNOWN) -> Handshake:
    probes = Probes(fleets)
    return probes.handshake(Case(server, listener, sni), Setting(profile, only=frozenset({listener})))


def test_a_client_of_2005_is_served_by_a_server_of_its_time(fleets: Fleets) -> None:
    """The profile ``legacy-tls10`` gets RSA key exchange over TLS 1.0, and a protocol_version alert from servers of today."""
    served = _probe(fleets, "openssl", "tls10-rsa-key-exchange", "legacy-tls10").observation
    assert served.outcome is Outcome.CERTIFICATE
    assert (served.facts.tls_version, served.facts.cipher_suite) == ("TLSv1.0", "TLS_RSA_WITH_AES_128_CBC_SHA")
    refused = _probe(fleets, "envoy", "names-only", "legacy-tls10").observation
    assert (refused.outcome, refused.facts.tls_alert and refused.facts.tls_alert.code) == (Outcome.TLS_ALERT, 70)
    unmatched = _probe(fleets, "envoy", "names-only", "legacy-tls10", Sni.NONE).observation
    assert unmatched.outcome is Outcome.RESET


@pytest.mark.parametrize(
    ("profile", "name"), [("sni-trailing-dot", KNOWN + "."), ("sni-ip-literal", "192.0.2.1")], ids=lambda value: str(value)
)
@pytest.mark.parametrize(
    ("server", "listener"),
    [("envoy", "names-only"), ("envoy", "wildcard-route"), ("nginx", "default-certificate"), ("haproxy", "first-certificate")],
)
def test_names_that_the_rfc_forbids_are_sent_all_the_same(
    profile: str, name: str, server: str, listener: str, fleets: Fleets
) -> None:
    """Servers differ in what they make of a dot at the end and of an address: as differently as OpenSSL's client sees it."""
    seen = s_client_witness(fleets[server].endpoints[listener], name)
    said = _probe(fleets, server, listener, profile).observation
    assert said.outcome is seen.outcome, (said, seen.account)
    assert said.facts.certificates == seen.certificates
