"""Every target has one shard, and only one that is new takes targets from others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.sharding import MOST_SHARDS, WHOLE, Shard, owner, parse_shard

KEYS = [f"target-{number}" for number in range(5000)]


@given(st.text(), st.integers(1, 40))
def test_every_key_belongs_to_exactly_one_shard(key: str, shards: int) -> None:
    """None is watched twice, none by nobody."""
    assert [number for number in range(shards) if Shard(number, shards).owns(key)] == [owner(key, shards)]


@given(st.text(), st.integers(1, 40))
def test_a_key_moves_to_the_new_shard_or_not_at_all(key: str, shards: int) -> None:
    """From M to M + 1 shards; and so back again, when the last one is taken away."""
    assert owner(key, shards + 1) in {owner(key, shards), shards}


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 16])
def test_a_new_shard_takes_its_share_from_all_others(shards: int) -> None:
    """The moved keys are exactly those of the new shard, a part of 1 in M + 1, as evenly from each of the others as chance allows."""
    before = {key: owner(key, shards) for key in KEYS}
    after = {key: owner(key, shards + 1) for key in KEYS}

    moved = {key for key in KEYS if before[key] != after[key]}

    assert moved == {key for key in KEYS if after[key] == shards}
    assert chi_squared([len(moved), len(KEYS) - len(moved)], [1 / (shards + 1), shards / (shards + 1)]) < limit(1)
    left = Counter(before[key] for key in moved)
    assert chi_squared([left[number] for number in range(shards)], [1 / shards] * shards) < limit(max(1, shards - 1))


@pytest.mark.parametrize("shards", [2, 3, 10, 50])
def test_shards_are_of_one_size(shards: int) -> None:
    """As far as chance allows: names that count up are no harder than others."""
    sizes = Counter(owner(key, shards) for key in KEYS)

    assert chi_squared([sizes[number] for number in range(shards)], [1 / shards] * shards) < limit(shards - 1)


def chi_squared(seen: list[int], parts: list[float]) -> float:
    whole = sum(seen)
    return sum((count - whole * part) ** 2 / (whole * part) for count, part in zip(seen, parts, strict=True))


def limit(freedom: int) -> float:
    """What chance exceeds once in a million (Wilson and Hilferty's approximation)."""
    return freedom * (1 - 2 / (9 * freedom) + NormalDist().inv_cdf(1 - 1e-6) * (2 / (9 * freedom)) ** 0.5) ** 3


def test_every_process_on_every_machine_gives_the_same_answer() -> None:
    """Whatever Python's own hashes are there. The numbers are written down: a change of them would move every target once."""
    ask = "import json; from prober.sharding import owner; print(json.dumps([owner(f'target-{n}', 5) for n in range(64)]))"
    here = [owner(key, 5) for key in KEYS[:64]]
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", ask], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60
        )
        assert json.loads(done.stdout) == here
    assert [owner(name, 3) for name in ("apigee-prod", "apigee-test", "edge", "café", "")] == RECORDED


RECORDED = [2, 1, 1, 0, 2]


def test_one_shard_is_everything() -> None:
    """What a prober is that was not told otherwise."""
    assert all(WHOLE.owns(key) for key in KEYS[:100])
    assert str(Shard(2, 3)) == "2/3"


@pytest.mark.parametrize(
    ("text", "pod", "shard"),
    [
        ("0/3", "anything", Shard(0, 3)),
        ("2/3", "prober-7", Shard(2, 3)),
        ("0/1", "", WHOLE),
        ("auto/3", "prober-2", Shard(2, 3)),
        ("auto/12", "my-prober-eu-11", Shard(11, 12)),
        (f"{MOST_SHARDS - 1}/{MOST_SHARDS}", "", Shard(MOST_SHARDS - 1, MOST_SHARDS)),
    ],
)
def test_a_shard_is_named_by_number_or_taken_from_the_pod(text: str, pod: str, shard: Shard) -> None:
    """From 0, as a StatefulSet counts."""
    assert parse_shard(text, pod) == shard


@pytest.mark.parametrize(
    ("text", "pod", "complaint"),
    [
        ("3/3", "", "there is no shard 3/3: they are counted from 0, so there is from 0/3 to 2/3"),
        ("1/1", "", "there is no shard 1/1: they are counted from 0, so there is 0/1 alone"),
        ("0/0", "", "splits the targets into 0 shards; write a number from 1 to 1000"),
        ("0/1001", "", "splits the targets into 1001 shards; write a number from 1 to 1000"),
        ("auto", "prober-0", "is no shard; write N/M with N from 0, for example 0/3, or auto/3 in a StatefulSet of 3 replicas"),
        ("1", "", "is no shard; write N/M"),
        ("-1/3", "", "write a number from 0 to 2 before the slash, or auto"),
        ("x/3", "", "write a number from 0 to 2 before the slash, or auto"),
        ("0/3/4", "", "is no shard; write N/M"),
        ("²/3", "", "write a number from 0 to 2 before the slash, or auto"),
        ("auto/3", "laptop", "and this is 'laptop'; write the shard's number, for example 0/3, or set POD_NAME"),
        (
            "auto/3",
            "prober-3",
            "this is prober-3, and auto/3 has no shard 3: write the number of replicas behind the slash, auto/4",
        ),
    ],
)
def test_what_is_no_shard_is_refused_with_the_way_out(text: str, pod: str, complaint: str) -> None:
    """Most of all what a person who counts from 1 writes."""
    with pytest.raises(ValueError, match=r"; |: ") as caught:
        parse_shard(text, pod)

    assert complaint in str(caught.value)
