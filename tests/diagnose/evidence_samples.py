"""Evidence in words: a probe by its three endings, routes and overrides by their text, a log by its entries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from prober.diagnose.causes import diagnose
from prober.diagnose.evidence import CaptureEvidence, EvidenceSet, FlowEnd, FlowGroup, HttpAnswer, ProbeFacts
from prober.diagnose.log_lines import read_lines
from prober.diagnose.logs import LogFacts, analyse
from prober.diagnose.manifest import read_manifests
from prober.diagnose.overrides import OverridesFacts, read_overrides
from prober.diagnose.routes import RouteFacts, read_routes
from prober.findings import Finding
from prober.judge.verdicts import judge
from prober.model import Differential, NonSniPolicy, Sni
from tests.judge.differentials import KNOWN, TRUST, differential

__all__ = ["GROUP", "OVERRIDES", "WILDCARD", "capture", "flow", "http", "log", "named", "overrides", "probe", "routes", "told"]

GROUP = f"""\
apiVersion: apigee.cloud.google.com/v1alpha1
kind: ApigeeRoute
metadata: {{name: acme-hyb-prod-grp-000-1a2b3c4, namespace: apigee, generation: 4}}
spec:
  hostnames: [{KNOWN}]
  ports:
  - {{number: 443, protocol: HTTPS, tls: {{credentialName: acme-hyb-prod-grp, mode: SIMPLE, minProtocolVersion: TLS_AUTO}}}}
  selector: {{app: apigee-ingressgateway, ingress_name: edge-a}}
  additionalGateways: [fallback-no-sni]
status: {{state: running, lastAppliedGeneration: 4}}
"""
"""An environment group's route, linked to the wildcard route."""
WILDCARD = """\
apiVersion: apigee.cloud.google.com/v1alpha1
kind: ApigeeRoute
metadata: {name: fallback-no-sni, namespace: apigee, generation: 1}
spec:
  hostnames: ["*"]
  ports:
  - {number: 443, protocol: HTTPS, tls: {credentialName: acme-hyb-prod-grp, mode: SIMPLE, minProtocolVersion: TLS_AUTO}}
  selector: {app: apigee-ingressgateway}
  enableNonSniClient: true
status: {state: running, lastAppliedGeneration: 1}
"""
OVERRIDES = """\
namespace: apigee
org: acme-hyb
ingressGateways:
- name: edge-a
virtualhosts:
- name: prod-grp
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  sslCertPath: ./certs/acme.pem
  sslKeyPath: ./certs/acme.key
  additionalGateways: ["fallback-no-sni"]
- name: test-grp
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  sslCertPath: ./certs/acme.pem
  sslKeyPath: ./certs/acme.key
  additionalGateways: ["fallback-no-sni"]
"""
NOW = datetime.now(UTC)


def facts_of(one: Differential, *answers: HttpAnswer) -> ProbeFacts:
    """A judged differential."""
    return ProbeFacts(differential=one, judgement=judge(one, NonSniPolicy.CERTIFICATE, TRUST, NOW), http=answers)


def probe(
    known: str | None, none: str | None, unknown: str | None = None, *answers: HttpAnswer, started: float = 0.0
) -> ProbeFacts:
    """A probe whose hellos ended as the words of `tests.judge.differentials` say."""
    made = differential(known, none, unknown if unknown is not None else none)
    return facts_of(made._replace(handshakes=tuple(each._replace(started=started) for each in made.handshakes)), *answers)


def http(without: int, with_name: int = 200) -> tuple[HttpAnswer, HttpAnswer]:
    """The answers to a request without SNI, and to its control."""
    return tuple(
        HttpAnswer(sni=sni, host=KNOWN, path="/healthz/ingress", status=status, server="istio-envoy")
        for sni, status in ((Sni.NONE, without), (Sni.KNOWN, with_name))
    )  # type: ignore[return-value]


def routes(*texts: str, whole: bool = True) -> RouteFacts:
    """ApigeeRoutes; ``whole``: as the list of all that the cluster has."""
    parts = ["items:\nkind: ApigeeRouteList\n"] if whole and not texts else []
    manifests = [read_manifests("routes.yaml", "---\n".join([*texts, *parts]))]
    if whole:
        manifests.append(read_manifests("list.yaml", "kind: ApigeeRouteList\nitems: []\n"))
    return read_routes(manifests)


def overrides(text: str = OVERRIDES) -> tuple[OverridesFacts, ...]:
    """One overrides.yaml."""
    return (read_overrides(read_manifests("overrides.yaml", text)),)


def log(*entries: dict[str, object]) -> LogFacts:
    """An access log with these entries (`log_samples.entry`)."""
    return analyse(read_lines(json.dumps(each) for each in entries))


def flow(sni: str | None, end: FlowEnd, *, client: str = "198.51.100.7", file: str = "in.pcap", **more: object) -> FlowGroup:
    """Captured connections."""
    server = str(more.pop("server", "192.0.2.10:443"))
    return FlowGroup(file, client, server, bool(more.pop("tls", True)), sni, end, **more)  # type: ignore[arg-type]


def capture(*flows: FlowGroup) -> CaptureEvidence:
    """A capture of them."""
    return CaptureEvidence(groups=flows, files=tuple({each.file for each in flows}))


def told(**evidence: object) -> dict[str, Finding]:
    """The findings by id; of several with one id the first."""
    found: dict[str, Finding] = {}
    given = dict(evidence)
    if isinstance(given.get("probes"), ProbeFacts):
        given["probes"] = (given["probes"],)
    for finding in diagnose(EvidenceSet(**given)):  # type: ignore[arg-type]
        found.setdefault(finding.id, finding)
    return found


def named(findings: Iterable[Finding]) -> list[str]:
    """Ids, in order."""
    return [each.id for each in findings]
