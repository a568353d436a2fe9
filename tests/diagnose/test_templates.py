"""Templates of overrides.yaml and of routes: what is written out is judged, and what they fill in is not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.manifest import read_manifests
from prober.diagnose.overrides import read_overrides
from prober.diagnose.routes import read_routes
from prober.diagnose.templates import without_templates
from tests.diagnose.evidence_samples import WILDCARD

CHART = """\
{{- /* Rendered
     by helm. */ -}}
org: {{ .Values.org }}
ingressGateways:
- name: {{ .Values.ingress | quote }}
virtualhosts:
{{- range .Values.groups }}
- name: {{ .name }}
  selector:
    {{- toYaml $.Values.selector | nindent 4 }}
  {{- if .secret }}
  sslSecret: {{ .secret }}
  {{- else }}
  sslCertPath: {{ .certificate }}
  sslKeyPath: {{ .key }}
  {{- end }}
  additionalGateways:
  {{- toYaml .gateways | nindent 2 }}
{{- end }}
"""
JINJA = """\
{# two
   lines #}
org: {{ org | default('x') }}
virtualhosts:
{% for group in groups %}
- name: {{ group.name }}
  {%- if group.secret %}
  sslSecret: {{ group.secret }}
  {%- else %}
  sslSecret: acme-tls
  {%- endif %}
  {% if linked %}additionalGateways: {{ gateways }}{% endif %}
  tlsMode: {% if mutual %}MUTUAL{% else %}SIMPLE{% endif %}
{% endfor %}
"""


def lints(text: str) -> list[tuple[str, int]]:
    return [(lint.id, lint.line) for lint in read_overrides(read_manifests("overrides.yaml", text)).lints]


@pytest.mark.parametrize("text", [CHART, JINJA], ids=["helm", "jinja"])
def test_a_template_that_renders_well_has_no_lint(text: str) -> None:
    """Neither both branches of an `if` nor lists and keys that are filled in are mistakes."""
    facts = read_overrides(read_manifests("overrides.yaml", text))

    assert [] == lints(text)
    assert 1 == len(facts.virtual_hosts)
    assert facts.linked


def test_what_a_template_writes_out_is_judged_with_its_line() -> None:
    """A mistake between control lines is found where it stands."""
    text = CHART.replace("  {{- if .secret }}", "  minTLSProtocolVersion: 1.2\n  {{- if .secret }}").replace(
        ":\n  {{- toYaml .gateways | nindent 2 }}", ": non-sni"
    )

    assert [("tls-version-not-string", 11), ("additional-gateways-not-list", 18)] == lints(text)


def test_entries_that_a_template_fills_in_may_be_the_missing_ones() -> None:
    """A virtual host of which a part is unknown has no missing certificate, and is linked for all one knows."""
    host = "virtualhosts:\n- name: a\n  selector: {app: apigee-ingressgateway}\n"

    assert [("no-cert-source", 2)] == lints(host)
    assert [] == lints(host + "  {{- toYaml .Values.more | nindent 2 }}\n")
    assert [] == lints("virtualhosts:\n{{- range .Values.hosts }}\n- {{ toYaml . }}\n{{- end }}\n")


def test_a_route_within_a_condition_is_read() -> None:
    """Labels that are included in front of others do not cost the object."""
    text = """\
{{- if .Values.nonSni }}
apiVersion: apigee.cloud.google.com/v1alpha1
kind: ApigeeRoute
metadata:
  name: non-sni
  labels:
    {{- include "chart.labels" . | nindent 4 }}
    more: label
spec:
  hostnames: ["*"]
  ports:
  - {number: 443, protocol: HTTPS, tls: {credentialName: {{ .Values.secret }}, mode: SIMPLE}}
  selector: {app: apigee-ingressgateway}
  enableNonSniClient: {{ .Values.flag }}
{{- end }}
"""
    facts = read_routes([read_manifests("routes.yaml", text)])

    assert () == facts.lints
    assert ["non-sni"] == [route.name for route in facts.wildcards]
    assert 10 == facts.wildcards[0].line_of("hostnames")


@given(st.lists(st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", "if", "else", "end", "a: b", "- ", " ", "\n", "/*", "*/"])))
def test_no_text_loses_or_gains_a_line(pieces: list[str]) -> None:
    """However broken a template is, what stands in a line stays in that line."""
    text = "".join(pieces)

    assert text.count("\n") == without_templates(text).count("\n")


@pytest.mark.parametrize("piece", ["{{", "{{ ", "{%", "{#", "{{- /*", "{{ x }}\n", "{% if a %}\n", "a: {% if a %}"])
def test_a_long_template_takes_linear_time(piece: str) -> None:
    """No piece repeated a hundred thousand times takes more than seconds."""
    began = time.process_time()
    without_templates("}} {{" + piece * 100_000)

    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "selector",
    [
        "selector:\n    {{- toYaml .selector | nindent 4 }}",
        "selector: {{ toJson .selector }}",
        "selector:\n    {{ .key }}: {{ .value }}",
    ],
)
def test_a_selector_that_a_template_fills_in_is_not_missing(selector: str) -> None:
    """What comes there nobody knows; none at all is told."""
    text = WILDCARD.replace("selector: {app: apigee-ingressgateway}", selector)
    assert "selector" not in {lint.id for lint in read_routes([read_manifests("route.yaml", text)]).lints}

    text = WILDCARD.replace("selector: {app: apigee-ingressgateway}", "selector: {}")
    assert "selector" in {lint.id for lint in read_routes([read_manifests("route.yaml", text)]).lints}
