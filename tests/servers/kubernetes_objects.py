"""What the API server stand-in says of its objects: which kinds are at which paths, and errors in Kubernetes' words."""

from __future__ import annotations

from typing import Any

__all__ = ["KINDS", "all_namespaces", "identity_of", "status"]

KINDS = {
    "/api/v1/services": "Service",
    "/api/v1/pods": "Pod",
    "/apis/networking.k8s.io/v1/ingresses": "Ingress",
    "/apis/gateway.networking.k8s.io/v1/gateways": "Gateway",
    "/apis/gateway.networking.k8s.io/v1/httproutes": "HTTPRoute",
    "/apis/gateway.networking.k8s.io/v1/tlsroutes": "TLSRoute",
    "/apis/networking.istio.io/v1/gateways": "Gateway",
    "/apis/route.openshift.io/v1/routes": "Route",
    "/apis/apigee.cloud.google.com/v1alpha1/apigeeroutes": "ApigeeRoute",
    "/apis/apigee.cloud.google.com/v1alpha1/apigeerouteconfigs": "ApigeeRouteConfig",
}
_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 410: "Expired", 500: "InternalError"}


def identity_of(path: str) -> dict[str, str]:
    """``apiVersion`` and ``kind`` of the objects at a path."""
    version = path.rpartition("/")[0].removeprefix("/apis/").removeprefix("/api/")
    return {"apiVersion": version, "kind": KINDS[path]}


def all_namespaces(path: str) -> tuple[str, str | None]:
    """The path without its namespace, and that."""
    head, separator, tail = path.partition("/namespaces/")
    if not separator:
        return path, None
    namespace, _, plural = tail.partition("/")
    return f"{head}/{plural}", namespace


def status(code: int, message: str) -> dict[str, Any]:
    """An error as the server says it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS[code],
        "code": code,
    }
