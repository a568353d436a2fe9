"""A DNS server on UDP loopback whose zone a test changes while clients ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import trio

__all__ = ["DnsServer", "dns_server"]


@dataclass
class DnsServer:
    """Answers what ``zone`` holds; a name of which it holds nothing does not exist."""

    address: tuple[str, int] = ("", 0)
    zone: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Records as text by name and type."""
    ttl: int = 0
    silent: bool = False
    refusing: bool = False
    """Answers SERVFAIL."""
    questions: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, packet: bytes) -> bytes:
        """The answer to one question."""
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
        self.questions.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AA
        if self.refusing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif records := self.zone.get((name, kind)):
            response.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *records))
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()


@asynccontextmanager
async def dns_server() -> AsyncIterator[DnsServer]:
    """A running server on a free port."""
    server = DnsServer()
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as door:
        await door.bind(("127.0.0.1", 0))
        server.address = door.getsockname()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, server, door)
            yield server
            nursery.cancel_scope.cancel()


async def _serve(server: DnsServer, door: trio.socket.SocketType) -> None:
    while True:
        packet, client = await door.recvfrom(4096)
        if not server.silent:
            await door.sendto(server.answer(packet), client)
