"""The target series, as text that Prometheus' own tools read."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from prober.config.targets import RESERVED_LABELS
from prober.model import Address, Endpoint, Outcome, Stage
from prober.outlets.exporter import TargetExporter, exported_name
from prober.outlets.metrics import METRICS, TARGET_LABELS, TARGET_METRICS
from prober.outlets.target_lines import LINES
from prober.outlets.web import create_app
from tests.outlets.fleet import (
    NAME,
    NOW,
    FakeService,
    alert,
    certificate,
    default_certificate,
    differential,
    ending,
    expired,
    issued,
    reset,
    target,
)
from tests.pki import Authority
from tests.servers.requirements import require_program


async def exposition(service: FakeService, *, openmetrics: bool = False, names: frozenset[str] | None = None) -> str:
    """All target families."""
    return b"".join([piece async for piece in TargetExporter(service).render(names, openmetrics=openmetrics)]).decode()


async def families(service: FakeService) -> dict[str, Metric]:
    """By the name of their samples."""
    return {family.samples[0].name: family for family in read_text(await exposition(service)) if family.samples}


def values(family: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    """Sample values by some of their labels."""
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in family.samples}


def fleet() -> FakeService:
    """One target of each kind that looks different in metrics."""
    service = FakeService()
    for at, none in ((NOW - 100, None), (NOW, reset())):
        of = target("apigee", "203.0.113.10", environment="prod", **{"k8s.io/part-of": "edge"})
        service.see(of, differential(of, none=none), at=at)
    wrong = target("shop", "203.0.113.11", team='quote"back\\slash\nline')
    service.see(wrong, differential(wrong, none=certificate(default_certificate().ders, version="TLSv1.2")))
    strict = target("strict", "203.0.113.12", policy="rejected")
    service.see(strict, differential(strict, none=alert()))
    dark = target("dark", "unresolved.example.com")
    failed = ending(Outcome.RESOLVE_FAILED, Stage.RESOLVE, errno="EAI_NONAME")
    run = differential(dark, known=failed, none=failed)._replace(endpoint=None)
    service.see(dark, run)
    return service


async def test_promtool_finds_nothing_to_complain_about() -> None:
    """The whole answer of ``/metrics``, own and target series, passes Prometheus' linter without a word."""
    promtool = require_program("promtool", package="prometheus")
    transport = httpx.ASGITransport(create_app(fleet()))
    async with httpx.AsyncClient(transport=transport, base_url="http://prober") as client:
        answer = await client.get("/metrics")

    checked = await trio.run_process(
        [promtool, "check", "metrics"], stdin=answer.content, capture_stdout=True, capture_stderr=True, check=False
    )

    assert (checked.returncode, checked.stdout.decode(), checked.stderr.decode()) == (0, "", "")


async def test_every_promised_family_is_there_once_in_one_piece_with_its_labels() -> None:
    """The table and the text agree: names, types, help, labels; no series twice."""
    text = await exposition(fleet())

    seen = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert seen == [metric.name for metric in TARGET_METRICS]
    current = ""
    for line in text.splitlines():
        if line.startswith("# HELP"):
            current = line.split()[2]
        elif not line.startswith("#"):
            assert line.split("{")[0] == current
    for family, metric in zip(read_text(text), TARGET_METRICS, strict=True):
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        configured = ("environment", "k8s_io_part_of", "team")
        for sample in family.samples:
            assert tuple(sample.labels) == (*TARGET_LABELS, *configured, *metric.labels)
        identities = [tuple(sample.labels.values()) for sample in family.samples]
        assert len(set(identities)) == len(identities)


async def test_openmetrics_says_the_same_as_the_text_format() -> None:
    """A strict OpenMetrics parser accepts the answer, and every sample is in both."""
    service = fleet()
    plain = read_text(await exposition(service))
    strict = read_openmetrics(await exposition(service, openmetrics=True) + "# EOF\n")

    def samples(read: Sequence[Metric]) -> list[tuple[object, ...]]:
        return [(sample.name, sample.labels, sample.value) for family in read for sample in family.samples]

    assert samples(list(strict)) == samples(list(plain))


async def test_the_series_say_what_the_wire_said() -> None:
    """Success, outcome, verdict and counters of an ingress that began to reset clients without a name."""
    seen = await families(fleet())
    of_apigee = {name: _only(family, "apigee") for name, family in seen.items()}

    assert values(of_apigee["probe_success"], "sni", "server_name") == {("known", NAME): 1, ("none", ""): 0, ("unknown", ""): 0}
    assert values(of_apigee["probe_handshakes_total"], "sni", "outcome") == {
        ("known", "certificate"): 2,
        ("none", "certificate"): 1,
        ("none", "reset"): 1,
        ("unknown", "certificate"): 1,
        ("unknown", "reset"): 1,
    }
    assert (
        values(of_apigee["probe_outcome_info"], "sni", "outcome", "stage", "tls_alert")[("none", "reset", "client_hello", "")]
        == 1
    )
    assert values(of_apigee["probe_verdict_info"], "verdict") == {("non_sni_reset",): 1}
    assert values(of_apigee["probe_verdict_since_timestamp_seconds"]) == {(): NOW}
    assert values(of_apigee["probe_verdict_expected"]) == {(): 0}
    assert values(of_apigee["probe_non_sni_supported"]) == {(): 0}
    assert values(of_apigee["probe_last_run_timestamp_seconds"], "sni")[("known",)] == NOW - 3
    assert values(of_apigee["probe_duration_seconds"], "sni")[("known",)] == 0.0042
    assert values(of_apigee["probe_duration_uncertainty_seconds"], "sni") == {("known",): 0.00025}
    assert set(values(of_apigee["probe_phase_duration_seconds"], "sni", "phase")) == {
        (sni, phase) for sni in ("known", "none", "unknown") for phase in ("resolve", "connect", "handshake")
    }
    assert values(of_apigee["probe_tls_version_info"], "sni", "version") == {("known", "TLS 1.3"): 1}
    assert values(of_apigee["probe_tls_cipher_info"], "sni", "cipher") == {("known", "TLS_AES_128_GCM_SHA256"): 1}


async def test_certificates_are_told_with_blackbox_exporter_s_labels() -> None:
    """Fingerprint, subject, expiry and validity of what each hello was presented; the certificate itself is the witness."""
    seen = await families(fleet())
    leaf = issued().certificate
    [known] = [
        sample.labels for sample in _only(seen["probe_ssl_last_chain_info"], "shop").samples if sample.labels["sni"] == "known"
    ]

    assert known["fingerprint_sha256"] == issued().sha256
    assert known["subject"] == leaf.subject.rfc4514_string()
    assert known["issuer"] == leaf.issuer.rfc4514_string()
    assert known["subjectalternative"] == f"{NAME},www.{NAME}"
    assert int(known["serialnumber"], 16) == leaf.serial_number
    assert (
        values(_only(seen["probe_ssl_earliest_cert_expiry"], "shop"), "sni")[("known",)] == leaf.not_valid_after_utc.timestamp()
    )
    assert values(_only(seen["probe_certificate_valid"], "shop"), "sni") == {("known",): 1, ("none",): 0, ("unknown",): 0}


async def test_an_expired_root_beside_a_chain_that_holds_is_no_end_of_what_clients_rely_on() -> None:
    """AddTrust, May 2020: blackbox_exporter's metric tells it, the one that the alert looks at does not."""
    service, of = FakeService(), target()
    root = Authority.root("Old Root").cross_sign(Authority.root("New Root"), expired=True)
    chain = (*issued().ders, root.public_bytes(Encoding.DER))
    service.see(of, differential(of, known=certificate(chain), none=reset()))
    seen = await families(service)
    assert values(seen["probe_ssl_earliest_cert_expiry"], "sni") == {("known",): root.not_valid_after_utc.timestamp()}
    ends = issued().certificate.not_valid_after_utc.timestamp()
    assert values(seen["probe_certificate_expiry_timestamp_seconds"]) == {(): ends}


async def test_an_expected_rejection_is_no_fault_and_a_tls_alert_is_named() -> None:
    """The policy `rejected` makes an alert the expected verdict."""
    seen = await families(fleet())

    assert values(_only(seen["probe_verdict_expected"], "strict")) == {(): 1}
    assert values(_only(seen["probe_verdict_info"], "strict"), "verdict") == {("non_sni_rejected",): 1}
    assert values(_only(seen["probe_outcome_info"], "strict"), "sni", "tls_alert")[("none", "unrecognized_name")] == 1


async def test_each_fault_that_the_policy_minds_is_told() -> None:
    """An expired certificate does not hide a reset; what the policy asks for, and health, are no faults."""
    service = fleet()
    both = target("both", "203.0.113.20")
    service.see(both, differential(both, known=certificate(expired().ders), none=reset()))

    seen = await families(service)

    assert values(seen["probe_fault_info"], "target", "fault") == {
        ("apigee", "non_sni_reset"): 1,
        ("shop", "non_sni_wrong_certificate"): 1,
        ("dark", "unreachable"): 1,
        ("both", "certificate_invalid"): 1,
        ("both", "non_sni_reset"): 1,
    }


async def test_what_is_not_known_is_absent() -> None:
    """No phase, certificate, TLS version or non-SNI support is made up for a name that did not resolve."""
    seen = await families(fleet())

    assert values(_only(seen["probe_success"], "dark"), "sni", "address") == {
        (sni, "unresolved.example.com:443"): 0 for sni in ("known", "none", "unknown")
    }
    for name in (
        "probe_phase_duration_seconds",
        "probe_ssl_last_chain_info",
        "probe_tls_version_info",
        "probe_non_sni_supported",
        "probe_certificate_valid",
    ):
        assert not _only(seen[name], "dark").samples


async def test_a_local_error_is_no_failure_of_the_ingress() -> None:
    """probe_success is absent where this host failed, so that no alert on 0 blames the ingress."""
    service = FakeService()
    of = target()
    service.see(of, differential(of, none=ending(Outcome.LOCAL_ERROR, Stage.CONNECT, errno="EMFILE")))

    seen = await families(service)

    assert values(seen["probe_success"], "sni") == {("known",): 1}
    assert values(seen["probe_outcome_info"], "sni", "outcome")[("none", "local_error")] == 1


async def test_series_of_removed_targets_vanish_and_new_labels_appear_everywhere() -> None:
    """A reload that takes a target away takes its series away, at the next scrape."""
    service = fleet()
    exporter = TargetExporter(service)

    async def read() -> str:
        return b"".join([piece async for piece in exporter.render(None, openmetrics=False)]).decode()

    assert 'target="shop"' in await read()
    service.targets = tuple(each for each in service.targets if each.name != "shop")
    service.store.remove([state.key for state in service.store if state.key.target == "shop"])

    after = await read()
    assert 'target="shop"' not in after
    assert "team=" not in after
    assert 'target="strict"' in after


async def test_a_server_name_that_is_configured_twice_is_one_series() -> None:
    """Prometheus refuses a scrape with a duplicate."""
    service = FakeService()
    of = target(names=(NAME, NAME))
    service.see(of, differential(of))

    lines = [line for line in (await exposition(service)).splitlines() if not line.startswith("#")]

    series = [line.rsplit(" ", 1)[0] for line in lines]
    assert len(set(series)) == len(series)


async def test_ipv6_addresses_are_labelled_with_brackets() -> None:
    """``address`` is ``ip:port``, so that it can be told from the port."""
    service = FakeService()
    of = target("six", "ingress.example.com")
    service.see(of, differential(of, address=Address("ingress.example.com", 8443), endpoint=Endpoint("2001:db8::1", 8443)))

    assert 'address="[2001:db8::1]:8443"' in await exposition(service)


async def test_name_parameters_restrict_the_families() -> None:
    """Only what is asked for is rendered."""
    text = await exposition(fleet(), names=frozenset({"probe_success", "prober_build_info"}))

    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == ["probe_success"]


async def test_states_of_one_scrape_are_of_one_moment() -> None:
    """A verdict that changes while a scrape is being written does not show in its second half."""
    service = fleet()
    pieces = TargetExporter(service).render(None, openmetrics=False)
    text = (await anext(pieces)).decode()
    of = next(each for each in service.targets if each.name == "strict")
    service.see(of, differential(of, none=reset()))
    text += b"".join([piece async for piece in pieces]).decode()

    assert 'target="strict"' in text
    strict = [line for line in text.splitlines() if 'target="strict"' in line]
    assert not [line for line in strict if "non_sni_reset" in line]


@given(st.text(max_size=20))
def test_any_label_name_becomes_a_legal_one(name: str) -> None:
    """Discovered labels (``k8s.io/name``) may be anything; ours are not overwritten."""
    exported = exported_name(name)

    assert exported.isascii()
    assert exported.isidentifier()
    assert exported not in {label for metric in TARGET_METRICS for label in (*TARGET_LABELS, *metric.labels)}


def test_no_label_of_ours_can_be_configured() -> None:
    """It would be another label in series than in alerts."""
    assert RESERVED_LABELS >= {label for metric in TARGET_METRICS for label in (*TARGET_LABELS, *metric.labels)}


def test_each_family_has_its_lines_and_no_name_is_used_twice() -> None:
    """The table is complete."""
    assert set(LINES) == {metric.name for metric in TARGET_METRICS}
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("chain", [expired().ders, (b"garbage",), ()])
async def test_a_certificate_that_is_expired_or_unreadable_is_not_valid_and_harms_nothing(chain: tuple[bytes, ...]) -> None:
    """Also an empty Certificate message and bytes that are no certificate."""
    service = FakeService()
    of = target()
    service.see(of, differential(of, known=certificate(chain)))

    seen = await families(service)

    assert values(seen["probe_certificate_valid"], "sni")[("known",)] == 0
    assert values(seen["probe_success"], "sni")[("known",)] == 1


def _only(family: Metric, name: str) -> Metric:
    chosen = Metric(family.name, family.documentation, family.type)
    chosen.samples = [sample for sample in family.samples if sample.labels["target"] == name]
    return chosen
