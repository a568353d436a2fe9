"""How a connection ended where others have left first, and where the capture lost what decided it."""

from __future__ import annotations

import pytest

from prober.diagnose.capture_facts import Ending
from tests.diagnose.packet_maker import ACK, CLIENT, FIN, RST, SERVER, SYN, Segment, handshake
from tests.diagnose.test_capture import SERVER_HELLO, facts, hello


@pytest.mark.parametrize(
    ("flags", "expected"), [(FIN | ACK, Ending.ABORTED_BY_CLIENT), (RST | ACK, Ending.RESET_BY_SERVER)], ids=["FIN", "RST"]
)
def test_a_reset_behind_the_clients_fin_answers_that(flags: int, expected: Ending) -> None:
    """A client that gave up, and a server that closes with the hello unread; who resets both sides has not left first."""
    *before, rst = handshake(hello(), "rst")
    clients = Segment(CLIENT, SERVER, flags, rst.acknowledgement, 5001)

    assert [expected] == [each.ending for each in facts([*before, clients, rst]).hellos]
    assert [Ending.RESET_BY_SERVER] == [each.ending for each in facts([*before, rst, clients]).hellos]


@pytest.mark.parametrize("end", ["rst", "fin", "none"])
@pytest.mark.parametrize("fast_open", [False, True], ids=["usual", "fast open"])
def test_an_answer_that_the_capture_lost_is_no_missing_one(end: str, fast_open: bool) -> None:
    """Sequence numbers tell that the server had sent bytes: neither was it silent nor did it end the connection before a byte."""
    whole = handshake(hello(), end, answer=SERVER_HELLO)
    goodbye = Segment(CLIENT, SERVER, FIN | ACK, 1001 + len(whole[3].payload), 5001 + len(SERVER_HELLO))
    if fast_open:
        whole[:4] = [whole[0]._replace(payload=whole[3].payload), whole[1]._replace(acknowledgement=whole[4].acknowledgement)]
    lossy = [each for each in whole if each.payload != SERVER_HELLO]
    later = [Segment("192.0.2.77", SERVER, SYN, number, source_port=50000 + number) for number in range(120)]

    assert [Ending.UNKNOWN] == [each.ending for each in facts([*lossy, goodbye, *later]).hellos]
    assert [Ending.ANSWERED] == [each.ending for each in facts([*whole, goodbye, *later]).hellos]
    if end != "none":
        assert [Ending.UNKNOWN] == [each.ending for each in facts(lossy).hellos]


def test_an_answer_whose_first_segment_was_lost_is_no_missing_one() -> None:
    """What comes behind it shows that there was one."""
    *before, first = handshake(hello(), "none", answer=SERVER_HELLO)
    second = first._replace(sequence=first.sequence + len(SERVER_HELLO), payload=b"\x17\x03\x03\0\x10" + bytes(16))
    later = [Segment("192.0.2.77", SERVER, SYN, number, source_port=50000 + number) for number in range(120)]

    assert [Ending.UNKNOWN] == [each.ending for each in facts([*before, second, *later]).hellos]
