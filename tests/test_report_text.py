"""The text from templates says what the text of the objects says, value for value and in the same order."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from prober.judge.verdicts import judge
from prober.model import Differential, NonSniPolicy, Observation, Outcome, Seconds
from prober.report import result_object
from prober.report_text import result_text
from tests.judge.differentials import CERTIFICATES, TRUST, differential
from tests.pki import NOW

words = st.sampled_from([*CERTIFICATES, "reset", "reset late", "closed", "timeout", "not_tls", "protocol_error", "alert 112"])
seconds = st.none() | st.floats(0.0, 1e6)
# Among them what the holes of a template look like, and what JSON escapes.
texts = st.sampled_from(["\0name", '"\0bytes"', "\\u0000seconds", "ünïcödé ☃", "{}%s"]) | st.text(max_size=20)


def both(case: Differential) -> tuple[object, object]:
    """Read back, objects as lists of pairs, so that the order counts, and figures as they are written in JSON."""
    judgement = judge(case, NonSniPolicy.CERTIFICATE, TRUST, NOW)
    texts = result_text(case, judgement), json.dumps(result_object(case, judgement))
    said, expected = (json.loads(text, object_pairs_hook=list) for text in texts)
    return said, expected


@given(
    known=st.none() | words,
    none=st.none() | words,
    unknown=st.none() | words,
    detail=st.none() | texts,
    name=texts,
    figures=st.tuples(seconds, seconds, seconds, st.floats(0.0, 1e6)),
    size=st.integers(0, 1 << 20),
)
def test_any_result_reads_as_its_object_does(
    known: str | None,
    none: str | None,
    unknown: str | None,
    detail: str | None,
    name: str,
    figures: tuple[float | None, float | None, float | None, float],
    size: int,
) -> None:
    """Whatever stands in the holes, and also where a peer's text looks like one."""
    case = differential(known, none, unknown)
    handshakes = tuple(
        handshake._replace(
            server_name=None if handshake.server_name is None else name,
            observation=handshake.observation._replace(detail=detail, seconds=Seconds(*figures), bytes_received=size),
        )
        for handshake in case.handshakes
    )
    text, expected = both(case._replace(target=name, handshakes=handshakes))
    assert text == expected


def test_answers_that_differ_in_one_field_are_not_mixed_up() -> None:
    """A template that was made for one answer serves no other."""
    case = differential("certificate", "reset", "reset")
    seen = set()
    known, none, unknown = case.handshakes
    variants: list[Observation] = [
        none.observation,
        none.observation._replace(outcome=Outcome.CLOSED),
        none.observation._replace(errno="EPIPE"),
        none.observation._replace(detail="something"),
        none.observation._replace(facts=none.observation.facts._replace(alpn="h2")),
        none.observation._replace(facts=none.observation.facts._replace(certificates=known.observation.facts.certificates)),
    ]
    for variant in variants:
        for handshake in (none._replace(observation=variant), none._replace(observation=variant, ja4="t12d")):
            text, expected = both(case._replace(handshakes=(known, handshake, unknown)))
            assert text == expected
            seen.add(json.dumps(text))
    assert len(seen) >= 2 * len(variants) - 2
