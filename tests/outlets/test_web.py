"""The web application: paths, answers, headers, errors."""

from __future__ import annotations

import gzip

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from prober.model import Outcome, Sni
from prober.outlets.guard import MAX_BODY_BYTES
from prober.outlets.metrics import METRICS, SERVICE_METRICS
from prober.outlets.service_metrics import service_registry
from prober.snapshot import LATENESS_BUCKETS
from prober.version import __version__
from tests.outlets.client import client
from tests.outlets.fleet import NOW, FakeService, differential, reset, target


def seen(text: str) -> dict[str, object]:
    """Families by name."""
    return {family.name: family for family in read_text(text)}


async def get(service: FakeService, path: str, **headers: str) -> httpx.Response:
    """One GET."""
    async with client(service) as http:
        return await http.get(path, headers=headers)


def busy() -> FakeService:
    """A service that has counted one of everything."""
    service = FakeService()
    of = target()
    service.see(of, differential(of, none=reset()))
    service.statistics.targets["config"] = 1
    service.statistics.skipped["late"] = 3
    service.statistics.local_errors["EMFILE"] = 2
    service.statistics.discovery_success["dns"] = NOW
    service.statistics.discovery_problems = lambda: {"dns": 1}
    service.statistics.notifications["pager", "ok"] = 4
    service.statistics.state_errors["full"] = 1
    service.statistics.vantage = "paris"
    return service


async def test_every_metric_of_the_table_is_answered_with_its_type_and_help() -> None:
    """The service's own and the targets', process and garbage collector besides."""
    answer = await get(busy(), "/metrics")

    families = seen(answer.text)
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert family.samples, metric.name
        assert all(set(sample.labels) - {"le"} >= set(metric.labels) for sample in family.samples)
    assert {"process_cpu_seconds", "process_open_fds", "python_gc_objects_collected"} <= set(families)


async def test_the_service_s_metrics_have_the_service_s_numbers() -> None:
    """Read at the scrape, nothing kept."""
    service = busy()
    registry = service_registry(service)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("prober_build_info", version=__version__, pythonversion=__import__("platform").python_version()) == 1
    assert value("prober_targets", source="config") == 1
    assert value("prober_endpoints") == 1
    assert value("prober_handshakes_in_flight") == 7
    assert value("prober_probes_skipped_total", reason="late") == 3
    assert value("prober_local_errors_total", errno="EMFILE") == 2
    assert value("prober_notifications_total", receiver="pager", result="ok") == 4
    assert value("prober_shard_info", shard="0", shards="1") == 1
    assert value("prober_config_last_reload_successful") == 1
    assert value("prober_schedule_lateness_seconds_bucket", le="0.001") == 3
    assert value("prober_schedule_lateness_seconds_count") == 3
    assert value("prober_handshake_seconds_count", sni=Sni.NONE, outcome=Outcome.RESET) == 1
    service.statistics.lateness.observe(99)
    assert value("prober_schedule_lateness_seconds_bucket", le="5.0") == 3
    assert value("prober_schedule_lateness_seconds_bucket", le="+Inf") == 4


def test_the_lateness_buckets_are_the_contract_s() -> None:
    """Dashboards are built upon them."""
    assert LATENESS_BUCKETS == (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


def test_registering_the_collector_reads_nothing() -> None:
    """describe() names every family of the table, without samples."""
    from prober.outlets.service_metrics import ServiceCollector

    described = list(ServiceCollector(FakeService()).describe())

    assert [family.name for family in described] == [metric.name.removesuffix("_total") for metric in SERVICE_METRICS]
    assert all(not family.samples for family in described)


async def test_openmetrics_is_answered_to_whom_asks_for_it() -> None:
    """With its content type, its counters' names and its end mark; a strict parser accepts it."""
    answer = await get(busy(), "/metrics", Accept="application/openmetrics-text;version=1.0.0")

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert answer.text.endswith("\n# EOF\n")
    assert answer.text.count("# EOF") == 1
    assert "# TYPE probe_handshakes counter\n" in answer.text
    assert len(list(read_openmetrics(answer.text))) > len(METRICS)


async def test_metrics_are_gzipped_for_whom_takes_it() -> None:
    """And not for others."""
    service = busy()
    async with client(service) as http:
        async with http.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as packed:
            raw = b"".join([piece async for piece in packed.aiter_raw()])
        plain = await http.get("/metrics", headers={"Accept-Encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert set(seen(gzip.decompress(raw).decode())) == set(seen(plain.text))
    assert "content-encoding" not in plain.headers


async def test_names_restrict_own_and_target_series_as_in_prometheus_client() -> None:
    """By sample names: of a histogram, only its count, where only that is asked for."""
    answer = await get(busy(), "/metrics?name[]=probe_success&name[]=prober_schedule_lateness_seconds_count&name[]=nothing")

    names = {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert names == {"probe_success", "prober_schedule_lateness_seconds_count"}


async def test_health_is_alive_and_readiness_waits_for_the_first_round() -> None:
    """503 with the reason until it is done."""
    service = busy()
    assert (await get(service, "/-/healthy")).text == "Healthy\n"
    assert (await get(service, "/-/ready")).status_code == 200
    service.ready = False

    waiting = await get(service, "/-/ready")

    assert waiting.status_code == 503
    assert "first round" in waiting.text
    service.unanswered = ("kubernetes", "http")
    assert "discovery has not answered yet: kubernetes, http (" in (await get(service, "/-/ready")).text
    assert (await get(service, "/-/healthy")).status_code == 200


async def test_reload_is_a_post_that_says_what_came_of_it() -> None:
    """200; 400 with the errors as text; GET is 405 and does nothing."""
    service = FakeService()
    async with client(service) as http:
        assert (await http.post("/-/reload")).status_code == 200
        service.errors = ("prober.yml:3: targets[0]: no address; add one", "prober.yml:9: interval: 0s is too short")
        refused = await http.post("/-/reload")
        read = await http.get("/-/reload")
        written = await http.post("/metrics")

    assert refused.status_code == 400
    assert refused.text == "".join(f"{error}\n" for error in service.errors)
    assert (read.status_code, read.headers["allow"]) == (405, "POST")
    assert (read.text, written.text) == (
        "GET is not allowed here, but POST is\n",
        "POST is not allowed here, but GET and HEAD are\n",
    )
    assert service.reloads == 2


async def test_a_page_of_another_site_cannot_reload() -> None:
    """Browsers say where a request comes from; curl does not, and may."""
    service = FakeService()
    async with client(service) as http:
        answer = await http.post("/-/reload", headers={"Sec-Fetch-Site": "cross-site"})

    assert (answer.status_code, service.reloads) == (403, 0)


async def test_the_running_configuration_is_shown_as_text() -> None:
    """As the service masks it."""
    answer = await get(FakeService(yaml="listen: :9859\nalerting: {webhooks: [{url: <secret>}]}\n"), "/config")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "<secret>" in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/probe", "/api/v1/targets", "/config", "/nothing", "/-/reload", "/static/style.css"]
)
async def test_every_answer_keeps_browsers_strict(path: str) -> None:
    """Nothing inline, no frames, no sniffing, no referrer: also on errors."""
    answer = await get(busy(), path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert ("max-age" in answer.headers["cache-control"]) == path.startswith("/static/")


async def test_of_static_files_only_answers_that_last_are_kept() -> None:
    """A page that a newer instance has sent may ask an older one for its style; that there is none yet must not hold for a day."""
    found = await get(busy(), "/static/style.css")
    same = await get(busy(), "/static/style.css", **{"If-None-Match": found.headers["etag"]})
    missing = await get(busy(), "/static/newer.css")

    assert [(answer.status_code, answer.headers["cache-control"]) for answer in (found, same, missing)] == [
        (200, "public, max-age=86400"),
        (304, "public, max-age=86400"),
        (404, "no-store"),
    ]


async def test_an_unknown_path_lists_the_known_ones() -> None:
    """As text, as a page for browsers, as JSON within the API; what was asked for is escaped."""
    text = await get(FakeService(), "/nothing")
    page = await get(FakeService(), "/%3Cscript%3Ealert(1)%3C/script%3E", Accept="text/html,*/*;q=0.8")
    api = await get(FakeService(), "/api/v1/nothing")

    assert (text.status_code, page.status_code, api.status_code) == (404, 404, 404)
    for path in ("/metrics", "/-/ready", "/api/v1/history"):
        assert path in text.text
        assert path in page.text
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text
    assert api.json() == {"error": "There is nothing at /api/v1/nothing"}


async def test_bodies_above_the_limit_are_refused() -> None:
    """By their declared length; undeclared ones are refused by tests/outlets/test_web_server.py."""
    service = FakeService()
    async with client(service) as http:
        large = await http.post("/-/reload", content=bytes(MAX_BODY_BYTES + 1))
        small = await http.post("/-/reload", content=bytes(MAX_BODY_BYTES))

    assert (large.status_code, small.status_code) == (413, 200)
    assert service.reloads == 1


async def test_a_bug_is_500_without_details() -> None:
    """The log has the traceback; the answer has the security headers all the same."""

    class Broken(FakeService):
        def running_config(self) -> str:
            raise ZeroDivisionError("a secret detail")

    from prober.outlets.web import create_app

    transport = httpx.ASGITransport(create_app(Broken()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://prober") as http:
        answer = await http.get("/config")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
