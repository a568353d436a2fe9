"""Objects of a cluster as people and controllers write them, put into the API server stand-in; and a kubeconfig that leads to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.servers.kubernetes import ApiServer

__all__ = [
    "APIGEE",
    "GATEWAYS",
    "HTTP_ROUTES",
    "INGRESSES",
    "ISTIO",
    "OPENSHIFT",
    "PODS",
    "SERVICES",
    "TLS_ROUTES",
    "apigee_route",
    "gateway",
    "http_route",
    "ingress",
    "istio_gateway",
    "kubeconfig",
    "load_balancer",
    "openshift_route",
    "pod",
    "service",
    "tls_route",
]

SERVICES = "/api/v1/services"
PODS = "/api/v1/pods"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/gateways"
HTTP_ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
TLS_ROUTES = "/apis/gateway.networking.k8s.io/v1/tlsroutes"
ISTIO = "/apis/networking.istio.io/v1/gateways"
OPENSHIFT = "/apis/route.openshift.io/v1/routes"
APIGEE = "/apis/apigee.cloud.google.com/v1alpha1/apigeeroutes"

_INGRESS_PODS = {"app": "apigee-ingressgateway"}


def kubeconfig(directory: Path, server: str, user: dict[str, Any] | None = None, **cluster: Any) -> str:
    """A file with one context, whose namespace is ``apigee``."""
    file = directory / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "apigee"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    file.write_text(yaml.safe_dump(document))
    return str(file)


def load_balancer(server: ApiServer, name: str, ip: str, selector: dict[str, str], *ports: int, **spec: Any) -> None:
    """A Service with an address, in the namespace ``apigee``; its pods listen 8000 ports higher."""
    service(server, name, [{"ip": ip}], selector, *ports, **spec)


def service(
    server: ApiServer, name: str, points: list[dict[str, str]], selector: dict[str, str], *ports: int, **spec: Any
) -> None:
    """A Service whose ``status.loadBalancer.ingress`` is ``points``."""
    numbers = ports or (443,)
    listed = [{"name": f"p{port}", "port": port, "targetPort": port + 8000, "protocol": "TCP"} for port in numbers]
    body = {"type": "LoadBalancer", "selector": selector, "ports": listed, **spec}
    server.put(SERVICES, "apigee", name, spec=body, status={"loadBalancer": {"ingress": points} if points else {}})


def pod(server: ApiServer, name: str, labels: dict[str, str]) -> None:
    """In the namespace ``apigee``."""
    spec = {"containers": [{"name": "proxy", "image": "proxy:1"}]}
    server.put(PODS, "apigee", name, metadata={"labels": labels}, spec=spec)


def apigee_route(server: ApiServer, name: str, *hosts: str, selector: dict[str, str] | None = None) -> None:
    """As Apigee's operator writes it."""
    ports = [{"number": 443, "protocol": "HTTPS", "tls": {"mode": "SIMPLE", "credentialName": "prod"}}]
    spec = {"hostnames": list(hosts), "ports": ports, "selector": selector or _INGRESS_PODS, "enableNonSniClient": "*" in hosts}
    server.put(APIGEE, "apigee", name, spec=spec, status={"state": "running", "lastAppliedGeneration": 1})


def istio_gateway(server: ApiServer, name: str, selector: dict[str, str], *hosts: str, plain: str = "plain.example.com") -> None:
    """A Gateway of Istio's that serves some hosts by TLS and one without."""
    secure = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": list(hosts),
        "tls": {"mode": "SIMPLE", "credentialName": "prod"},
    }
    insecure = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [plain]}
    server.put(ISTIO, "shop", name, spec={"selector": selector, "servers": [secure, insecure]})


def ingress(server: ApiServer, name: str, points: list[dict[str, str]], *hosts: str, ingress_class: str = "nginx") -> None:
    """An Ingress in a namespace of its own name."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}} for host in hosts]
    spec = {"ingressClassName": ingress_class, "tls": [{"hosts": list(hosts), "secretName": "prod"}], "rules": rules}
    server.put(INGRESSES, name, name, spec=spec, status={"loadBalancer": {"ingress": points} if points else {}})


def gateway(
    server: ApiServer, name: str, address: str | None, hostname: str | None = None, *, port: int = 443, passthrough: bool = False
) -> None:
    """A Gateway of the Gateway API in the namespace ``shop``, with one listener, ``https`` or ``tls``."""
    tls = {"mode": "Passthrough"} if passthrough else {"mode": "Terminate", "certificateRefs": [{"name": "prod"}]}
    listener = {"name": "tls", "protocol": "TLS"} if passthrough else {"name": "https", "protocol": "HTTPS"}
    listener |= {"port": port, "tls": tls} | ({"hostname": hostname} if hostname else {})  # type: ignore[operator]
    kind = (
        "IPAddress"
        if address and address.replace(".", "").replace(":", "").isalnum() and not address[-1].isalpha()
        else "Hostname"
    )
    addresses = [{"type": kind, "value": address}] if address else []
    server.put(
        GATEWAYS, "shop", name, spec={"gatewayClassName": "test", "listeners": [listener]}, status={"addresses": addresses}
    )


def http_route(server: ApiServer, name: str, parent: str, *hosts: str, namespace: str = "shop") -> None:
    """Attached to a Gateway in ``shop``."""
    spec = {"parentRefs": [{"name": parent, "namespace": "shop"}], "hostnames": list(hosts)}
    server.put(HTTP_ROUTES, namespace, name, spec=spec)


def tls_route(server: ApiServer, name: str, parent: str, *hosts: str, namespace: str = "shop") -> None:
    """Attached to a Gateway in ``shop``."""
    rules = [{"backendRefs": [{"name": "db", "port": 5432}]}]
    spec = {"parentRefs": [{"name": parent, "namespace": "shop"}], "hostnames": list(hosts), "rules": rules}
    server.put(TLS_ROUTES, namespace, name, spec=spec)


def openshift_route(
    server: ApiServer, name: str, host: str, router: str | None, *, termination: str | None = "edge", admitted: str = "True"
) -> None:
    """A Route as the default router has taken it in; ``router`` is its canonical name."""
    spec: dict[str, Any] = {"host": host, "to": {"kind": "Service", "name": "web", "weight": 100}, "wildcardPolicy": "None"}
    if termination:
        spec["tls"] = {"termination": termination}
    point: dict[str, Any] = {
        "host": host,
        "routerName": "default",
        "wildcardPolicy": "None",
        "conditions": [{"type": "Admitted", "status": admitted, "lastTransitionTime": "2026-01-02T03:04:05Z"}],
    }
    if router:
        point["routerCanonicalHostname"] = router
    server.put(OPENSHIFT, "shop", name, spec=spec, status={"ingress": [point]})
