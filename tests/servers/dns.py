"""A DNS server on UDP and TCP of loopback whose zone a test changes while clients ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import trio

__all__ = ["DnsServer", "dns_server"]


@dataclass
class DnsServer:
    """Answers what ``zone`` holds; a name of which it holds nothing does not exist."""

    address: tuple[str, int] = ("", 0)
    zone: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Records as text by name and type; CNAMEs are followed."""
    ttl: int = 0
    ttls: dict[tuple[str, str], int] = field(default_factory=dict)
    """Where they differ from ``ttl``."""
    silent: bool = False
    refusing: set[str] = field(default_factory=set)
    """Types that it answers with SERVFAIL."""
    denying: set[str] = field(default_factory=set)
    """Types for which it says that the name does not exist, whatever it holds (RFC 4074 §4.2)."""
    most: int = 4096
    """Bytes that fit into a datagram; more is truncated, and to be asked for over TCP."""
    questions: list[tuple[str, str]] = field(default_factory=list)
    over_tcp: int = 0

    def answer(self, packet: bytes) -> bytes:
        """The answer to one question."""
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        self.questions.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AA
        if kind in self.refusing:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        if kind in self.denying:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()
        while alias := self.zone.get((name, "CNAME")):
            self._add(response, name, "CNAME", alias)
            name = alias[0].removesuffix(".")
        if records := self.zone.get((name, kind)):
            self._add(response, name, kind, records)
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()

    def _add(self, response: dns.message.Message, name: str, kind: str, records: list[str]) -> None:
        ttl = self.ttls.get((name, kind), self.ttl)
        response.answer.append(dns.rrset.from_text(dns.name.from_text(name), ttl, "IN", kind, *records))

    def datagram(self, packet: bytes) -> bytes:
        """The answer, or as much as says that it does not fit."""
        whole = self.answer(packet)
        if len(whole) <= self.most:
            return whole
        response = dns.message.make_response(dns.message.from_wire(packet))
        response.flags |= dns.flags.TC
        return response.to_wire()


@asynccontextmanager
async def dns_server() -> AsyncIterator[DnsServer]:
    """A running server on a port that is free for both protocols."""
    server = DnsServer()
    listener, door = await _doors()

    async def converse(stream: trio.SocketStream) -> None:
        await _converse(server, stream)

    with door:
        server.address = door.getsockname()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, server, door)
            nursery.start_soon(trio.serve_listeners, converse, [listener])
            yield server
            nursery.cancel_scope.cancel()


async def _doors() -> tuple[trio.SocketListener, trio.socket.SocketType]:
    for _ in range(20):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        door = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        try:
            await door.bind(("127.0.0.1", listener.socket.getsockname()[1]))
        except OSError:
            door.close()  # somebody else has it for UDP
            await listener.aclose()
        else:
            return listener, door
    raise AssertionError("no port is free for both UDP and TCP")


async def _serve(server: DnsServer, door: trio.socket.SocketType) -> None:
    while True:
        packet, client = await door.recvfrom(4096)
        if not server.silent:
            await door.sendto(server.datagram(packet), client)


async def _converse(server: DnsServer, stream: trio.SocketStream) -> None:
    """RFC 1035 4.2.2: a length of two bytes before each message."""
    try:
        received = bytearray()
        while len(received) < 2 or len(received) < 2 + int.from_bytes(received[:2], "big"):
            part = await stream.receive_some(4096)
            if not part:
                return
            received += part
        server.over_tcp += 1
        whole = server.answer(bytes(received[2:]))
        await stream.send_all(len(whole).to_bytes(2, "big") + whole)
    except trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(stream)
