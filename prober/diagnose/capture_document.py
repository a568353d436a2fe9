"""What was counted in a capture, as a JSON object. Pure."""

from __future__ import annotations

from collections import Counter

from prober.diagnose.capture_facts import CapturedHello, CaptureFacts, Ending

__all__ = ["capture_object", "hello_kinds"]

_MOST = 1_000
"""Rows of a table; the counters before them hold everything."""


def capture_object(name: str, facts: CaptureFacts) -> dict[str, object]:
    """Counts by client and ending, by server name, and hellos that are alike together. Times are Unix seconds, delays seconds."""
    return {
        "name": name,
        "packets": facts.frames,
        "first": facts.first,
        "last": facts.last,
        "without_name": _by_client(facts.without_name),
        "with_name": _by_client(facts.with_name),
        "server_names": [
            {"server_name": server_name, "ending": ending.value, "count": count}
            for (server_name, ending), count in facts.names.most_common(_MOST)
        ],
        "hellos": [
            {
                "client": hello.client,
                "server": hello.server,
                "port": hello.server_port,
                "server_name": hello.server_name,
                "encrypted_client_hello": hello.encrypted,
                "versions": list(hello.versions),
                "alpn": list(hello.alpn),
                "ja4": hello.ja4,
                "ending": hello.ending.value,
                "tls_alert": hello.tls_alert,
                "rst_ttl_differs": hello.rst_ttl_differs,
                "rst_options_differ": hello.rst_options_differ,
                "via": hello.via,
                "count": count,
                "delay": None if hello.delay is None else round(hello.delay, 6),
            }
            for hello, count in hello_kinds(facts)[:_MOST]
        ],
        "not_tls": [
            {"client": client, "protocol": protocol, "count": count}
            for (client, protocol), count in facts.not_tls.most_common(_MOST)
        ],
        "sslv2": dict(facts.sslv2.most_common(_MOST)),
        "refused": dict(facts.refused.most_common(_MOST)),
        "unanswered_syn": dict(facts.unanswered_syn.most_common(_MOST)),
        "truncated_hellos": facts.truncated,
        "incomplete_hellos": facts.incomplete,
        "one_sided_connections": facts.one_sided,
        "tunnels": dict(facts.tunnels),
        "not_read": {
            **facts.unread,
            **{f"link type {link}": count for link, count in facts.unknown_link_types.items()},
            **({"fragments that are missing": facts.lost_fragments} if facts.lost_fragments else {}),
            **({"lost while watching": facts.dropped} if facts.dropped else {}),
        },
    }


def hello_kinds(facts: CaptureFacts) -> list[tuple[CapturedHello, int]]:
    """Hellos that differ in nothing but their time, source port and delay, counted; the first of each kind.

    Those without a name come first, then the most frequent ones.
    """
    first: dict[CapturedHello, CapturedHello] = {}
    counted: Counter[CapturedHello] = Counter()
    for hello in facts.hellos:
        kind = hello._replace(time=0.0, client_port=0, delay=None, copies=1)
        first.setdefault(kind, hello)
        counted[kind] += 1
    kinds = sorted(counted.items(), key=lambda row: (row[0].server_name is not None, -row[1]))
    return [(first[kind], count) for kind, count in kinds]


def _by_client(table: Counter[tuple[str, Ending]]) -> list[dict[str, object]]:
    return [{"client": client, "ending": ending.value, "count": count} for (client, ending), count in table.most_common(_MOST)]
