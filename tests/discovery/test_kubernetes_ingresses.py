"""What a cluster's objects come to. They are the stand-in's, and therefore valid."""

from __future__ import annotations

import pytest

from prober.discovery.kubernetes_ingresses import Cluster, Ingresses, ingresses
from prober.sources import ADDRESS, NAME, SERVER_NAMES
from tests.discovery import cluster
from tests.servers.kubernetes import ApiServer

PODS_OF_APIGEE = {"app": "apigee-ingressgateway"}


@pytest.fixture
def server() -> ApiServer:
    """Not running: it keeps the objects, and takes valid ones alone."""
    return ApiServer()


def come_to(server: ApiServer) -> Ingresses:
    return ingresses(
        Cluster(
            services=server.objects(cluster.SERVICES),
            pods=server.objects(cluster.PODS),
            ingresses=server.objects(cluster.INGRESSES),
            gateways=server.objects(cluster.GATEWAYS),
            http_routes=server.objects(cluster.HTTP_ROUTES),
            tls_routes=server.objects(cluster.TLS_ROUTES),
            istio_gateways=server.objects(cluster.ISTIO),
            openshift_routes=server.objects(cluster.OPENSHIFT),
            apigee_routes=server.objects(cluster.APIGEE),
        )
    )


def served(server: ApiServer) -> dict[str, str]:
    return {labels[ADDRESS]: labels[SERVER_NAMES] for labels in come_to(server).label_sets}


def test_a_load_balancer_that_is_a_name_is_a_target_by_its_name(server: ApiServer) -> None:
    """As AWS gives them; both where both are given, on each of the ports that speak TLS."""
    cluster.service(server, "edge", [{"hostname": "lb.example.net"}, {"ip": "2001:db8::1"}], {"app": "a"}, 80, 443, 8443)
    assert served(server) == {
        "lb.example.net:443": "",
        "lb.example.net:8443": "",
        "[2001:db8::1]:443": "",
        "[2001:db8::1]:8443": "",
    }


def test_what_has_no_address_yet_is_said(server: ApiServer) -> None:
    """A load balancer that is being made, a Gateway and an Ingress that nobody serves: each by name, and none is a target."""
    cluster.service(server, "pending", [], PODS_OF_APIGEE)
    cluster.service(server, "plain", [], {"app": "db"}, 5432)
    cluster.gateway(server, "pending", None, "a.example.com")
    cluster.ingress(server, "one", [], "a.example.com")
    cluster.ingress(server, "two", [], "b.example.com")
    assert come_to(server) == (
        (),
        (
            "gateway/shop/pending: has no address yet",
            "ingress/nginx: has no address yet by ingress/one/one and 1 more",
            "service/apigee/pending: has no address yet",
        ),
    )


@pytest.mark.parametrize("kind", ["NodePort", "ClusterIP"])
def test_services_without_load_balancer_are_left_out(kind: str, server: ApiServer) -> None:
    """Nobody outside reaches the one, and the addresses of the other's nodes are not the API's to tell."""
    cluster.service(server, "inside", [], PODS_OF_APIGEE, type=kind, clusterIP="10.0.0.9")
    cluster.apigee_route(server, "prod", "api.example.com")
    cluster.gateway(server, "mesh", "10.0.0.9", "a.example.com")
    cluster.gateway(server, "named", "gw.shop.svc.cluster.local", "a.example.com")
    assert come_to(server) == ((), ())


def test_an_address_is_asked_for_so_many_names_and_no_more(server: ApiServer) -> None:
    """And it is said which are not."""
    cluster.load_balancer(server, "edge", "203.0.113.1", PODS_OF_APIGEE)
    names = [f"n{number:03}.example.com" for number in range(40)]
    cluster.apigee_route(server, "prod", *names)
    made = come_to(server)
    assert made.label_sets[0][SERVER_NAMES] == ",".join(names[:32])
    assert made.notes == (
        "service/apigee/edge 203.0.113.1:443: 40 hostnames; those after the first 32 are not asked for: n032.example.com ...",
    )
    cluster.apigee_route(server, "prod", *names[:32])
    assert come_to(server).notes == ()


def test_gateways_have_the_addresses_of_their_status(server: ApiServer) -> None:
    """IP addresses and names, each with the hostnames of the routes that are attached."""
    cluster.gateway(server, "web", "203.0.113.7", "*.example.com")
    cluster.gateway(server, "cloud", "lb.example.net")
    cluster.http_route(server, "a", "web", "a.example.com", "other.example.org")
    cluster.http_route(server, "b", "cloud", "b.example.com", namespace="shop")
    cluster.http_route(server, "stranger", "cloud", "stranger.example.com", namespace="elsewhere")
    assert served(server) == {"203.0.113.7:443": "a.example.com", "lb.example.net:443": "b.example.com"}


def test_tls_routes_name_what_passes_through(server: ApiServer) -> None:
    """Of listeners that speak TLS; HTTPRoutes belong to others, and TLSRoutes to those not."""
    cluster.gateway(server, "pass", "203.0.113.8", passthrough=True, port=6443)
    cluster.gateway(server, "web", "203.0.113.9")
    for parent in ("pass", "web"):
        cluster.tls_route(server, f"tls-{parent}", parent, "db.example.com")
        cluster.http_route(server, f"http-{parent}", parent, "web.example.com")
    assert served(server) == {"203.0.113.8:6443": "db.example.com", "203.0.113.9:443": "web.example.com"}


def test_openshift_routes_are_reached_at_their_router(server: ApiServer) -> None:
    """By the router's canonical name, all hosts of one router together; those without TLS and those that it refused are not there."""
    router = "router-default.apps.example.com"
    cluster.openshift_route(server, "edge", "a.apps.example.com", router)
    cluster.openshift_route(server, "pass", "b.apps.example.com", router, termination="passthrough")
    cluster.openshift_route(server, "plain", "plain.apps.example.com", router, termination=None)
    cluster.openshift_route(server, "refused", "refused.apps.example.com", router, admitted="False")
    (labels,) = come_to(server).label_sets
    assert (labels[ADDRESS], labels[NAME]) == (f"{router}:443", "route/default")
    assert labels[SERVER_NAMES] == "a.apps.example.com,b.apps.example.com"


def test_a_router_without_a_name_is_said(server: ApiServer) -> None:
    """It cannot be derived from anything else that a Route says."""
    cluster.openshift_route(server, "edge", "a.apps.example.com", None)
    assert come_to(server) == ((), ("route/default: has no address yet by route/shop/edge",))


def test_without_pods_selectors_are_compared(server: ApiServer) -> None:
    """Pods may not be shown to us; with them, what they are decides."""
    cluster.load_balancer(server, "edge", "203.0.113.1", {**PODS_OF_APIGEE, "ingress_name": "edge"})
    cluster.apigee_route(server, "other", "other.example.com", selector={**PODS_OF_APIGEE, "ingress_name": "other"})
    cluster.apigee_route(server, "mine", "mine.example.com", selector={**PODS_OF_APIGEE, "org": "acme"})
    assert served(server) == {"203.0.113.1:443": "mine.example.com"}
    cluster.pod(server, "p", {**PODS_OF_APIGEE, "ingress_name": "edge", "org": "another"})
    assert served(server) == {"203.0.113.1:443": ""}


def test_a_pattern_is_asked_for_by_one_name_of_it(server: ApiServer) -> None:
    """Where there is no exact one; "*" is no name that anybody could ask for."""
    cluster.load_balancer(server, "edge", "203.0.113.1", PODS_OF_APIGEE)
    cluster.apigee_route(server, "prod", "*", "*.example.com")
    assert served(server) == {"203.0.113.1:443": "prober.example.com"}
    cluster.apigee_route(server, "more", "a.example.com")
    assert served(server) == {"203.0.113.1:443": "a.example.com"}


def test_addresses_of_one_owner_with_other_names_are_targets_of_their_own(server: ApiServer) -> None:
    """A target's addresses are asked for the same names."""
    cluster.ingress(server, "a", [{"ip": "203.0.113.1"}], "a.example.com")
    cluster.ingress(server, "b", [{"ip": "203.0.113.2"}], "b.example.com")
    names = {labels[NAME] for labels in come_to(server).label_sets}
    assert names == {"ingress/nginx 203.0.113.1:443", "ingress/nginx 203.0.113.2:443"}
