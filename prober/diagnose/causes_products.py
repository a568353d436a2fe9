"""The cause that the ingress is another product than Envoy: told by its behaviour or by its default certificate. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from prober.diagnose.case import Case, found, serves_unknown
from prober.diagnose.evidence import ProbeFacts
from prober.diagnose.fixes import Remedy
from prober.diagnose.products import product_fix
from prober.diagnose.wording import default_problems, probe_evidence
from prober.findings import Evidence, Finding
from prober.judge.signatures import Signature
from prober.model import Sni

__all__ = ["other_server"]

# Signatures of an ingress that serves known names and treats the missing one as another product than Envoy does.
_OTHERS = {"strict-sni", "caddy", "cdn", "sni-router", "reset-without-sni", "closed-without-sni", "caddy-default-sni"}


def other_server(case: Case) -> Iterator[Finding]:
    """The ingress behaves as another product than Envoy does: the fix is that product's."""
    for probe in case.probes:
        if not probe.known_served:
            continue
        signature = _signature(probe)
        if signature is not None and signature.id == "sni-router" and case.routes:
            signature = None  # it is Envoy's as well, behind a TCP proxy, and the configuration is of an Envoy
        product = _default_product(probe)
        if signature is None and product is None:
            continue
        key = product or (signature.id if signature is not None else "")
        seen = (
            f"presents the default certificate of {product}"
            if product
            else f"behaves as {signature.products if signature else ''}"
        )
        name = next((each.server_name for each in probe.known if each.server_name), None)
        remedy = product_fix(key, Remedy(case).prove(), name)
        yield found(
            "other-server",
            f"{probe.where} {seen}; "
            + (
                "Envoy, Istio and Apigee hybrid themselves send a RST without a wildcard route."
                if key == "sni-router"
                else "this is not what Envoy, Istio and Apigee hybrid do without a wildcard route."
            ),
            active=[
                probe_evidence(probe),
                *(Evidence(source="probe", text=text) for text in (default_problems(probe) if product else ())[:2]),
            ],
            against=_apigee_configured(case),
            fix=remedy,
        )


def _signature(probe: ProbeFacts) -> Signature | None:
    first = next(iter(probe.judgement.signatures), None)
    if first is None or first.id not in _OTHERS or (probe.accepts and probe.healthy):
        return None
    if first.id == "sni-router" and serves_unknown(probe):
        return None
    return first


def _default_product(probe: ProbeFacts) -> str | None:
    pairs = zip(probe.differential.handshakes, probe.judgement.handshakes, strict=True)
    return next((judged.default_of for handshake, judged in pairs if handshake.sni is Sni.NONE and judged.default_of), None)


def _apigee_configured(case: Case) -> tuple[Evidence, ...]:
    if not case.routes:
        return ()
    return (
        Evidence(
            source="routes",
            file=case.routes[0].file,
            text=f"{len(case.routes)} ApigeeRoutes are configured: an Envoy should be behind",
        ),
    )
