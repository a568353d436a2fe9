"""One ApigeeRoute or ApigeeRouteConfig: what of it decides whether clients without SNI are served.

Source: the CustomResourceDefinitions ``apigeeroutes.apigee.cloud.google.com`` and ``apigeerouteconfigs`` (v1alpha1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from prober.diagnose.manifest import is_unresolved

__all__ = ["NO_NAME", "ROUTE", "ROUTE_CONFIG", "WILDCARD", "Port", "Route"]

ROUTE, ROUTE_CONFIG = "ApigeeRoute", "ApigeeRouteConfig"
WILDCARD = "*"
NO_NAME = "(no name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One entry of ``spec.ports`` (of an ApigeeRouteConfig: what its ``spec.tls`` stands for, on 443)."""

    number: int | None
    protocol: str
    tls_mode: str | None
    credential_name: str | None
    line: int
    written: str = field(default="{}", compare=False)
    """All of it as JSON: what a corrected manifest has to keep."""

    @property
    def terminates_tls(self) -> bool:
        """Whether a handshake on this port gets this object's certificate."""
        return (
            self.number == 443
            and self.protocol == "HTTPS"
            and self.tls_mode in {"SIMPLE", "MUTUAL"}
            and bool(self.credential_name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One object, with the place where it stands."""

    kind: str
    name: str
    namespace: str
    file: str
    line: int
    hostnames: tuple[str, ...]
    ports: tuple[Port, ...]
    selector: tuple[tuple[str, str], ...]
    enable_non_sni_client: bool | None
    """None where it is not written, which means false."""
    flag_line: int | None
    additional_gateways: tuple[str, ...]
    additional_gateways_line: int | None
    state: str | None
    """``running`` is the good one; None where there is no status (a manifest)."""
    generation: int | None
    applied_generation: int | None
    errors: tuple[str, ...]
    open_selector: bool = False
    """Whether a template's placeholder stands for its selector, or for a part of it."""
    lines: tuple[tuple[str, int], ...] = ()
    """Lines of ``spec.hostnames``, ``spec.ports``, ``spec.selector`` and ``status``, by field."""

    @property
    def is_wildcard(self) -> bool:
        """Whether it is a route for any name, and so for clients without one."""
        # A placeholder with the flag may become "*", and nothing else would make sense of it.
        open_name = self.enable_non_sni_client and any(map(is_unresolved, self.hostnames))
        return self.kind == ROUTE and (WILDCARD in self.hostnames or bool(open_name))

    @property
    def is_mutual(self) -> bool:
        """Whether it demands client certificates: linked to a wildcard route that demands none, it would not."""
        return any(port.tls_mode == "MUTUAL" for port in self.ports)

    def line_of(self, field: str) -> int:
        """The line of a field of the spec, or of the status; the object's own where it is not written."""
        return dict(self.lines).get(field, self.line)

    def selects(self, labels: Iterable[tuple[str, str]]) -> bool:
        """Whether its selector matches pods with these labels: every pair of the selector is among them."""
        return set(self.selector) <= set(labels)
