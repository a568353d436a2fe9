"""Dates of chains, and what is remembered about a chain from one look to the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from prober.judge.chains import assess, judge_chain
from prober.judge.problems import ProblemCode
from prober.judge.trust import NO_TRUST, TrustStore
from tests.judge import witness
from tests.judge.chains import API, codes, plain
from tests.pki import EXPIRED_AT, NOT_YET_VALID_FROM, NOW, Authority


def test_dates_are_looked_at_in_every_call() -> None:
    """A chain that is remembered still expires, to the second, and a clock that goes back is believed, too."""
    root = Authority.root()
    chain, anchors = root.issue(API, not_after=EXPIRED_AT).ders, [root.der]
    for _ in range(2):
        assert codes(chain, anchors, API, now=EXPIRED_AT) == []
        assert codes(chain, anchors, API, now=EXPIRED_AT + timedelta(seconds=1)) == ["expired"]
        assert codes(chain, anchors, API, now=EXPIRED_AT - timedelta(days=1)) == []


@given(
    leaf=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    middle=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    times=st.lists(st.integers(-1, 9), min_size=1, max_size=8),
)
def test_what_is_remembered_about_dates_is_what_a_fresh_look_says(
    leaf: tuple[int, int], middle: tuple[int, int], times: list[int]
) -> None:
    """The answer at any time, in any order of asking, is a plain comparison with the four dates."""

    def year(offset: int) -> datetime:
        return datetime(2030 + offset, 1, 1, tzinfo=UTC)

    def made(window: tuple[int, int]) -> dict[str, datetime]:
        return {"not_before": year(min(window)), "not_after": year(max(window))}

    root = _ROOT
    authority = root.intermediate(**made(middle))
    chain = authority.issue(API, **made(leaf)).ders
    for offset in times:
        now = year(offset)
        wanted = ["expired"] * (now > year(max(leaf))) + ["not_yet_valid"] * (now < year(min(leaf)))
        wanted += ["intermediate_expired"] * (now > year(max(middle))) + ["intermediate_not_yet_valid"] * (
            now < year(min(middle))
        )
        assert codes(chain, [root.der], API, now=now) == wanted


_ROOT = Authority.root("Root of the property")


def test_the_same_chain_under_another_trust_store_is_judged_anew() -> None:
    """What is remembered belongs to a chain and a trust store."""
    chain, anchors = plain()
    assert codes(chain, anchors) == []
    assert [problem.code for problem in judge_chain(chain, (), NO_TRUST, NOW)] == [ProblemCode.UNKNOWN_AUTHORITY]
    assert codes(chain, anchors) == []


def test_an_unchanged_chain_is_assessed_once() -> None:
    """Equal bytes, not the same objects: each handshake brings its own."""
    chain, anchors = plain()
    trust = TrustStore(witness.pem(anchors))
    copies = tuple(bytes(bytearray(der)) for der in chain)
    assert copies[0] is not chain[0]
    assert assess(copies, trust) is assess(chain, trust)


def test_dates_of_the_year_9999_are_dates() -> None:
    """What RFC 5280 §4.1.2.5 gives to certificates that never expire."""
    root = Authority.root()
    chain = root.issue(API, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)).ders
    assert codes(chain, [root.der], API) == []
    assert codes(chain, [root.der], API, now=NOT_YET_VALID_FROM) == []
