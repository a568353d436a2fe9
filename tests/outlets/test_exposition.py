"""The text formats, against the parsers of prometheus_client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from prober.outlets.exposition import (
    choose_exposition,
    encode,
    escape,
    gzip_accepted,
    header,
    labels_text,
    number,
    render_collected,
    sample,
    wanted_names,
)

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(ANY_TEXT)
def test_any_label_value_survives_both_formats(value: str) -> None:
    """Whatever a certificate's subject holds, a scraper reads it back."""
    line = sample("x", labels_text({"a": value, "b": "plain"}), 1.5)
    [text] = read_text(header("x", "gauge", "H.", openmetrics=False) + line)
    [openmetrics] = read_openmetrics(header("x", "gauge", "H.", openmetrics=True) + line + "# EOF\n")

    assert [each.labels for each in text.samples] == [{"a": value, "b": "plain"}]
    assert [each.labels for each in openmetrics.samples] == [{"a": value, "b": "plain"}]


def test_escaping_is_the_specification_s() -> None:
    """Backslash first, or the other escapes would be escaped again."""
    assert escape('a\\b"c\nd') == r"a\\b\"c\nd"
    assert escape("plain") == "plain"


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    """What has no UTF-8 must not end the scrape."""
    assert encode("CN=\udcff!") == b"CN=?!"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.0042, "0.0042"),
        (1795374094.75, "1795374094.75"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_written_as_scrapers_read_them(value: float, text: str) -> None:
    """Infinities and NaN have Go's spelling."""
    assert number(value) == text
    assert repr(float(text)) == repr(float(value))


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain;version=0.0.4",
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text",
        "application/openmetrics-text;version=0.0.1",
        PROMETHEUS_3,
    ],
)
def test_the_format_is_the_one_that_prometheus_client_chooses(accept: str) -> None:
    """A scraper cannot tell the two apart by their answers to an Accept header."""
    _, content_type = choose_encoder(accept)

    chosen = choose_exposition(accept)

    assert chosen.content_type == content_type
    assert chosen.openmetrics == ("openmetrics" in content_type)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        # Prometheus with scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]
        ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2", False),
        ("application/openmetrics-text;version=1.0.0;q=0, */*", False),
        ("application/openmetrics-text;version=1.0.0 ; Q=0.000", False),
        ("text/plain;q=0.3, application/openmetrics-text;q=0.4", True),
        ("text/plain, application/openmetrics-text", True),
        ("text/plain;q=0.5, application/openmetrics-text;q=nonsense", True),
    ],
)
def test_weights_come_first(accept: str, openmetrics: bool) -> None:
    """RFC 9110: what weighs more is preferred, and 0 means no; among equals OpenMetrics is."""
    assert choose_exposition(accept).openmetrics is openmetrics


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=x", "text/plain;version=1.x, */*"])
def test_a_version_that_is_none_gets_the_plain_format(accept: str) -> None:
    """Where prometheus_client ends in an exception, a client is still answered."""
    assert choose_exposition(accept) == choose_exposition("")


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("br, gzip", True), ("gzip;q=0", False), ("identity", False), ("", False)],
)
def test_gzip_is_used_where_the_client_takes_it(accept_encoding: str, accepted: bool) -> None:
    """RFC 9110: a weight of 0 means no."""
    assert gzip_accepted(accept_encoding) is accepted


def test_collected_families_are_written_as_prometheus_client_writes_them() -> None:
    """Our renderer is fifteen times faster, and says the same: the generic encoder is the witness."""
    registry = CollectorRegistry()
    Gauge("a_gauge", 'A "gauge"\\ with\nlines.', ["x"], registry=registry).labels('v"\\\n').set(2.5)
    Counter("a_counter", "A counter.", ["x"], registry=registry).labels("1").inc(3)
    Histogram("a_histogram", "A histogram.", registry=registry, buckets=(0.1, 1)).observe(0.05)
    for openmetrics, read, generate in ((False, read_text, generate_latest), (True, read_openmetrics, generate_openmetrics)):
        ours = b"".join(render_collected(family, openmetrics=openmetrics) for family in registry.collect())
        ours += b"# EOF\n" if openmetrics else b""

        assert _seen(read(ours.decode())) == _seen(read(generate(registry).decode()))


def _seen(families: object) -> list[object]:
    return [
        (family.name, family.type, family.documentation, [each for each in family.samples if not each.name.endswith("_created")])
        for family in families
        if not family.name.endswith("_created")
    ]


def test_name_parameters_restrict_and_blank_ones_do_not() -> None:
    """``?name[]=`` without a value asks for everything, as in prometheus_client."""
    assert wanted_names(["a", "b", ""]) == {"a", "b"}
    assert wanted_names([""]) is None
    assert wanted_names([]) is None
