"""What collectors put around the entries of an access log: each of them, with the pod, and what only looks like it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.log_blocks import analyse_blocks
from prober.diagnose.log_lines import read_lines
from prober.diagnose.log_wrappings import behind_prefix, unwrapped
from prober.diagnose.logs import LogFacts
from tests.diagnose.log_samples import entry, strings

POD = "apigee-ingressgateway-edge-a-x7k2p"
ENTRY = entry(remote_address="10.0.0.7:1")
LINE = json.dumps(ENTRY)
STAMP = "2026-03-02T09:15:14.300118204Z"
ISTIO = '[2026-03-02T09:15:03.541Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 1 - "-" "-" "-" "-" "-" - - 10.64.2.9:8443 10.0.0.7:1 - -'
QUOTED = strings(remote_address="10.0.0.7:1", user_agent="UA").replace("UA", 'a "b" c')
WRAPPED = {
    "Stern": (f"{POD} apigee-ingressgateway {LINE}", POD),
    "Stern with times": (f"{POD} apigee-ingressgateway {STAMP} {LINE}", POD),
    "Stern of all namespaces": (f"apigee {POD} apigee-ingressgateway {LINE}", POD),
    "Stern in colours": (f"\x1b[35m{POD}\x1b[0m \x1b[36mapigee-ingressgateway\x1b[0m {LINE}", POD),
    "Stern of Istio's text": (f"{POD} istio-proxy {ISTIO}", POD),
    "Stern of strings with quotes in them": (f"{POD} proxy {QUOTED}", POD),
    "Stern's JSON": (json.dumps({"message": LINE + "\n", "namespace": "apigee", "podName": POD, "containerName": "x"}), POD),
    "Fluent Bit": (json.dumps({"log": LINE, "kubernetes": {"pod_name": POD}}), POD),
    "Loki": (json.dumps({"stream": {"pod": POD}, "line": LINE}), POD),
    "Elasticsearch": (json.dumps({"_source": {"message": LINE, "kubernetes": {"pod": {"name": POD}}}}), POD),
    "Elasticsearch with fields": (json.dumps({"_index": "a", "_source": ENTRY}), None),
    "Splunk": (json.dumps({"preview": False, "result": {"_raw": LINE}}), None),
    "Cloud Logging with a message": (json.dumps({"jsonPayload": {"message": LINE}, "resource": {"labels": {"pod_name": POD}}}), POD),
    "the journal": (f"Mar 02 09:15:04 node-1 containerd[123]: {LINE}", None),
    "syslog": (f"<14>1 {STAMP} node-1 envoy 12 - - {LINE}", None),
}  # fmt: skip


@pytest.mark.parametrize(("line", "pod"), WRAPPED.values(), ids=WRAPPED)
def test_the_entry_is_read_and_its_pod(line: str, pod: str | None) -> None:
    """Line by line and in blocks, between other lines."""
    lines = ["an agent's message", line, line, f'{POD} proxy {{"level":"info"}}']

    read = [each for each in read_lines(lines) if each.entry is not None]

    assert [("10.0.0.7", "filter_chain_not_found", pod)] * 2 == [
        (each.entry.remote_ip, each.entry.details, each.pod) for each in read if each.entry is not None
    ]
    facts = analyse_blocks(["\n".join(lines)], LogFacts())
    assert (4, 2, ["10.0.0.7"]) == (facts.lines, facts.entries, [*facts.rejected_without_sni])


def test_all_hits_of_one_answer_are_read() -> None:
    """Elasticsearch's search answers with one object."""
    answer = json.dumps({"took": 1, "hits": {"total": 2, "hits": [{"_source": ENTRY}, {"_source": {"message": LINE}}]}})

    assert 2 == sum(each.entry is not None for each in read_lines([answer]))


@pytest.mark.parametrize(
    "line",
    [
        'reading "status_details" failed',
        f'{POD} proxy {{"status_details": ',
        json.dumps({"message": "sni_host {"}),
        '{"message": ' * 10 + LINE + "}" * 10,
    ],
)
def test_what_only_speaks_of_an_entry_is_none_and_takes_no_other_line_with_it(line: str) -> None:
    """The next line is read as it would be without it."""
    assert [None, "10.0.0.7"] == [each.entry and each.entry.remote_ip for each in read_lines([line, LINE])]


def test_keys_in_another_spelling_are_the_same_keys() -> None:
    """Whoever writes a format of their own uses Envoy's words."""
    own = {
        "startTime": "2026-03-02T09:15:03.541Z", "responseCodeDetails": "filter_chain_not_found", "responseFlags": "NR", "responseCode": "0",
        "requestedServerName": "-", "downstreamRemoteAddress": "10.0.0.7:1", "user-agent": "-",
    }  # fmt: skip
    [read] = [each.entry for each in read_lines([json.dumps(own)])]

    assert read is not None
    assert ("10.0.0.7", None, 0, "NR") == (read.remote_ip, read.sni, read.status, read.flags)


@given(st.text(alphabet='{}[]:,"\\\n =status_details sni_host messagelog', max_size=200))
def test_arbitrary_text_raises_nothing(text: str) -> None:
    """Behind a prefix, in an object, or both."""
    behind_prefix(text)
    list(unwrapped({"message": text, "log": {"line": text}}))
    list(read_lines([f"a b {text}", json.dumps({"message": text})]))


def test_objects_in_objects_end() -> None:
    """A thousand of them, as no collector writes them, take no time and no stack."""
    started = time.perf_counter()
    for nested in ('{"message": ' * 900 + "1" + "}" * 900, '{"hits": [' * 400 + "1" + "]}" * 400):
        assert [None] == [each.entry for each in read_lines([nested])]
        assert (None, None) == behind_prefix(f"sni_host {nested}")
    assert time.perf_counter() - started < 5
