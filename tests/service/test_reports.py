"""What travels between a worker and the service: everything that was seen, and little of it twice."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio
from trio.testing import memory_stream_pair

from prober.model import Address, Differential, Seconds, Sni, Target
from prober.service.frames import FrameStream
from prober.service.plan import watched
from prober.service.reports import AGAIN, ANEW, HOLDS, MOST_WAITING, Report, Reporter, again, anew
from prober.service.shares import Places
from prober.service.tallies import TallyBook, add
from prober.snapshot import StateKey, Statistics, Store
from prober.tls.facts import TranscriptEntry
from tests.outlets.fleet import NOW, certificate, differential, judged, reset, target

KEY = StateKey("edge", "203.0.113.10:443")


class Telling:
    """A store as a worker has it, and its reporter."""

    def __init__(self) -> None:
        self.target = target("edge", "203.0.113.10")
        self.store = Store()
        self.reporter = Reporter()

    def see(self, run: Differential) -> tuple[object, ...]:
        """Record one differential; the item that tells of it."""
        self.store.record(self.target, run, judged(self.target, run).judgement, NOW)
        state = self.store.state(KEY)
        assert state is not None
        self.reporter.judged(state, None, NOW)
        (item,) = Report.decode(Report(1, True, 0, self.reporter.take(), None).encode()).items
        return item


def moved(run: Differential, *, by: float) -> Differential:
    """The same, in another round: other moments, durations, sizes and canary."""
    return run._replace(
        handshakes=tuple(
            handshake._replace(
                started=handshake.started + by,
                server_name="probe-ffff.invalid" if handshake.sni is Sni.UNKNOWN else handshake.server_name,
                observation=handshake.observation._replace(
                    seconds=Seconds(None, by, by / 3, by * 2, 1e-6), bytes_received=handshake.observation.bytes_received * 2
                ),
            )
            for handshake in run.handshakes
        )
    )


def test_a_round_like_the_last_one_is_told_by_its_figures_and_comes_out_whole() -> None:
    """The first one travels as it is; what is made of the second one's figures equals it to the last bit."""
    telling = Telling()
    first = differential(telling.target, none=reset())
    kind, slot, _, pickled = telling.see(first)
    assert kind == ANEW
    assert anew(pickled) == first  # type: ignore[arg-type]
    second = moved(first, by=15.003)
    kind, again_slot, now, figures, transcripts = telling.see(second)
    assert (kind, again_slot, now) == (AGAIN, slot, NOW)
    assert again(first, figures, transcripts) == second  # type: ignore[arg-type]


def test_transcripts_travel_with_the_figures() -> None:
    """What fails goes on failing the same way, with another transcript each time."""
    telling = Telling()
    run = differential(telling.target, none=reset())
    telling.see(run)
    entry = TranscriptEntry(">", "ClientHello", 512, ("random 1f...",))
    none = run.handshakes[1]
    second = run._replace(
        handshakes=(
            run.handshakes[0],
            none._replace(observation=none.observation._replace(transcript=(entry,))),
            run.handshakes[2],
        )
    )
    kind, _, _, figures, transcripts = telling.see(second)
    assert kind == AGAIN
    assert again(run, figures, transcripts) == second  # type: ignore[arg-type]


@pytest.mark.parametrize("none", [reset(), certificate(()), certificate(version="TLSv1.2")])
def test_whatever_else_changes_is_told_anew(none: object) -> None:
    """An outcome, a chain, a version: the slot stays, the differential travels whole."""
    telling = Telling()
    _, slot, *_ = telling.see(differential(telling.target))
    other = differential(telling.target, none=none)  # type: ignore[arg-type]
    kind, same, _, pickled = telling.see(other)
    assert (kind, same) == (ANEW, slot)
    assert anew(pickled) == other  # type: ignore[arg-type]


def test_a_judgement_that_changes_by_itself_is_told_anew() -> None:
    """A certificate expires though the answer is the same."""
    telling = Telling()
    run = differential(telling.target)
    telling.see(run)
    late = judged(telling.target, run, now=NOW + 3650 * 86400).judgement
    telling.store.record(telling.target, run, late, NOW)
    state = telling.store.state(KEY)
    assert state is not None
    telling.reporter.judged(state, None, NOW)
    assert telling.reporter.take()[0][0] == ANEW


def test_after_a_change_of_the_question_or_an_absence_it_is_told_anew() -> None:
    """The other process may have dropped what came before."""
    telling = Telling()
    run = differential(telling.target)
    telling.see(run)
    telling.reporter.begin_anew({"other"})
    assert telling.see(run)[0] == AGAIN
    telling.reporter.begin_anew({"edge"})
    assert telling.see(run)[0] == ANEW
    telling.reporter.gone([KEY])
    assert telling.see(run)[0] == ANEW


def test_endpoints_that_come_and_go_take_no_more_slots_than_there_are_at_a_time() -> None:
    """A name whose addresses change all the time does not fill the other process's memory; no two endpoints share a slot."""
    telling = Telling()
    run = differential(telling.target)
    slots = set()
    for _ in range(5):
        slots.add(telling.see(run)[1])
        telling.reporter.gone([KEY])
    assert len(slots) == 1
    telling.see(run)
    other = telling.store.state(KEY)
    assert other is not None
    telling.reporter.judged(other._replace(key=StateKey("edge", "203.0.113.11:443")), None, NOW)
    assert telling.reporter.take()[0][1] not in slots


def test_a_reporter_that_nobody_hears_says_so() -> None:
    """Rounds wait then, rather than fill the memory."""
    reporter = Reporter()
    reporter.holds(("edge", "ingress.example.com:443"), frozenset({KEY}))
    assert reporter.items == [(HOLDS, ("edge", "ingress.example.com:443"), [tuple(KEY)])]
    assert not reporter.congested
    reporter.items *= MOST_WAITING
    assert reporter.congested


async def test_frames_come_out_as_they_went_in_however_they_are_cut() -> None:
    """Empty ones, large ones, many in one piece, one in many pieces; then an end."""
    ours, theirs = memory_stream_pair()
    frames = [b"", b"x", bytes(300_000), *(bytes([number]) * number for number in range(200))]
    receiver = FrameStream(theirs)

    async def send() -> None:
        sender = FrameStream(ours)
        for frame in frames:
            await sender.send(frame)
        await sender.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert [await receiver.receive() for _ in frames] == frames
        assert await receiver.receive() is None


async def test_half_a_frame_is_none() -> None:
    """A process that was killed while it sent has sent nothing."""
    ours, theirs = memory_stream_pair()
    await ours.send_all(b"\x10\0\0\0half")
    await ours.aclose()
    assert await FrameStream(theirs).receive() is None


def test_tallies_add_up_over_processes_and_restarts() -> None:
    """The sum of what two processes counted, each told in pieces; a process that begins anew begins at nothing."""
    whole, parts = Statistics(lambda: 0, NOW), [Statistics(lambda: 0, NOW) for _ in range(2)]
    total = Statistics(lambda: 0, NOW)
    books = [TallyBook(part) for part in parts]
    chance = random.Random(3)
    run = differential(target("edge", "203.0.113.10"), none=reset())
    for _ in range(50):
        which = chance.randrange(2)
        late, handshake = chance.expovariate(100), chance.choice(run.handshakes)
        for statistics in (whole, parts[which]):
            statistics.lateness.observe(late)
            statistics.count_handshake(handshake)
            statistics.skipped["late"] += 2
            statistics.local_errors["EMFILE"] = statistics.local_errors.get("EMFILE", 0) + 1
        if chance.random() < 0.3:
            add(total, books[which].since_last())
    for book in books:
        add(total, book.since_last())
        add(total, book.since_last())  # nothing more
    assert total.lateness.counts == whole.lateness.counts
    assert total.lateness.sum == pytest.approx(whole.lateness.sum)
    assert total.handshake_seconds.keys() == whole.handshake_seconds.keys()
    assert all(total.handshake_seconds[series].counts == of.counts for series, of in whole.handshake_seconds.items())
    assert (total.skipped, total.local_errors) == (whole.skipped, whole.local_errors)


FLEET = [Target(name=f"t{number}", addresses=(Address(f"10.0.{number // 250}.{number % 250}"),)) for number in range(1000)]


def test_every_worker_gets_its_part_and_no_key_moves() -> None:
    """A quarter each, give or take chance; the same after targets came and went."""
    places = Places(4)
    everything = watched(tuple(FLEET))
    places.adopt(everything)
    before = {key: places[key] for key in everything}
    shares = [sum(place == number for place in before.values()) for number in range(4)]
    assert all(190 <= share <= 310 for share in shares), shares
    fewer = watched(tuple(FLEET[::3]))
    places.adopt(fewer)
    assert all(places[key] == before[key] for key in fewer)
    again_all = Places(4)
    again_all.adopt(everything)
    assert all(again_all[key] == place for key, place in before.items())


def test_names_of_a_target_stay_together_and_know_its_addresses_elsewhere() -> None:
    """Two names may lead to one address; an address that is listed is probed by its own worker alone."""
    many = Target(
        name="many",
        addresses=(*(Address(f"name-{number}.example.com") for number in range(9)), *(Address(f"10.1.1.{n}") for n in range(40))),
    )
    places = Places(3)
    everything = watched((many, replace(FLEET[0], name="alone")))
    places.adopt(everything)
    resolving = {places["many", f"name-{number}.example.com:443"] for number in range(9)}
    assert len(resolving) == 1
    (names,) = resolving
    literals = {StateKey("many", f"10.1.1.{n}:443"): places["many", f"10.1.1.{n}:443"] for n in range(40)}
    assert set(literals.values()) == {0, 1, 2}
    for worker in range(3):
        elsewhere = {state for state, place in literals.items() if place != worker} if worker == names else set()
        assert places.elsewhere[worker] == elsewhere
