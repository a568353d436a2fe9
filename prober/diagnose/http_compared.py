"""Requests over connections without SNI, each held against the same request with SNI: only the difference tells something. Pure.

A wildcard route that is not linked gives a certificate, and then 404 from Envoy to what it answers well with SNI. Other servers
refuse otherwise (Apache: 403, 421). What fails with SNI, too, tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from prober.diagnose.evidence import HttpAnswer, ProbeFacts
from prober.findings import Evidence
from prober.model import Sni

__all__ = ["Requests", "compared"]


class Requests(NamedTuple):
    """Requests without SNI that failed, by what the same request with SNI got."""

    not_found: tuple[Evidence, ...]
    """404 of the ingress's own, and something else with SNI."""
    refused: tuple[Evidence, ...]
    """Another failure, or another server's, and a good answer with SNI."""
    telling_nothing: tuple[Evidence, ...]
    """A failure with SNI as well."""


def compared(probes: Iterable[ProbeFacts], *, apigee: bool) -> Requests:
    """``apigee``: a wildcard ApigeeRoute is there, so that an Envoy answers, whatever the header says."""
    not_found, refused, nothing = [], [], []
    for probe in probes:
        for answer in probe.answers(Sni.NONE):
            control = next((each for each in probe.answers(Sni.KNOWN) if each.host == answer.host), None)
            if control is None or answer.well:
                continue
            evidence = _evidence(probe, answer, control)
            if answer.status == 404 and control.status != 404 and (_by_envoy(answer) or apigee):
                not_found.append(evidence)
            elif control.well:
                refused.append(evidence)
            else:
                nothing.append(evidence)
    return Requests(tuple(not_found), tuple(refused), tuple(nothing))


def _by_envoy(answer: HttpAnswer) -> bool:
    """Whether Envoy signed it, or Istio, or the lab, which rehearses them; or nobody, since that can be turned off."""
    return answer.server.lower() in {"", "envoy", "istio-envoy", "prober-lab"}


def _evidence(probe: ProbeFacts, answer: HttpAnswer, control: HttpAnswer) -> Evidence:
    text = f"{probe.where}: without SNI, GET {answer.path} with Host {answer.host} -> {answer.said}; with SNI -> {control.said}"
    return Evidence(source="probe", text=text)
