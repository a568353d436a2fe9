"""Prometheus' text format 0.0.4 and OpenMetrics 1.0 text: lines, headers, and which of the two a scraper wants.

The two formats agree on every sample line that prober writes; they differ in a counter's header and in the end mark. That is
why a rendered line can be kept and sent in either. prometheus_client renders a sample in 15 µs, these functions in 1 µs.

https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import prometheus_client

__all__ = [
    "EOF",
    "Exposition",
    "choose_exposition",
    "encode",
    "escape",
    "gzip_accepted",
    "header",
    "labels_text",
    "number",
    "render_collected",
    "sample",
    "wanted_names",
]

EOF = b"# EOF\n"
"""OpenMetrics ends with it, so that a truncated answer is noticed."""


class Exposition(NamedTuple):
    """The format that a scraper gets."""

    openmetrics: bool
    content_type: str


def choose_exposition(accept: str) -> Exposition:
    """The format for an ``Accept`` header, chosen as prometheus_client chooses it; the plain one where it can make nothing of it.

    Weights (RFC 9110 §12.4.2), which it does not look at, come first: by them Prometheus says in which order its ``scrape_protocols`` stand.
    All names of ours are valid in every escaping scheme, so that the scheme changes the content type and nothing else.
    """
    from prometheus_client.exposition import choose_encoder

    try:
        _, content_type = choose_encoder(_preferred(accept))
    except (TypeError, ValueError):  # a version that is none, such as version=x, is compared with (1, 0, 0)
        _, content_type = choose_encoder("")
    return Exposition(content_type.startswith(_OPENMETRICS), content_type)


def _preferred(accept: str) -> str:
    """The media ranges without OpenMetrics where that is not accepted (q=0), or less so than the plain format."""
    weighed = [(each, each.partition(";")[0].strip(), _weight(each)) for each in accept.split(",")]
    plain = max((weight for _, kind, weight in weighed if kind == "text/plain"), default=0.0)
    return ",".join(each for each, kind, weight in weighed if kind != _OPENMETRICS or (weight and weight >= plain))


_OPENMETRICS = "application/openmetrics-text"


def _weight(media_range: str) -> float:
    """1 where there is none, or nonsense."""
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q" and _QVALUE.fullmatch(value.strip()):
            return float(value)
    return 1.0


_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def gzip_accepted(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header allows gzip (RFC 9110 §12.5.3; ``gzip;q=0`` forbids it)."""
    for coding in accept_encoding.split(","):
        token, _, weight = coding.partition(";")
        if token.strip().lower() in {"gzip", "x-gzip"}:
            name, _, value = weight.partition("=")
            return not (name.strip().lower() == "q" and value.strip() in {"0", "0.0", "0.00", "0.000"})
    return False


def wanted_names(values: Iterable[str]) -> frozenset[str] | None:
    """The sample names of ``name[]=`` parameters; None where everything is wanted."""
    names = frozenset(value for value in values if value)
    return names or None


def escape(value: str) -> str:
    """A label value between its quotes: backslash, quote and line feed escaped, in this order."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value


def number(value: float) -> str:
    """A sample value; both formats read Python's shortest spelling, infinities and NaN as Go writes them."""
    if value != value:
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def labels_text(labels: Mapping[str, str]) -> str:
    """``a="x",b="y"`` without braces, in the mapping's order."""
    return ",".join([f'{name}="{escape(value)}"' for name, value in labels.items()])


def sample(name: str, labels: str, value: float) -> str:
    """One line; ``labels`` as `labels_text` gives them."""
    return f"{name}{{{labels}}} {number(value)}\n" if labels else f"{name} {number(value)}\n"


def header(name: str, kind: str, documentation: str, *, openmetrics: bool) -> str:
    """``# HELP`` and ``# TYPE`` of one family; ``name`` is the sample's name, with ``_total`` where it is a counter."""
    text = documentation.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        text = text.replace('"', r"\"")
        name = name.removesuffix("_total") if kind == "counter" else name
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def render_collected(metric: prometheus_client.Metric, *, openmetrics: bool) -> bytes:
    """One family of a prometheus_client collector (counter, gauge or histogram, without creation times and exemplars)."""
    name = metric.name + "_total" if metric.type == "counter" else metric.name
    lines = [header(name, metric.type, metric.documentation, openmetrics=openmetrics)]
    lines += [sample(each.name, labels_text(each.labels), each.value) for each in metric.samples]
    return encode("".join(lines))


def encode(text: str) -> bytes:
    """UTF-8; what a peer slipped in that has no UTF-8 (a lone surrogate) becomes a question mark."""
    return text.encode("utf-8", "replace")
