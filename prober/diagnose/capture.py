"""What a packet capture says about ClientHellos: who sent one without a name, how each flow ended, and who ended it. Pure.

One ClientHello is one client's handshake, however often it was captured: its 32 random bytes, its sequence number, and that it goes to
another server or acknowledges the same bytes of its server tell the copies of ``-i any``, of both sides of an address translation or a
tunnel, and retransmissions, which count once. Who sends bytes of others anew, to the same server, is a client of his own.

Memory is bounded: `MAX_LIVE` flows are followed at a time (the one that was silent longest is closed first), `MAX_HELLOS` hellos with
a name and as many without are kept one by one, and each table has as many rows at most; the rest is only counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable
from typing import TypeVar

from prober.diagnose.capture_facts import MAX_HELLOS, CapturedHello, CaptureFacts, Ending
from prober.diagnose.capture_files import Frame
from prober.diagnose.endings import ending_of
from prober.diagnose.first_bytes import first_message, past_proxy_header, spoken_by, tls_in_connect
from prober.diagnose.fragments import Reassembly
from prober.diagnose.packets import (
    ACK,
    LINK_TYPES,
    RST,
    SYN,
    Decoded,
    Fragment,
    TcpSegment,
    Unread,
    address_text,
    decode,
    decode_payload,
    quick_key,
)
from prober.diagnose.tcp_flows import Flow, turned
from prober.model import Endpoint
from prober.tls.client_hello_parser import ClientHello, parse_client_hello
from prober.tls.errors import ProtocolError
from prober.tls.fingerprint import ja4
from prober.tls.registry import ContentType, HandshakeType

__all__ = ["MAX_LIVE", "Follower"]

MAX_LIVE = 10_000
# A flow without a segment for this long has ended for our purposes; Envoy itself waits 15 s for a ClientHello.
_IDLE_SECONDS = 120.0
# Behind a decisive segment its copies and retransmissions may follow.
_SETTLE_SECONDS = 0.5
# An unanswered hello counts as such only when the capture went on for this long behind it.
_PATIENCE_SECONDS = 1.0
# A packet within a packet's fragments within another's: each step is one of `packets.MAX_NESTING`, and never endless.
_MAX_STEPS = 8

_OTHERS = "(others)"
_Side = tuple[bytes, int]
_Key = TypeVar("_Key", bound=Hashable)


class Follower:
    """Takes frames in, keeps `facts` true for all flows that ended; `finish` ends the others."""

    def __init__(self) -> None:
        self.facts = CaptureFacts()
        self._live: OrderedDict[bytes, Flow] = OrderedDict()
        self._index: dict[bytes, Flow] = {}
        # By random and sequence number: the place among the hellos (None: behind the last), the two ends, the server's next number.
        self._seen: OrderedDict[tuple[bytes, int], tuple[int | None, _Side, _Side, int | None]] = OrderedDict()
        self._listed = Counter[bool]()  # hellos in the list, by whether they are without a name
        self._tls_ports: set[_Side] = set()
        # Servers that were seen to take PROXY headers, and flows to others that began with one and were not answered.
        self._takes_proxy: set[_Side] = set()
        self._proxied: list[Flow] = []
        # By client, its port, the second, and what it spoke: of several (server, turned away), copies of one connection, the last.
        self._suspects: dict[tuple[str, int, int, str], tuple[_Side, bool]] = {}
        self._offers: dict[tuple[tuple[str, ...], tuple[str, ...], str], tuple[tuple[str, ...], tuple[str, ...], str]] = {}
        self._fragments = Reassembly()

    def feed(self, frames: Iterable[Frame]) -> None:
        """Take in frames; errors of the reader pass through, and what was read before them stays."""
        for frame in frames:
            self.add(frame)

    def add(self, frame: Frame) -> None:
        """Take in one frame."""
        time, link_type, data, _ = frame
        facts = self.facts
        facts.frames += 1
        if time:
            if facts.last is None or time > facts.last:
                facts.last = time
            if facts.first is None or time < facts.first:
                facts.first = time
        if link_type not in LINK_TYPES:
            facts.unknown_link_types[link_type] += 1
            return
        quick = quick_key(link_type, data)
        if quick is not None:
            flow = self._index.get(quick[0])
            if flow is not None and flow.settled and not quick[1] & SYN:
                # Whatever it holds, it changes nothing any more.
                facts.segments += 1
                if time > flow.last_time:
                    flow.last_time = time
                self._live.move_to_end(flow.key)
                return
        self._decoded(decode(link_type, data), time)

    def _decoded(self, found: Decoded, time: float) -> None:
        facts = self.facts
        for _ in range(_MAX_STEPS):
            if not isinstance(found, Fragment):
                break
            whole = self._fragments.add(found, time)
            found = None if whole is None else decode_payload(whole)
        if isinstance(found, TcpSegment):
            facts.segments += 1
            if found.via is not None:
                facts.tunnels[found.via.value] += 1
            self._segment(found, time)
        elif isinstance(found, Unread):
            facts.unread[found.reason] += 1

    def settle(self, now: float) -> None:
        """End the flows about which nothing more can be learned, so that live traffic is counted while it goes on."""
        for flow in list(self._live.values()):
            decided = flow.server_rst or flow.server_fin or flow.first_answer_time is not None
            if now - flow.last_time > (_SETTLE_SECONDS if decided else _IDLE_SECONDS / 8):
                self._close(flow)

    def finish(self) -> CaptureFacts:
        """End all flows that are still followed; the facts are whole then."""
        while self._live:
            self._close(next(iter(self._live.values())))
        self.facts.lost_fragments = self._fragments.finish()
        for flow in self._proxied:
            self._said(flow, past_proxy_header(flow.to_server.data) if flow.server in self._takes_proxy else None)
        self._proxied.clear()
        for (client, _, _, protocol), (server, turned_away) in self._suspects.items():
            # Other protocols on other ports are nobody's business here, unless the port had no answer to them.
            if server in self._tls_ports or turned_away:
                self.facts.not_tls[client, protocol] += 1
        self._suspects.clear()
        return self.facts

    def _segment(self, segment: TcpSegment, time: float) -> None:
        flow = self._index.get(segment.flow)
        fresh_syn = bool(segment.flags & SYN) and not segment.flags & ACK
        if flow is not None and fresh_syn and segment.flow == flow.key and (flow.to_server.data or flow.server_rst):
            # The port is used again: the flow before has ended.
            self._close(flow)
            flow = None
        if flow is None:
            if segment.flags & RST and not segment.payload_length:
                return
            flow = Flow(_from_client(segment), time)
            self._live[flow.key] = self._index[flow.key] = self._index[turned(flow.key)] = flow
            self._make_room(time)
        else:
            self._live.move_to_end(flow.key)
        flow.add(segment, time)

    def _make_room(self, time: float) -> None:
        while self._live:
            oldest = next(iter(self._live.values()))
            if len(self._live) <= MAX_LIVE and time - oldest.last_time <= _IDLE_SECONDS:
                return
            self._close(oldest)

    def _close(self, flow: Flow) -> None:
        for key in (flow.key, turned(flow.key)):
            self._index.pop(key, None)
        del self._live[flow.key]
        self._end(flow)

    def _end(self, flow: Flow) -> None:
        facts = self.facts
        server = str(Endpoint(address_text(flow.server[0]), flow.server[1]))
        data = flow.to_server.data
        facts.one_sided += flow.one_sided
        if not data:
            if flow.one_sided:
                return
            if flow.syn_refused:
                _bump(facts.refused, server, _OTHERS)
            elif flow.server_rst:
                facts.incomplete += 1
            elif flow.syn and not flow.syn_acknowledged and self._waited(flow.start_time):
                _bump(facts.unanswered_syn, server, _OTHERS)
            return
        behind = past_proxy_header(data)
        if behind is not None and behind is not data and behind[:1] in {b"", b"\x16"}:
            if flow.answer()[0] in {"certificate", "server_hello"}:
                self._takes_proxy.add(flow.server)
            # A server that does not expect the header turns everybody away who sends it: that is no matter of names.
            if flow.server not in self._takes_proxy:
                if len(self._proxied) < MAX_LIVE:
                    self._proxied.append(flow)
                    return
                behind = None  # too many to wait for: told by what is known so far
        self._said(flow, behind)

    def _said(self, flow: Flow, behind: bytes | None) -> None:
        """Judge what a client said: what is ``behind`` a PROXY header, where the server takes one; None: all of it."""
        facts, data = self.facts, flow.to_server.data if behind is None else behind
        if not data:
            return  # a health check: the header, and no client
        client = address_text(flow.client[0])
        proxied = tls_in_connect(data)
        data = proxied or data
        if len(data) >= 3 and data[0] & 0x80 and data[2] == HandshakeType.client_hello:
            self._speaks_tls(flow.server)
            ending = ending_of(flow, self._waited(flow.last_time))[0]
            _bump(facts.sslv2, client, _OTHERS)
            _bump(facts.without_name, (client, ending), (_OTHERS, ending))
            return
        if data[0] != ContentType.handshake:
            if flow.syn and len(self._suspects) < MAX_HELLOS:
                protocol = spoken_by(data)
                away = protocol != "unknown" and not flow.to_client.data and (flow.server_rst or flow.server_fin)
                self._suspects[client, flow.client[1], int(flow.start_time), protocol] = (flow.server, away)
            return
        try:
            message = first_message(data)
            hello = None if message is None else parse_client_hello(message)
        except ProtocolError:
            facts.incomplete += 1
            return
        if hello is None:
            facts.truncated += flow.to_server.truncated
            facts.incomplete += not flow.to_server.truncated
            return
        if proxied is None:
            self._speaks_tls(flow.server)
        self._record(flow, hello, client, proxied=proxied is not None)

    def _speaks_tls(self, server: _Side) -> None:
        if len(self._tls_ports) < MAX_HELLOS:
            self._tls_ports.add(server)

    def _waited(self, since: float) -> bool:
        return self.facts.last is not None and self.facts.last - since >= _PATIENCE_SECONDS

    def _record(self, flow: Flow, hello: ClientHello, client: str, *, proxied: bool) -> None:
        ending, tls_alert = ending_of(flow, self._waited(flow.hello_time or flow.last_time))
        key = hello.random, flow.to_server.start
        if (first := self._seen.get(key)) is not None:
            index, first_client, first_server, first_next = first
            # Linux translates addresses and leaves the numbers; a server that is called twice chooses others.
            if first_server != flow.server or first_client == flow.client or first_next == flow.server_next is not None:
                self._copy(index, ending, tls_alert, flow)
                return
        facts = self.facts
        versions, alpn, fingerprint = self._offered(hello)
        ended = flow.first_answer_time or flow.rst_time
        record = CapturedHello(
            time=flow.hello_time or flow.start_time,
            client=client,
            client_port=flow.client[1],
            server=address_text(flow.server[0]),
            server_port=flow.server[1],
            server_name=hello.server_name,
            encrypted=hello.encrypted_client_hello,
            versions=versions,
            alpn=alpn,
            ja4=fingerprint,
            ending=ending,
            tls_alert=tls_alert,
            # Through a proxy the first answer is the proxy's own.
            delay=ended - flow.hello_time if ended is not None and flow.hello_time is not None and not proxied else None,
            rst_ttl_differs=flow.rst_ttl_differs,
            rst_options_differ=flow.rst_options_differ,
            answered_http=ending is Ending.OTHER and not proxied and flow.to_client.data.startswith(b"HTTP/"),
            via="HTTP CONNECT" if proxied else None if flow.via is None else flow.via.value,
        )
        self._count(record, +1)
        listed = self._listed[record.server_name is None] < MAX_HELLOS
        self._seen[key] = (len(facts.hellos) if listed else None), flow.client, flow.server, flow.server_next
        if len(self._seen) > 4 * MAX_HELLOS:
            self._seen.popitem(last=False)
        if listed:
            self._listed[record.server_name is None] += 1
            facts.hellos.append(record)

    def _offered(self, hello: ClientHello) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """Versions, ALPN and JA4: kept once for all hellos of one client software."""
        offered = (
            tuple(version.label for version in hello.supported_versions or (hello.legacy_version,)),
            tuple(protocol.decode("ascii", "backslashreplace") for protocol in hello.alpn),
            ja4(hello),
        )
        return self._offers.setdefault(offered, offered) if len(self._offers) < MAX_LIVE else offered

    def _copy(self, index: int | None, ending: Ending, tls_alert: str | None, flow: Flow) -> None:
        """The same hello in another flow: it knows the end when the first one did not."""
        if index is None:
            return
        first = self.facts.hellos[index]
        changed = first._replace(
            copies=first.copies + 1,
            rst_ttl_differs=first.rst_ttl_differs and flow.rst_ttl_differs,
            rst_options_differ=first.rst_options_differ and flow.rst_options_differ,
        )
        if flow.hello_time is not None and flow.hello_time < first.time:
            # The copy that was seen first is the one before the address translation: it has the client's own address.
            (client, client_port), (server, server_port) = flow.client, flow.server
            changed = changed._replace(
                time=flow.hello_time,
                client=address_text(client),
                client_port=client_port,
                server=address_text(server),
                server_port=server_port,
            )
        if first.ending in {Ending.UNKNOWN, Ending.UNANSWERED} and ending is not Ending.UNKNOWN:
            changed = changed._replace(ending=ending, tls_alert=tls_alert)
        self._count(first, -1)
        self._count(changed, +1)
        self.facts.hellos[index] = changed

    def _count(self, record: CapturedHello, by: int) -> None:
        table = self.facts.without_name if record.server_name is None else self.facts.with_name
        _bump(table, (record.client, record.ending), (_OTHERS, record.ending), by)
        if record.server_name is not None:
            _bump(self.facts.names, (record.server_name, record.ending), (_OTHERS, record.ending), by)


def _bump(table: Counter[_Key], key: _Key, others: _Key, by: int = 1) -> None:
    """Count in a table that has `MAX_HELLOS` rows at most; what has no row any more counts as ``others``."""
    if key not in table and len(table) >= MAX_HELLOS:
        key = others
    table[key] += by
    if not table[key]:
        del table[key]


def _from_client(segment: TcpSegment) -> bytes:
    """The key of a flow whose first captured segment this is, turned so that the client is its source."""
    flags, payload, key = segment.flags, segment.payload, segment.flow
    syn_ack = flags & SYN and flags & ACK
    # Without a SYN the lower port is the server's, unless the bytes themselves begin a hello.
    speaks_first = payload[:1] == b"\x16" and payload[5:6] == b"\x01"
    from_client = (flags & SYN and not syn_ack) or speaks_first or key[-4:-2] > key[-2:]
    return key if from_client and not syn_ack else turned(key)
