"""TCP flows of a capture, followed as far as the ClientHello and the server's first answer need it. Pure.

What a capture of ``-i any`` holds is the same segment several times, in any order, before and after address translation, cut by
the snaplen, beginning in the middle: a flow accepts all of that. Sequence numbers are compared modulo 2^32 (RFC 9293 §3.4).
"""

from __future__ import annotations

from prober.diagnose.first_bytes import first_message, past_connect, past_connect_answer, past_proxy_header
from prober.diagnose.packets import ACK, FIN, RST, SYN, TcpSegment
from prober.diagnose.tunnels import Tunnel
from prober.tls.registry import AlertDescription, ContentType, HandshakeType

__all__ = ["CLIENT_BYTES", "Flow", "Stream", "turned"]

CLIENT_BYTES = 20_000
"""Of the client's bytes: Envoy's limit for a ClientHello is 16 KiB, and a record has a header."""
SERVER_BYTES = 2_048
"""Of the server's bytes: a ServerHello, and the beginning of what follows it in the clear; a certificate need only begin."""
_TELLING = 64
"""Of a client's bytes that are no TLS: enough to guess their protocol."""
_REORDERED = 4_096
"""Of bytes that are no beginning of a hello, where no SYN was seen: as much of a hello may have come before what it begins with."""

# Of an answer: a TLS alert, its record's header and two bytes. What is less may be a FIN, or somebody who counts otherwise.
_SHORTEST = 7
# Answers of one host may differ by a hop where paths differ; a middlebox in between differs by more, or by its start value.
_TTL_TOLERANCE = 1


def turned(key: bytes) -> bytes:
    """A flow's key, seen from the other side."""
    size = (len(key) - 4) // 2
    return key[size : 2 * size] + key[:size] + key[-2:] + key[-4:-2]


class Stream:
    """One direction: contiguous bytes from the first sequence number on, with a few segments that came too early."""

    __slots__ = ("_base", "_early", "_limit", "begun", "data", "finished", "truncated")

    def __init__(self, limit: int) -> None:
        self._base: int | None = None
        self._early: dict[int, bytes] = {}
        self._limit = limit
        self.begun = False
        """Its beginning is known by a SYN; else it is that of the earliest segment that was seen, and may be found to be earlier."""
        self.data = b""
        self.finished = False
        """No more bytes are wanted."""
        self.truncated = False
        """The snaplen cut bytes off that were wanted."""

    def begin(self, sequence: int) -> None:
        """Where the stream begins: the sequence number behind the SYN."""
        if self._base is None:
            self._base = sequence & 0xFFFFFFFF
            self.begun = True

    @property
    def start(self) -> int:
        """The sequence number of the first byte; 0 before anything was seen."""
        return self._base or 0

    @property
    def end(self) -> int | None:
        """The sequence number behind the last contiguous byte; None before anything was seen."""
        return None if self._base is None else (self._base + len(self.data)) & 0xFFFFFFFF

    def add(self, sequence: int, payload: bytes, wire_length: int) -> bool:
        """Take in a segment's payload; whether the contiguous bytes grew."""
        if self.finished or not wire_length or len(self._early) > 64:
            return False
        if self._base is None:
            self._base = sequence
        if len(payload) < wire_length:
            self.truncated = True
        offset = (sequence - self._base) & 0xFFFFFFFF
        if offset >= 0x80000000:
            # Before what was taken for the beginning, since the capture began there: reordered or retransmitted bytes.
            overlap = 0x100000000 - offset
            if self.begun or overlap > self._limit:
                payload, overlap = payload[overlap:], 0
            if not payload:
                return False
            if overlap:
                self._early = {overlap: self.data} | {old + overlap: data for old, data in self._early.items()}
                self._base, self.data = sequence, b""
            offset = 0
        if offset > self._limit:
            return False
        if offset not in self._early or len(self._early[offset]) < len(payload):
            self._early[offset] = payload
        return self._advance()

    def _advance(self) -> bool:
        before = len(self.data)
        moved = True
        while moved:
            moved = False
            for offset in sorted(self._early):
                if offset > len(self.data):
                    break
                payload = self._early.pop(offset)
                if offset + len(payload) > len(self.data):
                    self.data += payload[len(self.data) - offset :]
                    moved = True
        if len(self.data) >= self._limit:
            self.data = self.data[: self._limit]
            self.finished = True
        return len(self.data) > before


class Flow:
    """One connection, from one vantage point."""

    __slots__ = (
        "client",
        "client_ended_first",
        "client_fin",
        "client_rst",
        "client_seen",
        "first_answer_time",
        "gap",
        "hello_acknowledged",
        "hello_time",
        "key",
        "last_time",
        "rst_behind_fin",
        "rst_time",
        "rst_timestamps",
        "rst_ttl",
        "server",
        "server_fin",
        "server_next",
        "server_rst",
        "server_timestamps",
        "server_ttls",
        "start_time",
        "syn",
        "syn_acknowledged",
        "syn_refused",
        "to_client",
        "to_server",
        "via",
    )

    def __init__(self, key: bytes, time: float) -> None:
        """``key``: that of the client's segments (`TcpSegment.flow`)."""
        size = (len(key) - 4) // 2
        self.key = key
        self.client = (key[:size], int.from_bytes(key[-4:-2]))
        self.server = (key[size : 2 * size], int.from_bytes(key[-2:]))
        self.via: Tunnel | None = None
        self.start_time = time
        self.last_time = time
        self.to_server = Stream(CLIENT_BYTES)
        self.to_client = Stream(SERVER_BYTES)
        self.syn = False
        self.syn_acknowledged = False
        self.syn_refused = False
        self.hello_time: float | None = None
        """When the last new byte of the client's first flight was seen."""
        self.hello_acknowledged = False
        self.first_answer_time: float | None = None
        self.client_fin = self.client_rst = self.server_fin = self.server_rst = False
        self.client_seen = False
        """Whether any segment of the client's was captured; of the server, `server_ttls` says as much."""
        self.client_ended_first = False
        """The client's FIN or RST was seen before the server's FIN: who was first ended the connection, the other one answered."""
        self.server_next: int | None = None
        """The sequence number of the server's first byte behind the client's latest: what the client had acknowledged with it."""
        self.gap = False
        """The server sent bytes behind that which the capture lacks: who acknowledges or ends shows it by the numbers."""
        self.rst_behind_fin = False
        """The server's RST came behind the client's FIN: it answers that somebody has left, with his bytes unread."""
        self.rst_time: float | None = None
        self.rst_ttl: int | None = None
        self.rst_timestamps = False
        self.server_ttls: tuple[int, int] | None = None
        """Lowest and highest TTL of the server's segments other than RST."""
        self.server_timestamps = False

    @property
    def settled(self) -> bool:
        """Whether no segment but a new SYN can change what is known."""
        return self.to_client.finished and self.to_server.finished

    def add(self, segment: TcpSegment, time: float) -> None:
        """Take in a segment of this flow, in either direction."""
        self.last_time = max(self.last_time, time)
        self.via = self.via or segment.via
        if segment.flow == self.key:
            self._from_client(segment, time)
        else:
            self._from_server(segment, time)

    def _from_client(self, segment: TcpSegment, time: float) -> None:
        flags, sequence = segment.flags, segment.sequence
        self.client_seen = True
        if flags & SYN:
            # With TCP Fast Open (RFC 7413) the hello comes with it.
            sequence = segment.sequence + 1 & 0xFFFFFFFF
            self.syn = True
            self.to_server.begin(sequence)
        if self.to_server.add(sequence, segment.payload, segment.payload_length):
            if self.first_answer_time is None:
                self.hello_time = time
            if flags & ACK:
                self.server_next = segment.acknowledgement
            self._look_at_client()
        elif flags & ACK:
            self._reaches(segment.acknowledgement)
        if flags & (RST | FIN):
            self.client_rst = self.client_rst or bool(flags & RST)
            self.client_fin = self.client_fin or bool(flags & FIN)
            self.client_ended_first = self.client_ended_first or not self.server_fin

    def _from_server(self, segment: TcpSegment, time: float) -> None:
        flags = segment.flags
        end = self.to_server.end
        if flags & ACK and end is not None and self.to_server.data and (segment.acknowledgement - end) & 0xFFFFFFFF < 0x80000000:
            self.hello_acknowledged = True
        if flags & RST:
            if not self.server_rst:
                self.server_rst = True
                self.rst_behind_fin = self.client_fin
                self._reaches(segment.sequence)
                self.rst_time, self.rst_ttl, self.rst_timestamps = time, segment.ttl, segment.timestamps
                # A capture that lost packets may hold a SYN and a much later RST: only the RST that answers the SYN itself
                # (it acknowledges nothing but the SYN, RFC 9293 §3.10.7.1) refuses the connection.
                self.syn_refused = self.syn and not self.syn_acknowledged and segment.acknowledgement == end
            return
        low, high = self.server_ttls or (segment.ttl, segment.ttl)
        self.server_ttls = (min(low, segment.ttl), max(high, segment.ttl))
        self.server_timestamps = self.server_timestamps or segment.timestamps
        if flags & SYN:
            self.syn_acknowledged = True
            self.to_client.begin(segment.sequence + 1)
            self.to_server.begin(segment.acknowledgement)
            if self.server_next is None:  # with TCP Fast Open the hello acknowledged nothing
                self.server_next = segment.sequence + 1 & 0xFFFFFFFF
            return
        if segment.payload_length and self.first_answer_time is None:
            self.first_answer_time = time
            self._look_at_client()
        self.to_client.add(segment.sequence, segment.payload, segment.payload_length)
        if flags & FIN:
            self.server_fin = True
            self._reaches(segment.sequence + segment.payload_length)

    def _reaches(self, sequence: int) -> None:
        """The server has sent what is before ``sequence``."""
        if self.server_next is not None and _SHORTEST <= (sequence - self.server_next) & 0xFFFFFFFF < 0x80000000:
            self.gap = self.gap or not self.to_client.data

    def _look_at_client(self) -> None:
        """Want no more of the client's bytes once they hold its hello, or enough to see that they are something else."""
        data = past_proxy_header(self.to_server.data)
        data = data and past_connect(data)
        if not data:
            return
        if data[0] == ContentType.handshake:
            said = first_message(data) is not None
        else:
            # Where the server has answered, no part of a hello is still to come.
            sure = self.to_server.begun or self.first_answer_time is not None
            said = len(data) >= (_TELLING if sure else _REORDERED)
        self.to_server.finished = self.to_server.finished or said

    def answer(self) -> tuple[str, tuple[int, int] | None]:
        """What the server's bytes are: ``none``, ``tls_alert`` with (level, description), ``certificate``, ``server_hello`` or ``other``.

        Records are read in order; from the first encrypted one on nothing can be told, and nothing is claimed.
        """
        data = self.to_client.data
        if data and self.to_server.data.startswith(b"CONNECT "):
            behind = past_connect_answer(data)
            if behind is None:
                return "other", None
            data = behind
        if not data:
            return "none", None
        found, offset = "other", 0
        while offset + 5 <= len(data):
            kind, length = data[offset], data[offset + 3] << 8 | data[offset + 4]
            body = data[offset + 5 : offset + 5 + length]
            if kind == ContentType.alert and len(body) == 2 and body[0] in {1, 2}:
                if body[0] == 2 or body[1] == AlertDescription.close_notify:
                    return "tls_alert", (body[0], body[1])
            elif kind == ContentType.handshake and body:
                found = "certificate" if _has_certificate(body) else "server_hello" if found == "other" else found
                if found == "certificate":
                    return found, None
            elif kind not in {ContentType.change_cipher_spec, ContentType.alert}:
                break
            offset += 5 + length
        return found, None

    @property
    def one_sided(self) -> bool:
        """Whether bytes of one side were captured, which are sent to nobody who does not answer, and nothing of the other side."""
        if self.to_server.data:
            return self.server_ttls is None and not self.server_rst
        return not self.client_seen and (bool(self.to_client.data) or self.server_rst)

    @property
    def rst_ttl_differs(self) -> bool:
        """Whether the server's RST has another TTL than its other packets: something in between sent it."""
        if self.rst_ttl is None or self.server_ttls is None:
            return False
        low, high = self.server_ttls
        return not low - _TTL_TOLERANCE <= self.rst_ttl <= high + _TTL_TOLERANCE

    @property
    def rst_options_differ(self) -> bool:
        """Whether the server's RST has no TCP timestamps, and its other packets have them."""
        # A kernel that resets a connection that stands sends the timestamps along (RFC 7323 §3.2); behind a FIN it may have forgotten them.
        return self.server_rst and self.server_timestamps and not self.rst_timestamps and not self.server_fin


def _has_certificate(record: bytes) -> bool:
    """Whether a Certificate message begins in a plain handshake record (TLS 1.2 and below)."""
    offset = 0
    while offset + 4 <= len(record):
        if record[offset] == HandshakeType.certificate:
            return True
        if record[offset] not in {HandshakeType.server_hello, HandshakeType.certificate_status}:
            return False
        offset += 4 + int.from_bytes(record[offset + 1 : offset + 4])
    return False
