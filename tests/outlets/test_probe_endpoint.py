"""``/probe`` by blackbox_exporter's contract; the service behind it is told what to answer."""

from __future__ import annotations

import re
from functools import partial

import httpx
import pytest
import trio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from prober.model import Address, Differential, Endpoint, Outcome, Stage, Target
from prober.operations import ProbeAnswer, ProbeRefused, ProbeRequest
from prober.outlets.metrics import PROBE_METRICS
from prober.outlets.probe_endpoint import MAX_CONCURRENT, ip_address_hash
from tests.outlets.client import client
from tests.outlets.fleet import (
    NAME,
    FakeService,
    alert,
    certificate,
    default_certificate,
    differential,
    ending,
    issued,
    judged,
    reset,
    target,
)
from tests.servers.ports import Ports
from tests.servers.requirements import require_program


class Asked(FakeService):
    """Answers every probe with one run, and remembers what it was asked."""

    def __init__(self, of: Target | None = None, run: Differential | None = None) -> None:
        super().__init__()
        self.requests: list[ProbeRequest] = []
        of = of or target()
        self._answer = judged(of, run or differential(of))

    async def probe(self, request: ProbeRequest) -> ProbeAnswer | ProbeRefused:
        """The run."""
        self.requests.append(request)
        return self._answer


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Labels and values by family."""
    return {family.name: [(each.labels, each.value) for each in family.samples] for family in read_text(text)}


async def probed(
    service: FakeService, path: str = "/probe?target=203.0.113.10", **headers: str
) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The samples of one successful answer."""
    async with client(service) as http:
        answer = await http.get(path, headers=headers)
    assert answer.status_code == 200
    return samples(answer.text)


async def test_a_good_ingress_succeeds_with_blackbox_exporter_s_metrics() -> None:
    """Names, labels and meanings; the certificate is the witness."""
    seen = await probed(Asked())

    assert seen["probe_success"] == [({}, 1)]
    assert seen["probe_duration_seconds"] == [({}, 0.0123)]
    assert seen["probe_dns_lookup_time_seconds"] == [({}, 0)]
    assert seen["probe_ip_protocol"] == [({}, 4)]
    assert seen["probe_ip_addr_hash"] == [({}, ip_address_hash("203.0.113.10"))]
    assert seen["probe_tls_version_info"] == [({"version": "TLS 1.3"}, 1)]
    assert seen["probe_tls_cipher_info"] == [({"cipher": "TLS_AES_128_GCM_SHA256"}, 1)]
    expiry = issued().certificate.not_valid_after_utc.timestamp()
    assert seen["probe_ssl_earliest_cert_expiry"] == [({}, expiry)]
    assert seen["probe_ssl_last_chain_expiry_timestamp_seconds"] == [({}, expiry)]
    [(chain, _)] = seen["probe_ssl_last_chain_info"]
    assert chain["fingerprint_sha256"] == issued().sha256
    assert "probe_failure_info" not in seen


async def test_a_resetting_ingress_fails_with_a_reason_and_the_differential() -> None:
    """The answer is 200, and says what happened to which client."""
    of = target()
    seen = await probed(Asked(of, differential(of, none=reset())))

    assert seen["probe_success"] == [({}, 0)]
    assert seen["probe_failure_info"] == [({"reason": "non_sni_reset"}, 1)]
    assert seen["probe_verdict_info"] == [({"verdict": "non_sni_reset"}, 1)]
    assert seen["probe_non_sni_supported"] == [({}, 0)]
    assert {labels["sni"]: value for labels, value in seen["probe_handshake_success"]} == {
        "known": 1,
        "none": 0,
        "unknown": 0,
    }
    assert ({"sni": "none", "outcome": "reset", "stage": "client_hello", "tls_alert": ""}, 1) in seen["probe_outcome_info"]


async def test_certificates_of_an_unverifiable_chain_are_told_and_no_verified_expiry_is_made_up() -> None:
    """blackbox_exporter loses the certificate when it does not verify, or says -62135596800."""
    of = target()
    wrong = certificate(default_certificate().ders)
    seen = await probed(Asked(of, differential(of, known=wrong)))

    assert seen["probe_ssl_last_chain_info"][0][0]["fingerprint_sha256"] == default_certificate().sha256
    assert "probe_ssl_earliest_cert_expiry" in seen
    assert "probe_ssl_last_chain_expiry_timestamp_seconds" not in seen


async def test_known_names_that_end_alike_are_one_series() -> None:
    """Prometheus refuses a scrape with a duplicate; both names must succeed for 1."""
    of = target(names=(NAME, "www." + NAME, "other.example.com"))
    text = await probed(Asked(of, differential(of, none=alert())))

    assert len(text["probe_outcome_info"]) == 3
    assert len(text["probe_handshake_success"]) == 3


async def test_a_name_without_address_is_a_failed_probe() -> None:
    """No address, no hash, protocol 0, as blackbox_exporter has it."""
    of = target("dark", "unresolved.example.com")
    failed = ending(Outcome.RESOLVE_FAILED, Stage.RESOLVE, errno="EAI_NONAME")
    seen = await probed(Asked(of, differential(of, known=failed, none=failed)._replace(endpoint=None)))

    assert seen["probe_success"] == [({}, 0)]
    assert seen["probe_ip_protocol"] == [({}, 0)]
    assert "probe_ip_addr_hash" not in seen


async def test_a_local_error_is_not_told_as_an_outcome_of_the_ingress() -> None:
    """probe_handshake_success is absent where this host failed."""
    of = target()
    seen = await probed(Asked(of, differential(of, none=ending(Outcome.LOCAL_ERROR, Stage.CONNECT, errno="EMFILE"))))

    assert [labels["sni"] for labels, _ in seen["probe_handshake_success"]] == ["known"]
    assert seen["probe_failure_info"] == [({"reason": "inconclusive"}, 1)]


async def test_every_family_is_in_the_table_and_openmetrics_parsers_accept_the_answer() -> None:
    """Types and help come from the table, in both formats."""
    of = target()
    async with client(Asked(of, differential(of, none=alert()))) as http:
        plain = await http.get("/probe?target=203.0.113.10")
        strict = await http.get("/probe?target=203.0.113.10", headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    table = {metric.name: metric for metric in PROBE_METRICS}
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert strict.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    for family in read_text(plain.text):
        assert (family.documentation, family.type) == (table[family.name].help, table[family.name].kind)
        assert all(set(sample.labels) == set(table[family.name].labels) for sample in family.samples)
    assert [family.name for family in read_openmetrics(strict.text)] == [family.name for family in read_text(plain.text)]


async def test_promtool_finds_nothing_to_complain_about() -> None:
    """Prometheus' linter is silent about a failing probe."""
    promtool = require_program("promtool", package="prometheus")
    of = target()
    async with client(Asked(of, differential(of, none=reset()))) as http:
        answer = await http.get("/probe?target=203.0.113.10")

    checked = await trio.run_process(
        [promtool, "check", "metrics"], stdin=answer.content, capture_stdout=True, capture_stderr=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("path", "address", "module", "hostname"),
    [
        ("/probe?target=203.0.113.10", Address("203.0.113.10", 443), "default", None),
        ("/probe?target=203.0.113.10:8443&module=slow", Address("203.0.113.10", 8443), "slow", None),
        ("/probe?target=[2001:db8::1]:443", Address("2001:db8::1", 443), "default", None),
        ("/probe?target=https%3A%2F%2Fingress.example.com%3A444%2F", Address("ingress.example.com", 444), "default", None),
        (
            "/probe?target=203.0.113.10&hostname=api.example.com&module=",
            Address("203.0.113.10", 443),
            "default",
            "api.example.com",
        ),
    ],
)
async def test_parameters_reach_the_service(path: str, address: Address, module: str, hostname: str | None) -> None:
    """As they were read, with the module's name resolved."""
    service = Asked()
    await probed(service, path)

    [request] = service.requests
    assert (request.address, request.module.name, request.hostname) == (address, service.modules[module].name, hostname)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/probe", "target is missing"),
        ("/probe?target=", "target is missing"),
        ("/probe?target=a&target=b", "more than once"),
        ("/probe?target=203.0.113.10&module=nope", "unknown module 'nope'; there are: default, slow"),
        ("/probe?target=203.0.113.10:99999", "out of range"),
        ("/probe?target=http://x/", "only https://"),
        ("/probe?target=user:secret@host", "user information"),
        ("/probe?target=203.0.113.10&hostname=*.example.com", "is a pattern"),
        ("/probe?target=203.0.113.10&hostname=a%0d%0ab", "no host name"),
    ],
)
async def test_bad_parameters_are_400_with_the_reason_and_nothing_is_probed(path: str, says: str) -> None:
    """One sentence each; a secret in the target is not repeated."""
    service = Asked()
    async with client(service) as http:
        answer = await http.get(path)

    assert answer.status_code == 400
    assert says in answer.text
    assert "secret" not in answer.text
    assert service.requests == []


async def test_what_is_not_permitted_is_403() -> None:
    """The service's reason is shown."""
    service = FakeService()

    async def refuse(_: ProbeRequest) -> ProbeRefused:
        return ProbeRefused("10.0.0.1:443 is neither a configured target nor permitted by probe_allow")

    service.answer = refuse
    async with client(service) as http:
        answer = await http.get("/probe?target=10.0.0.1")

    assert answer.status_code == 403
    assert "probe_allow" in answer.text


async def test_the_scrape_timeout_header_shortens_the_probe() -> None:
    """Read from the request, whatever its case."""
    service = Asked()
    await probed(service, "/probe?target=203.0.113.10&module=slow", **{"x-prometheus-scrape-timeout-seconds": "10"})

    assert service.requests[0].timeout == 9.5


async def test_debug_shows_the_log_the_metrics_and_the_module() -> None:
    """The three sections of blackbox_exporter, as text; what a peer sent is quoted."""
    of = target()
    banner = ending(Outcome.NOT_TLS, Stage.CLIENT_HELLO, detail='the first bytes are "SSH-2.0\n<b>"')
    async with client(Asked(of, differential(of, none=banner))) as http:
        answer = await http.get("/probe?target=203.0.113.10&debug=true")

    assert answer.headers["content-type"].startswith("text/plain")
    log, metrics, module = re.split(r"Metrics that would have been returned:\n|Module configuration:\n", answer.text)
    assert log.startswith("Logs for the probe:\n")
    assert "sni=none" in log
    assert "outcome=not_tls" in log
    assert "SSH-2.0\\n<b>" in log
    assert "verdict=non_sni_failing" in log
    assert "probe_success" in samples(metrics)
    assert "hello: modern" in module
    assert "- unknown" in module


async def test_probes_at_a_time_are_bounded() -> None:
    """The one above the limit is told to come again; a slot is free when its probe has ended."""
    service = FakeService()
    release = trio.Event()
    of = target()

    async def wait(_: ProbeRequest) -> ProbeAnswer:
        await release.wait()
        return judged(of, differential(of))

    service.answer = wait
    statuses: list[int] = []
    async with client(service) as http:

        async def one() -> None:
            statuses.append((await http.get("/probe?target=203.0.113.10")).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(MAX_CONCURRENT):
                nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            refused = await http.get("/probe?target=203.0.113.10")
            release.set()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert statuses == [200] * MAX_CONCURRENT
        assert (await http.get("/probe?target=203.0.113.10")).status_code == 200


async def test_blackbox_exporter_says_the_same_of_address_and_protocol() -> None:
    """A real blackbox_exporter is the witness for `probe_ip_addr_hash` and `probe_ip_protocol`."""
    exporter = require_program("prometheus-blackbox-exporter")
    with Ports() as ports:
        own, closed = ports.take(), ports.take()
        async with trio.open_nursery() as nursery:
            command = [exporter, f"--web.listen-address={own}", "--config.file=/etc/prometheus/blackbox.yml", "--log.level=error"]
            start = partial(trio.run_process, check=False, capture_stderr=True)
            process = await nursery.start(start, command)
            theirs = samples(await _answer_of(str(own), f"/probe?module=tcp_connect&target={closed}"))
            process.terminate()

    of = target("x", "127.0.0.1")
    refused = ending(Outcome.REFUSED, Stage.CONNECT, errno="ECONNREFUSED")
    ours = await probed(Asked(of, differential(of, known=refused, none=refused, endpoint=Endpoint(closed.ip, closed.port))))

    for name in ("probe_success", "probe_ip_addr_hash", "probe_ip_protocol"):
        assert ours[name] == theirs[name]
    assert "probe_duration_seconds" in theirs


async def _answer_of(server: str, path: str) -> str:
    with trio.fail_after(20):
        async with httpx.AsyncClient(base_url=f"http://{server}", trust_env=False) as http:
            while True:
                try:
                    return (await http.get(path)).text
                except httpx.TransportError:
                    await trio.sleep(0.05)
    raise AssertionError
