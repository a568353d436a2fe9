"""What a packet capture says about ClientHellos: who sent one without a name, how each flow ended, and who ended it. Pure.

One ClientHello is one client's handshake, however often it was captured: its 32 random bytes tell it from every other, so that the
copies of ``-i any``, of both sides of an address translation, and retransmissions count once.

Memory is bounded: `MAX_LIVE` flows are followed at a time (the one that was silent longest is closed first) and `MAX_HELLOS`
hellos are kept one by one, the rest is only counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from prober.diagnose.capture_files import Frame
from prober.diagnose.packets import LINK_TYPES, RST, SYN, TcpSegment, address_text, decode
from prober.diagnose.tcp_flows import Flow
from prober.tls.client_hello_parser import ClientHello, parse_client_hello
from prober.tls.errors import ProtocolError
from prober.tls.fingerprint import ja4
from prober.tls.registry import AlertDescription, ContentType, HandshakeType

__all__ = ["MAX_HELLOS", "MAX_LIVE", "CaptureFacts", "CapturedHello", "Ending", "Follower"]

MAX_LIVE = 10_000
MAX_HELLOS = 50_000
# A flow without a segment for this long has ended for our purposes; Envoy itself waits 15 s for a ClientHello.
_IDLE_SECONDS = 120.0
# Behind a decisive segment its copies and retransmissions may follow.
_SETTLE_SECONDS = 0.5
# An unanswered hello counts as such only when the capture went on for this long behind it.
_PATIENCE_SECONDS = 1.0
# Answers of one host may differ by a hop where paths differ; a middlebox in between differs by more, or by its start value.
_TTL_TOLERANCE = 1


class Ending(StrEnum):
    """How a flow with a ClientHello ended, seen from the client."""

    ANSWERED = "answered"
    """ServerHello; in TLS 1.3 the certificate behind it is encrypted."""
    CERTIFICATE = "certificate"
    TLS_ALERT = "tls_alert"
    RESET_BY_SERVER = "reset_by_server"
    """RST without a byte, after the hello was acknowledged: the server had it and did not want it."""
    RESET_BEFORE_ACK = "reset_before_ack"
    """RST that came before the server's kernel acknowledged the hello: a middlebox, or a server that was closing already."""
    CLOSED_BY_SERVER = "closed_by_server"
    """FIN without a byte."""
    ABORTED_BY_CLIENT = "aborted_by_client"
    """The client gave up before any answer."""
    UNANSWERED = "unanswered"
    OTHER = "other"
    """Bytes that are no TLS."""
    UNKNOWN = "unknown"
    """The capture ends too early to tell."""


class CapturedHello(NamedTuple):
    """One ClientHello and what came of it."""

    time: float
    client: str
    client_port: int
    server: str
    server_port: int
    server_name: str | None
    """None: no name was sent. Also the name that stands outside, where the true one is encrypted (`encrypted`)."""
    encrypted: bool
    versions: tuple[str, ...]
    alpn: tuple[str, ...]
    ja4: str
    ending: Ending
    tls_alert: str | None
    delay: float | None
    """Seconds from the hello's last byte to the first answer or the end."""
    rst_ttl_differs: bool
    """The RST came with another TTL than the server's other segments: it may be a middlebox's."""
    copies: int = 1
    """Flows in which the same hello was seen: address translation, several interfaces."""


@dataclass(slots=True)
class CaptureFacts:
    """Everything that was counted. Clients are IP addresses."""

    frames: int = 0
    segments: int = 0
    first: float | None = None
    last: float | None = None
    unknown_link_types: Counter[int] = field(default_factory=Counter)
    hellos: list[CapturedHello] = field(default_factory=list)
    """One for each handshake, in the order in which their flows ended; at most `MAX_HELLOS`."""
    with_name: Counter[tuple[str, Ending]] = field(default_factory=Counter)
    """By client and ending."""
    without_name: Counter[tuple[str, Ending]] = field(default_factory=Counter)
    names: Counter[tuple[str, Ending]] = field(default_factory=Counter)
    """By server name and ending."""
    not_tls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By client and guessed protocol: bytes other than TLS, sent to a port that was spoken TLS on."""
    sslv2: Counter[str] = field(default_factory=Counter)
    """By client: hellos in the format of SSL 2.0, which has no place for a name."""
    truncated: int = 0
    """Hellos that the snaplen cut: say ``-s 0``."""
    incomplete: int = 0
    """Flows whose hello began before the capture did, or never ended."""
    refused: Counter[str] = field(default_factory=Counter)
    """By server: connections that were refused."""
    unanswered_syn: Counter[str] = field(default_factory=Counter)
    """By server: connections that were never answered."""
    uncounted: int = 0
    """Hellos beyond `MAX_HELLOS`: in the counters, not in the list."""


_Key = tuple[bytes, int, bytes, int]


class Follower:
    """Takes frames in, keeps `facts` true for all flows that ended; `finish` ends the others."""

    def __init__(self) -> None:
        self.facts = CaptureFacts()
        self._live: OrderedDict[_Key, Flow] = OrderedDict()
        self._seen: OrderedDict[bytes, int | None] = OrderedDict()
        self._tls_ports: set[tuple[bytes, int]] = set()
        self._suspects: list[tuple[tuple[bytes, int], str, str]] = []

    def feed(self, frames: Iterable[Frame]) -> None:
        """Take in frames; errors of the reader pass through, and what was read before them stays."""
        for frame in frames:
            self.add(frame)

    def add(self, frame: Frame) -> None:
        """Take in one frame."""
        facts = self.facts
        facts.frames += 1
        if frame.time:
            facts.first = frame.time if facts.first is None else min(facts.first, frame.time)
            facts.last = frame.time if facts.last is None else max(facts.last, frame.time)
        if frame.link_type not in LINK_TYPES:
            facts.unknown_link_types[frame.link_type] += 1
            return
        segment = decode(frame.link_type, frame.data)
        if segment is not None:
            facts.segments += 1
            self._segment(segment, frame.time)

    def settle(self, now: float) -> None:
        """End the flows about which nothing more can be learned, so that live traffic is counted while it goes on."""
        for key, flow in list(self._live.items()):
            decided = flow.server_rst or flow.server_fin or flow.first_answer_time is not None
            if now - flow.last_time > (_SETTLE_SECONDS if decided else _IDLE_SECONDS / 8):
                self._end(self._live.pop(key))

    def finish(self) -> CaptureFacts:
        """End all flows that are still followed; the facts are whole then."""
        while self._live:
            self._end(self._live.popitem(last=False)[1])
        for server, client, protocol in self._suspects:
            # Other protocols on other ports are nobody's business here.
            if server in self._tls_ports:
                self.facts.not_tls[client, protocol] += 1
        self._suspects.clear()
        return self.facts

    def _segment(self, segment: TcpSegment, time: float) -> None:
        key = (segment.source, segment.source_port, segment.destination, segment.destination_port)
        back = (segment.destination, segment.destination_port, segment.source, segment.source_port)
        flow = self._live.get(key)
        found = key if flow is not None else back
        flow = flow if flow is not None else self._live.get(back)
        fresh_syn = bool(segment.flags & SYN) and not segment.flags & 0x10
        if flow is not None and fresh_syn and found == key and flow.to_server.data:
            # The port is used again: the flow before has ended.
            self._end(self._live.pop(found))
            flow = None
        if flow is None:
            if segment.flags & RST and not segment.payload_length:
                return
            flow = self._open(segment, time)
            found = (*flow.client, *flow.server)
            self._live[found] = flow
            self._make_room(time)
        else:
            self._live.move_to_end(found)
        flow.add(segment, time)

    def _open(self, segment: TcpSegment, time: float) -> Flow:
        source = (segment.source, segment.source_port)
        destination = (segment.destination, segment.destination_port)
        syn_ack = segment.flags & SYN and segment.flags & 0x10
        # Without a SYN the lower port is the server's, unless the bytes themselves begin a hello.
        speaks_first = segment.payload[:1] == b"\x16" and segment.payload[5:6] == b"\x01"
        from_client = (segment.flags & SYN and not syn_ack) or speaks_first or source[1] > destination[1]
        return Flow(source, destination, time) if from_client and not syn_ack else Flow(destination, source, time)

    def _make_room(self, time: float) -> None:
        while self._live:
            oldest = next(iter(self._live.values()))
            if len(self._live) <= MAX_LIVE and time - oldest.last_time <= _IDLE_SECONDS:
                return
            self._end(self._live.popitem(last=False)[1])

    def _end(self, flow: Flow) -> None:
        facts = self.facts
        server = f"{address_text(flow.server[0])}:{flow.server[1]}"
        data = flow.to_server.data
        if not data:
            if flow.syn_refused:
                facts.refused[server] += 1
            elif flow.server_rst:
                facts.incomplete += 1
            elif flow.syn and not flow.syn_acknowledged and self._waited(flow.start_time):
                facts.unanswered_syn[server] += 1
            return
        client = address_text(flow.client[0])
        if len(data) >= 3 and data[0] & 0x80 and data[2] == HandshakeType.client_hello:
            self._tls_ports.add(flow.server)
            facts.sslv2[client] += 1
            facts.without_name[client, _ending(flow, self._waited(flow.last_time))[0]] += 1
            return
        if data[0] != ContentType.handshake:
            if flow.syn:
                self._suspects.append((flow.server, client, _spoken_by(data)))
                del self._suspects[MAX_HELLOS:]
            return
        try:
            message = _first_message(data)
            hello = None if message is None else parse_client_hello(message)
        except ProtocolError:
            facts.incomplete += 1
            return
        if hello is None:
            facts.truncated += flow.to_server.truncated
            facts.incomplete += not flow.to_server.truncated
            return
        self._tls_ports.add(flow.server)
        self._record(flow, hello, client)

    def _waited(self, since: float) -> bool:
        return self.facts.last is not None and self.facts.last - since >= _PATIENCE_SECONDS

    def _record(self, flow: Flow, hello: ClientHello, client: str) -> None:
        ending, tls_alert = _ending(flow, self._waited(flow.hello_time or flow.last_time))
        index = self._seen.get(hello.random, -1)
        if index != -1:
            self._copy(index, ending, tls_alert, flow)
            return
        facts = self.facts
        ended = flow.first_answer_time or flow.rst_time
        record = CapturedHello(
            time=flow.hello_time or flow.start_time,
            client=client,
            client_port=flow.client[1],
            server=address_text(flow.server[0]),
            server_port=flow.server[1],
            server_name=hello.server_name,
            encrypted=hello.encrypted_client_hello,
            versions=tuple(version.label for version in hello.supported_versions or (hello.legacy_version,)),
            alpn=tuple(protocol.decode("ascii", "backslashreplace") for protocol in hello.alpn),
            ja4=ja4(hello),
            ending=ending,
            tls_alert=tls_alert,
            delay=ended - flow.hello_time if ended is not None and flow.hello_time is not None else None,
            rst_ttl_differs=_rst_ttl_differs(flow),
        )
        self._count(record, +1)
        self._seen[hello.random] = len(facts.hellos) if len(facts.hellos) < MAX_HELLOS else None
        if len(self._seen) > 4 * MAX_HELLOS:
            self._seen.popitem(last=False)
        if len(facts.hellos) < MAX_HELLOS:
            facts.hellos.append(record)
        else:
            facts.uncounted += 1

    def _copy(self, index: int | None, ending: Ending, tls_alert: str | None, flow: Flow) -> None:
        """The same hello in another flow: it knows the end when the first one did not."""
        if index is None:
            return
        first = self.facts.hellos[index]
        changed = first._replace(copies=first.copies + 1, rst_ttl_differs=first.rst_ttl_differs and _rst_ttl_differs(flow))
        if first.ending in {Ending.UNKNOWN, Ending.UNANSWERED} and ending is not Ending.UNKNOWN:
            self._count(first, -1)
            changed = changed._replace(ending=ending, tls_alert=tls_alert)
            self._count(changed, +1)
        self.facts.hellos[index] = changed

    def _count(self, record: CapturedHello, by: int) -> None:
        table = self.facts.without_name if record.server_name is None else self.facts.with_name
        _bump(table, (record.client, record.ending), by)
        if record.server_name is not None:
            _bump(self.facts.names, (record.server_name, record.ending), by)


def _bump(table: Counter[tuple[str, Ending]], key: tuple[str, Ending], by: int) -> None:
    if key not in table and len(table) >= MAX_HELLOS:
        key = ("(others)", key[1])
    table[key] += by
    if not table[key]:
        del table[key]


_CLIENTS_SAY = (
    (b"GET ", "http"),
    (b"HEAD ", "http"),
    (b"POST ", "http"),
    (b"PUT ", "http"),
    (b"DELETE ", "http"),
    (b"OPTIONS ", "http"),
    (b"CONNECT ", "http"),
    (b"PRI * HTTP/2", "http2"),
    (b"SSH-", "ssh"),
    (b"PROXY ", "proxy protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n", "proxy protocol"),
    (b"EHLO ", "smtp"),
    (b"\x03\x00\x00", "rdp"),
)


def _spoken_by(data: bytes) -> str:
    """The protocol that a client speaks which begins like this; ``unknown`` when no row fits."""
    return next((protocol for prefix, protocol in _CLIENTS_SAY if data.startswith(prefix)), "unknown")


def _first_message(data: bytes) -> bytes | None:
    """The first handshake message of a client's records; None while it is incomplete."""
    fragments, offset = b"", 0
    while offset + 5 <= len(data) and data[offset] == ContentType.handshake:
        length = data[offset + 3] << 8 | data[offset + 4]
        fragments += data[offset + 5 : offset + 5 + length]
        offset += 5 + length
        if len(fragments) >= 4 and len(fragments) - 4 >= (size := int.from_bytes(fragments[1:4])):
            return fragments[: 4 + size]
    return None


def _rst_ttl_differs(flow: Flow) -> bool:
    return flow.rst_ttl is not None and flow.server_ttl is not None and abs(flow.rst_ttl - flow.server_ttl) > _TTL_TOLERANCE


def _ending(flow: Flow, waited: bool) -> tuple[Ending, str | None]:
    kind, tls_alert = flow.answer()
    if tls_alert is not None:
        return Ending.TLS_ALERT, AlertDescription(tls_alert[1]).name
    if kind == "certificate":
        return Ending.CERTIFICATE, None
    if kind == "server_hello":
        return Ending.ANSWERED, None
    if kind == "other":
        return Ending.OTHER, None
    if flow.server_rst:
        return (Ending.RESET_BY_SERVER if flow.hello_acknowledged else Ending.RESET_BEFORE_ACK), None
    if flow.server_fin:
        client_first = flow.client_end_time is not None and flow.client_fin
        return (Ending.ABORTED_BY_CLIENT if client_first else Ending.CLOSED_BY_SERVER), None
    if flow.client_fin or flow.client_rst:
        return Ending.ABORTED_BY_CLIENT, None
    return (Ending.UNANSWERED if waited else Ending.UNKNOWN), None
