"""What was counted in access logs, as a JSON object. Pure."""

from __future__ import annotations

from prober.diagnose.logs import LogFacts, Tally, kind_of

__all__ = ["log_object"]

_MOST = 1_000
"""Rows of a table; the counters before them hold everything."""


def log_object(facts: LogFacts) -> dict[str, object]:
    """Counts by source address, by server name, by status_details and flags. Rates are lines a minute; times as the log has them."""
    return {
        "lines": facts.lines,
        "entries": facts.entries,
        "damaged": facts.damaged_count,
        "damaged_lines": list(facts.damaged),
        "first": facts.span.first or None,
        "last": facts.span.last or None,
        "dialects": dict(facts.dialects),
        "pods": dict(facts.pods),
        "signatures": [
            {"status_details": details, "flags": flags, "count": count}
            for (details, flags), count in facts.signatures.most_common(_MOST)
        ],
        "rejected_without_sni": [
            {"source": source, **_source(source, tally), **_tally(tally)} for source, tally in _rows(facts.rejected_without_sni)
        ],
        "rejected_by_name": [
            {"server_name": name, **_tally(tally), "sources": dict(facts.sources_by_name[name].most_common(10)) if name in facts.sources_by_name else {}}
            for name, tally in _rows(facts.rejected_by_name)
        ],
        "served_without_sni": [
            {"source": source, **_source(source, tally), **_tally(tally)} for source, tally in _rows(facts.served_without_sni)
        ],
        "route_not_found_without_sni": [{"host": host, **_tally(tally)} for host, tally in _rows(facts.unlinked)],
        "canaries": [{"server_name": name, **_tally(tally)} for name, tally in _rows(facts.canaries)],
    }  # fmt: skip


def _rows(table: dict[str, Tally]) -> list[tuple[str, Tally]]:
    return sorted(table.items(), key=lambda row: -row[1].count)[:_MOST]


def _source(source: str, tally: Tally) -> dict[str, object]:
    kind, known = kind_of(source, tally)
    return {"kind": kind.value, "range": None if known is None else known.name}


def _tally(tally: Tally) -> dict[str, object]:
    rate = tally.per_minute
    return {
        "count": tally.count,
        "first": tally.first or None,
        "last": tally.last or None,
        "per_minute": None if rate is None else round(rate, 3),
    }
