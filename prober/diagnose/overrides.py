"""``overrides.yaml`` of Apigee hybrid: virtual hosts, ingress gateways, and every lint that an SRE would want before an upgrade.

Source: "Configuration property reference" (``virtualhosts``, ``ingressGateways``) and "Enable non-SNI clients" of the Apigee hybrid
documentation. Keys that are not looked at are left alone; a value that still is a template's placeholder is never judged.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from prober.diagnose.manifest import Manifest, Node, is_unresolved
from prober.findings import Lint

__all__ = [
    "INGRESS_APP",
    "SERVICE_MESH_APP",
    "IngressGateway",
    "OverridesFacts",
    "VirtualHost",
    "is_overrides",
    "read_overrides",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """One entry of ``virtualhosts``: an environment group's ingress configuration."""

    name: str
    line: int
    selector: tuple[tuple[str, str], ...]
    ssl_secret: str | None
    ssl_cert_path: str | None
    tls_mode: str
    additional_gateways: tuple[str, ...]
    additional_gateways_line: int | None

    @property
    def certificate(self) -> str | None:
        """What tells this host's certificate from another's: the secret's name or the file's path; None when both are given."""
        if self.ssl_cert_path is None or self.ssl_secret:
            return None if self.ssl_cert_path else self.ssl_secret
        return posixpath.normpath(self.ssl_cert_path)  # ./certs/a.pem is certs/a.pem


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressGateway:
    """One entry of ``ingressGateways``."""

    name: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverridesFacts:
    """One ``overrides.yaml``, read as far as it could be."""

    file: str
    organization: str | None
    namespace: str
    virtual_hosts: tuple[VirtualHost, ...]
    gateways: tuple[IngressGateway, ...]
    access_log_off: int | None
    """The line that turns the access log off, where one does."""
    astray: tuple[tuple[int, str], ...] = ()
    """Lines in which a link was written where nobody reads it, with what is wrong there."""
    lints: tuple[Lint, ...]

    @property
    def gateways_named(self) -> tuple[str, ...]:
        """The ingress gateways' names."""
        return tuple(gateway.name for gateway in self.gateways)

    @property
    def linked(self) -> frozenset[str]:
        """All names that any virtual host lists as additional gateways."""
        return frozenset(name for host in self.virtual_hosts for name in host.additional_gateways)


def is_overrides(manifest: Manifest) -> bool:
    """Whether a file is an ``overrides.yaml``: no Kubernetes object, with a key that only Apigee hybrid has."""
    telling = {"virtualhosts", "ingressGateways", "instanceID", "k8sCluster", "envs"}
    return any(document.get("kind") is None and not telling.isdisjoint(document.mapping()) for document in manifest.documents)


def read_overrides(manifest: Manifest) -> OverridesFacts:
    """The facts and lints of one file. Several documents in it are read as one, the last of a key wins."""
    merged: dict[str, Node] = {}
    for document in manifest.documents:
        merged.update(document.mapping())
    root = Node(merged, 1)
    hosts = tuple(map(_virtual_host, _listed_hosts(root)))
    gateways = tuple(IngressGateway(name=node.text("name") or "", line=node.line) for node in root.items("ingressGateways"))
    access_log = root.get("istiod", "accessLogFile")
    facts = OverridesFacts(
        file=manifest.name,
        organization=root.text("org"),
        namespace=root.text("namespace") or "apigee",
        virtual_hosts=hosts,
        gateways=gateways,
        access_log_off=access_log.line if access_log is not None and access_log.value == "" else None,
        astray=tuple(_astray(root)),
        lints=(),
    )
    lints = [Lint(flaw.kind, manifest.name, flaw.line, flaw.text) for flaw in manifest.flaws]
    for rule in _RULES:
        lints += (Lint(name, manifest.name, line, text) for name, line, text in rule(root, facts))
    return replace(facts, lints=tuple(sorted(lints, key=lambda lint: lint.line)))


def _virtual_host(node: Node) -> VirtualHost:
    gateways = node.get("additionalGateways")
    written = node.mapping().get("additionalGateways")  # also where nothing stands behind it
    listed = tuple(filter(None, node.texts("additionalGateways")))
    if gateways is not None and not listed and (single := node.text("additionalGateways")):
        listed = _split(single)
    if gateways is None:
        listed = _unknown_keys(node)  # what a template puts there may be the links
    return VirtualHost(
        name=node.text("name") or "",
        line=node.line,
        selector=tuple((key, value.text() or "") for key, value in node.mapping("selector").items()),
        ssl_secret=node.text("sslSecret"),
        ssl_cert_path=node.text("sslCertPath"),
        tls_mode=(node.text("tlsMode") or "SIMPLE").upper(),
        additional_gateways=listed,
        additional_gateways_line=written.line if written is not None else None,
    )


def _split(names: str) -> tuple[str, ...]:
    """Names that stand where a list should, one or several with commas between them."""
    return tuple(filter(None, map(str.strip, names.split(",")))) if not is_unresolved(names) else (names,)


def _unknown_keys(node: Node) -> tuple[str, ...]:
    """Placeholders among the keys: a template fills in entries there, any at all."""
    return tuple(filter(is_unresolved, node.mapping()))


def _listed_hosts(root: Node) -> tuple[Node, ...]:
    """The virtual hosts that are written out; one that is a placeholder as a whole is not judged."""
    return tuple(node for node in root.items("virtualhosts") if not is_unresolved(node.text() or ""))


_Found = tuple[str, int, str]
_GATEWAY_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_GATEWAY_NAME_LENGTH = 17
INGRESS_APP = "apigee-ingressgateway"
SERVICE_MESH_APP = "istio-ingressgateway"
"""Of Anthos Service Mesh, which was the ingress up to hybrid 1.8."""


def _hosts(root: Node) -> Iterator[tuple[str, Node]]:
    for node in _listed_hosts(root):
        yield node.text("name") or f"in line {node.line}", node


def _certificate_sources(root: Node, _facts: OverridesFacts) -> Iterator[_Found]:
    for name, node in _hosts(root):
        secret, certificate, key = (_written(node, each) for each in ("sslSecret", "sslCertPath", "sslKeyPath"))
        paths = certificate or key
        if secret is not None and paths is not None:
            text = f"virtualhost {name} has sslSecret and sslCertPath/sslKeyPath; keep one of the two"
            yield "both-cert-sources", max(secret.line, paths.line), text
        elif secret is None and not (certificate and key) and not _unknown_keys(node):
            half = "only half of sslCertPath and sslKeyPath" if paths is not None else "no certificate"
            yield "no-cert-source", node.line, f"virtualhost {name} has {half}; give sslSecret, or sslCertPath and sslKeyPath"


def _written(node: Node, key: str) -> Node | None:
    """The node of a key; None also where an empty string is written."""
    found = node.get(key)
    return None if found is None or found.value == "" else found


def _selectors(root: Node, facts: OverridesFacts) -> Iterator[_Found]:
    names = {gateway.name for gateway in facts.gateways if gateway.name}
    if names and root.text("enhanceProxyLimits") != "false" and root.get("enhanceProxyLimits") is not None:
        names.add("internal-chaining")  # hybrid 1.14 and later makes it by itself
    for name, node in _hosts(root):
        app, ingress = node.get("selector", "app"), node.get("selector", "ingress_name")
        if app is not None and not is_unresolved(str(app.value)) and app.value != INGRESS_APP and facts.gateways:
            text = f"virtualhost {name} selects app {app.value}, but the gateways of this file have app {INGRESS_APP}; write that"
            yield "selector", app.line, text
        if ingress is None or not names or is_unresolved(str(ingress.value)) or any(map(is_unresolved, names)):
            continue
        if str(ingress.value) not in names:
            known = ", ".join(sorted(names))
            yield (
                "unknown-ingress",
                ingress.line,
                f"virtualhost {name} selects ingress_name {ingress.value}, which ingressGateways does not have; write one of {known}",
            )


def _gateways(root: Node, _facts: OverridesFacts) -> Iterator[_Found]:
    for node in root.items("ingressGateways"):
        name = node.get("name")
        text = node.text("name") or ""
        if name is None:
            yield "ingress-name-invalid", node.line, "an ingress gateway has no name; give it one of at most 17 characters"
        elif not is_unresolved(text) and not (_GATEWAY_NAME.fullmatch(text) and len(text) <= _GATEWAY_NAME_LENGTH):
            rule = "at most 17 characters of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit"
            yield "ingress-name-invalid", name.line, f"the ingress gateway's name {text!r} is not allowed; use {rule}"
        kind, address = node.get("svcType"), _written(node, "svcLoadBalancerIP")
        if kind is not None and not is_unresolved(str(kind.value)) and kind.value not in {"LoadBalancer", "ClusterIP"}:
            yield "svc-type-invalid", kind.line, f"svcType of {text} is {kind.value}; it may be LoadBalancer or ClusterIP"
        if kind is not None and kind.value == "ClusterIP" and address is not None:
            yield (
                "lb-ip-with-clusterip",
                address.line,
                f"{text} has svcLoadBalancerIP, which svcType ClusterIP ignores; remove one of them",
            )


def _protocol_versions(root: Node, _facts: OverridesFacts) -> Iterator[_Found]:
    for name, node in _hosts(root):
        for key in ("minTLSProtocolVersion", "maxTLSProtocolVersion"):
            version = node.get(key)
            if version is None or (isinstance(version.value, str) and version.value in {"1.0", "1.1", "1.2", "1.3"}):
                continue
            if isinstance(version.value, str) and is_unresolved(version.value):
                continue
            written = re.search(r"1[._]([0-3])$", str(version.value))
            wanted = f"1.{written[1]}" if written else "1.2"
            yield (
                "tls-version-not-string",
                version.line,
                f'{key} of virtualhost {name} is {version.value!r}; write the string "{wanted}"',
            )


def _additional_gateways(root: Node, facts: OverridesFacts) -> Iterator[_Found]:
    for name, node in _hosts(root):
        gateways = node.get("additionalGateways")
        if gateways is not None and not isinstance(gateways.value, tuple) and not is_unresolved(gateways.text() or ""):
            wanted = json.dumps(_split(gateways.text() or "") or ["ROUTE_NAME"], ensure_ascii=False)
            text = f"additionalGateways of virtualhost {name} is no list; write {wanted}"
            yield "additional-gateways-not-list", gateways.line, text
        for each in node.items("additionalGateways"):
            if each.value is not None and each.text() is None:
                text = f'additionalGateways of virtualhost {name} has an entry that is no name; write names of ApigeeRoutes, as ["ROUTE_NAME"]'
                yield "additional-gateways-not-list", each.line, text
    linked = [host for host in facts.virtual_hosts if host.additional_gateways]
    if not linked:
        return
    example = ", ".join(f'"{each}"' for each in linked[0].additional_gateways)
    for host in facts.virtual_hosts:
        # One that demands client certificates is better not linked: see `_mtls_bypass`.
        if not host.additional_gateways and host.tls_mode != "MUTUAL":
            text = f"virtualhost {host.name} lists no additionalGateways, {linked[0].name} does; add [{example}], else its hosts answer 404 without SNI"
            yield "partial-vhosts", host.line, text


def _one_pair(_root: Node, facts: OverridesFacts) -> Iterator[_Found]:
    """Once clients without SNI are served, all hosts must have one pair: also those that are linked later."""
    if not facts.linked:
        return
    hosts = [
        host
        for host in facts.virtual_hosts
        if host.certificate and not is_unresolved(host.certificate) and (host.additional_gateways or host.tls_mode != "MUTUAL")
    ]
    for host in hosts[1:]:
        if host.certificate != hosts[0].certificate:
            text = (
                f"virtualhost {host.name} uses another certificate ({host.certificate}) than {hosts[0].name} ({hosts[0].certificate}); "
                "clients without SNI can get only one: share one pair"
            )
            yield "different-certificates", host.line, text


def _mtls_bypass(_root: Node, facts: OverridesFacts) -> Iterator[_Found]:
    for host in facts.virtual_hosts:
        if host.tls_mode == "MUTUAL" and host.additional_gateways:
            text = (
                f"virtualhost {host.name} demands client certificates and is linked to {', '.join(host.additional_gateways)}: a client that "
                "sends no SNI reaches its APIs without a certificate if that route is SIMPLE; do not link it"
            )
            yield "mtls-bypass", host.additional_gateways_line or host.line, text


def _no_lists(root: Node, _facts: OverridesFacts) -> Iterator[_Found]:
    for key in ("virtualhosts", "ingressGateways"):
        node = root.get(key)
        if node is not None and not isinstance(node.value, tuple) and not is_unresolved(node.text() or ""):
            unknown = [each for each in node.mapping() if not is_unresolved(each)]
            if unknown or not node.mapping():
                yield "yaml-error", node.line, f"{key} is no list, so that nothing of it is read; begin each entry with `- name:`"


def _astray(root: Node) -> Iterator[tuple[int, str]]:
    """``additionalGateways`` with another spelling, or in another place than in a virtual host."""
    for key, node in root.mapping().items():
        if _is_like_links(key):
            yield node.line, f"{key} stands outside of virtualhosts, where nobody reads it"
    for name, host in _hosts(root):
        for key, node in host.mapping().items():
            if _is_like_links(key) and key != "additionalGateways":
                yield node.line, f"{key} of virtualhost {name} is a key that nobody reads; write additionalGateways"
            for inner, value in node.mapping().items():
                if _is_like_links(inner):
                    yield (
                        value.line,
                        f"{inner} stands in {key} of virtualhost {name}, where nobody reads it; indent it as {key} is",
                    )


def _is_like_links(key: str) -> bool:
    return re.sub(r"[^a-z]", "", key.lower()) in {
        "additionalgateways",
        "additionalgateway",
        "aditionalgateways",
        "additonalgateways",
    }


_RULES: tuple[Callable[[Node, OverridesFacts], Iterator[_Found]], ...] = (
    _certificate_sources,
    _selectors,
    _gateways,
    _protocol_versions,
    _additional_gateways,
    _one_pair,
    _mtls_bypass,
    _no_lists,
)
