"""The whole way: a lab that resets, a cluster, the service as a process; its pages and its API say why, and nothing secret."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from prober.outlets.guard import SECURITY_HEADERS
from tests.discovery.cluster import APIGEE, apigee_route, kubeconfig, pod
from tests.outlets.test_status_page import Page
from tests.servers.kubernetes import ApiServer, api_server
from tests.servers.processes import running
from tests.service.process import PATIENCE, Service, eventually, serving

LABELS = {"app": "apigee-ingressgateway"}
TARGET = "envoy-reset"
SECRETS = ("planted-token", "planted-password", "planted-user")
PATHS = ("/", f"/targets/{TARGET}", "/config", "/metrics", "/api/v1/targets", f"/api/v1/targets/{TARGET}", "/api/v1/history",
         "/api/v1/failures", "/runbooks", "/targets/nobody", "/nothing")  # fmt: skip


@dataclass
class Watched:
    """The service, seen from a Trio task: what blocks runs in a thread, since the cluster lives in this one."""

    service: Service

    async def get(self, path: str) -> str:
        """One answer's text."""
        return (await trio.to_thread.run_sync(self.service.get, path)).text

    async def target(self) -> dict[str, Any]:
        """The target as the API has it."""
        found: dict[str, Any] = await trio.to_thread.run_sync(self.service.json, f"/api/v1/targets/{TARGET}")
        return found

    async def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The target, once that holds."""
        known: dict[str, Any] = {}
        with trio.move_on_after(PATIENCE):
            while True:
                known = await self.target()
                if known.get("findings") and holds(known):
                    return known
                await trio.sleep(0.1)
        raise AssertionError(f"not within {PATIENCE} s: {known}\n{self.service.program.log()}")


@asynccontextmanager
async def watching(directory: Path, server: ApiServer) -> AsyncIterator[Watched]:
    """The lab's resetting listener, watched by a service that may ask the cluster."""
    with ExitStack() as stack:

        def start() -> Service:
            options = ["--port", "0", "--control-port", "0", "--directory", str(directory / "lab")]
            lab = stack.enter_context(
                running([sys.executable, "-u", "-m", "prober", "lab", *options], directory=directory, name="prober-lab")
            )
            eventually(lambda: "List:" in lab.log(), "the lab's announcement")
            document = yaml.safe_load((directory / "lab" / "prober.yml").read_text())
            targets = [one for one in document["targets"] if one["name"] == TARGET]
            apigee_route(server, "acme-prod", *targets[0]["server_names"], selector=LABELS)
            file = kubeconfig(directory, server.url, {"token": "planted-token"})
            document |= {
                "targets": targets,
                "interval": "1s",
                "timeout": "800ms",
                "diagnosis": {"kubernetes": {"kubeconfig": file, "namespaces": ["apigee"]}, "refresh": "1s"},
                "alerting": {"alertmanagers": ["http://planted-user:planted-password@127.0.0.1:9"]},
                "state": str(directory / "state"),
            }
            return stack.enter_context(serving(directory, document))

        # In this thread, with which the programs end; the cluster answers again once they have started.
        yield Watched(start())


@pytest.mark.timeout(150)
async def test_the_page_names_the_cause_follows_the_cluster_and_survives_its_death(tmp_path: Path) -> None:
    """No wildcard and its fix; another finding once the route is there; unknown at 403; the last answer when the cluster is gone."""
    async with trio.open_nursery() as nursery:
        async with api_server() as server:
            server.token = "planted-token"
            pod(server, "gateway", LABELS)
            watched = await nursery.start(_hold, tmp_path, server)
            await watched.until(lambda known: _top(known) == ("no-wildcard", "confirmed"))
            tree = Page(await watched.get(f"/targets/{TARGET}")).root
            [manifest, commands, *_] = tree.all("section", class_="cause")[0].all("pre")
            written = yaml.safe_load("".join(child for child in manifest.children if isinstance(child, str)))
            assert written["spec"]["hostnames"] == ["*"]
            assert written["spec"]["ports"][0]["tls"]["credentialName"] == "prod"
            assert "kubectl -n apigee apply" in commands.text
            index = Page(await watched.get("/")).root
            assert [each.text for each in index.all("span", class_="because")] == ["Cause, confirmed: no-wildcard"]

            apigee_route(server, "non-sni", "*", selector=LABELS)
            await watched.until(lambda known: _top(known) == ("secret", "confirmed"))

            server.forbidden.add(APIGEE)
            known = await watched.until(lambda known: _top(known) == ("no-wildcard", "likely"))
            unknown = [one["error"] for one in known["diagnosis"]["sources"] if one["name"] == "apigeeroutes"]
            assert unknown == ["unknown: forbidden (403)"]
            assert "Not known to prober: kubernetes apigeeroutes (forbidden (403))" in await watched.get(f"/targets/{TARGET}")
            server.forbidden.clear()
            await watched.until(lambda known: _top(known)[0] == "secret")

        known = await watched.until(lambda known: known["diagnosis"]["trouble"])
        assert _top(known)[0] == "secret"
        assert known["diagnosis"]["cluster_read_at"] is not None
        began = time.monotonic()
        page = await watched.get(f"/targets/{TARGET}")
        assert time.monotonic() - began < 5.0
        assert "The cluster cannot be asked now" in page
        before = watched.service.value("probe_handshakes_total", sni="none", outcome="reset") or 0
        with trio.fail_after(PATIENCE):
            while True:
                if (watched.service.value("probe_handshakes_total", sni="none", outcome="reset") or 0) > before + 1:
                    break
                await trio.sleep(0.1)

        for path in PATHS:
            answer = await trio.to_thread.run_sync(watched.service.get, path)
            assert [secret for secret in SECRETS if secret in answer.text] == [], path
        log = watched.service.program.log()
        assert [secret for secret in SECRETS if secret in log] == []
        assert "level=error" not in log
        nursery.cancel_scope.cancel()


async def _hold(directory: Path, server: ApiServer, *, task_status: trio.TaskStatus[Watched]) -> None:
    async with watching(directory, server) as watched:
        task_status.started(watched)
        await trio.sleep_forever()


def _top(known: dict[str, Any]) -> tuple[str, str]:
    return known["findings"][0]["id"], known["findings"][0]["confidence"]


def test_no_page_needs_anything_inline_or_from_elsewhere() -> None:
    """The policy forbids inline script and style, and so must every template; nothing is loaded from another origin."""
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    templates = sorted((Path(__file__).parents[2] / "prober" / "outlets" / "templates").glob("*.html"))
    assert templates
    for template in templates:
        text = template.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|(?:src|href)=\"(?:https?:)?//", text), template.name
        assert all('src="' in tag for tag in re.findall(r"<script[^>]*>", text)), template.name
