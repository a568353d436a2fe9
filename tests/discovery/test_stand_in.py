"""The API server stand-in says nothing that an API server would not say: what is not valid, it refuses to serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.discovery import cluster
from tests.servers.kubernetes import KINDS, ApiServer, api_server
from tests.servers.kubernetes_schemas import InvalidDocument, require_valid

STATUS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired"}


def test_every_kind_has_a_document_that_is_valid() -> None:
    """Else the checks below would prove nothing."""
    server = ApiServer()
    cluster.load_balancer(server, "a", "203.0.113.1", {"app": "a"})
    cluster.service(server, "b", [{"hostname": "lb.example.net"}], {"app": "a"})
    cluster.pod(server, "a", {"app": "a"})
    cluster.ingress(server, "a", [{"ip": "203.0.113.1"}], "a.example.com")
    cluster.gateway(server, "a", "203.0.113.1")
    cluster.gateway(server, "b", "lb.example.net", "*.example.com", passthrough=True)
    cluster.http_route(server, "a", "a", "a.example.com")
    cluster.tls_route(server, "a", "b", "a.example.com")
    cluster.istio_gateway(server, "a", {"istio": "ingressgateway"}, "shop/a.example.com")
    cluster.openshift_route(server, "a", "a.example.com", "router.example.com")
    cluster.apigee_route(server, "a", "*")
    config = {"selector": {"app": "a"}, "enableNonSniClient": True, "tls": {"mode": "SIMPLE", "secretNameRef": "prod"}}
    server.put("/apis/apigee.cloud.google.com/v1alpha1/apigeerouteconfigs", "apigee", "a", spec=config)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (cluster.SERVICES, {"spec": {"ports": [{"port": "443"}]}}),
        (cluster.SERVICES, {"spec": {"ports": [{"port": 443, "tls": True}]}}),
        (cluster.SERVICES, {"spec": {}, "status": {"loadBalancer": {"ingress": [{"address": "203.0.113.1"}]}}}),
        (cluster.PODS, {"spec": {}}),
        (cluster.INGRESSES, {"spec": {"tls": {"hosts": ["a"]}}}),
        (cluster.GATEWAYS, {"spec": {"gatewayClassName": "a", "listeners": []}}),
        (cluster.GATEWAYS, {"spec": {"gatewayClassName": "a", "listeners": [{"name": "a", "port": 1, "protocol": "HTTPS"}]}}),
        (cluster.HTTP_ROUTES, {"spec": {"hostnames": ["*"]}}),
        (cluster.HTTP_ROUTES, {"spec": {"parentRefs": [{"namespace": "a"}]}}),
        (cluster.TLS_ROUTES, {"spec": {"hostnames": ["a.example.com"]}}),
        (cluster.ISTIO, {"spec": {"servers": [{"hosts": ["a"], "port": {"number": 443, "protocol": "HTTPS"}}]}}),
        (cluster.OPENSHIFT, {"spec": {"host": "a.example.com"}}),
        (cluster.OPENSHIFT, {"spec": {"to": {"kind": "Service", "name": "a"}, "tls": {"termination": "simple"}}}),
        (cluster.APIGEE, {"spec": {"ports": [{"number": 443, "protocol": "https"}]}}),
        (cluster.APIGEE, {"spec": {"hostname": ["a"]}}),
    ],
)
def test_an_object_that_no_api_server_has_is_refused(path: str, content: dict[str, Any]) -> None:
    """Wrong types, unknown fields, missing ones, values that are none; unless a test says that it wants that."""
    with pytest.raises(InvalidDocument):
        ApiServer().put(path, "shop", "a", **content)
    ApiServer().put(path, "shop", "a", valid=False, **content)


@pytest.mark.parametrize(
    "document",
    [
        {**STATUS, "code": "410"},
        {**STATUS, "cause": "x"},
        {"type": "ADDED", "object": {"kind": "Service", "apiVersion": "v1", "specs": {}}},
        {"type": "CHANGED", "object": STATUS},
        {"type": "ERROR", "object": {"kind": "Service", "apiVersion": "v1"}},
        {"type": "BOOKMARK", "object": {"kind": "Service", "apiVersion": "v1", "metadata": {}}},
        {"type": "BOOKMARK", "object": {"kind": "Service", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "spec": {}}},
        {"apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": 1}, "items": []},
        {"apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": "1"}, "items": [{"spec": 1}]},
        {"apiVersion": "route.openshift.io/v1", "kind": "RouteList", "metadata": {}, "items": []},
        {"apiVersion": "route.openshift.io/v1", "kind": "RouteList", "metadata": {"resourceVersion": "1"}, "items": [STATUS]},
        {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {}},
    ],
)
def test_lists_statuses_and_events_are_checked_too(document: dict[str, Any]) -> None:
    """They have schemas as well."""
    with pytest.raises(InvalidDocument):
        require_valid(document)


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        (lambda server, path: server.forbidden.add(path), 403, "Forbidden"),
        (lambda server, path: setattr(server, "token", "t"), 401, "Unauthorized"),
        (lambda server, path: server.failing.add(path), 500, "InternalError"),
        (lambda server, path: server.compact(), 410, "Expired"),
    ],
)
async def test_refusals_are_status_objects(spoil: Callable[[ApiServer, str], object], status: int, reason: str) -> None:
    """For a list as for a watch; and they were checked on their way out."""
    async with api_server() as server, httpx.AsyncClient() as http:
        spoil(server, cluster.APIGEE)
        server.gone_by_status = True
        answer = await http.get(f"{server.url}{cluster.APIGEE}", params={"watch": "1", "resourceVersion": "1", "continue": "1/0"})
        assert answer.status_code == status
        document = answer.json()
        require_valid(document)
        assert (document["kind"], document["reason"], document["code"]) == ("Status", reason, status)


async def test_a_list_is_what_an_api_server_sends() -> None:
    """Items of custom resources say what they are, those of Kubernetes' own kinds leave that to the list."""
    async with api_server() as server, httpx.AsyncClient() as http:
        cluster.apigee_route(server, "a", "a.example.com")
        cluster.load_balancer(server, "a", "203.0.113.1", {"app": "a"})
        for path, kind in KINDS.items():
            document = (await http.get(server.url + path)).json()
            require_valid(document)
            assert document["kind"] == f"{kind}List"
            for item in document["items"]:
                assert ("kind" in item) == (path == cluster.APIGEE)
