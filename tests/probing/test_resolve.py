"""From what is configured to where to connect."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio

from prober.model import Address, Endpoint, Outcome
from prober.probing.resolve import ResolveError, literal_endpoint, resolve

Answers = list[tuple[Any, ...]]


class Resolver(trio.abc.HostnameResolver):
    """Answers what it was told to; its shape is that of `socket.getaddrinfo`, which a test below holds it to."""

    def __init__(self) -> None:
        self.answers: Answers | BaseException = []
        self.missing: dict[int, BaseException] = {}
        """What is raised where one family alone is asked for."""
        self.asked: list[tuple[bytes | str | None, int]] = []

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        """Answer."""
        await trio.lowlevel.checkpoint()
        self.asked.append((host, family))
        if isinstance(failure := self.missing.get(family, self.answers), BaseException):
            raise failure
        assert not isinstance(self.answers, BaseException)
        return self.answers

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        """Not asked by prober."""
        raise AssertionError


def v4(ip: str) -> tuple[Any, ...]:
    """One A answer."""
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443))


def v6(ip: str, scope: int = 0) -> tuple[Any, ...]:
    """One AAAA answer."""
    return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (ip, 443, 0, scope))


@pytest.fixture
async def resolver() -> Resolver:
    """In the place of the system's resolver, for this test's run of Trio."""
    made = Resolver()
    trio.socket.set_custom_hostname_resolver(made)
    return made


def test_the_fake_answers_as_the_system_does() -> None:
    """The shape of an answer, for an address that needs no asking."""
    flags = socket.AI_NUMERICHOST
    assert v4("192.0.2.1") in socket.getaddrinfo("192.0.2.1", 443, type=socket.SOCK_STREAM, flags=flags)
    assert v6("2001:db8::1") in socket.getaddrinfo("2001:db8::1", 443, type=socket.SOCK_STREAM, flags=flags)


@pytest.mark.parametrize(
    ("host", "ip"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
async def test_a_literal_is_its_own_endpoint_in_canonical_spelling(resolver: Resolver, host: str, ip: str) -> None:
    """Nobody is asked."""
    assert await resolve(Address(host, 8443)) == (Endpoint(ip, 8443),)
    assert resolver.asked == []


@pytest.mark.parametrize("host", ["example.com", "1.2.3", "1.2.3.4.5", "a:b", "localhost"])
def test_a_name_is_no_literal(host: str) -> None:
    """Also one that looks a little like it."""
    assert literal_endpoint(Address(host)) is None


async def test_all_answers_are_endpoints_in_the_order_of_the_resolver(resolver: Resolver) -> None:
    """A and AAAA, each once."""
    resolver.answers = [v6("2001:db8::2"), v4("192.0.2.2"), v4("192.0.2.1"), v4("192.0.2.2"), v6("2001:db8::2")]
    endpoints = await resolve(Address("ingress.example.test", 8443))
    assert endpoints == (Endpoint("2001:db8::2", 8443), Endpoint("192.0.2.2", 8443), Endpoint("192.0.2.1", 8443))


async def test_a_link_local_answer_keeps_its_scope(resolver: Resolver) -> None:
    """Without it nobody can connect."""
    resolver.answers = [v6("fe80::1", 3)]
    assert await resolve(Address("printer.local")) == (Endpoint("fe80::1%3", 443),)


@pytest.mark.parametrize(("family", "wanted"), [(4, socket.AF_INET), (6, socket.AF_INET6), (None, socket.AF_UNSPEC)])
async def test_the_resolver_is_asked_for_the_family_alone(resolver: Resolver, family: Any, wanted: int) -> None:
    """So that it need not be filtered afterwards."""
    resolver.answers = [v4("192.0.2.1")]
    await resolve(Address("ingress.example.test"), family)
    assert resolver.asked == [(b"ingress.example.test", wanted)]


@pytest.mark.parametrize(("host", "family"), [("192.0.2.1", 6), ("2001:db8::1", 4)])
async def test_a_literal_of_the_other_family_has_no_endpoint(host: str, family: Any) -> None:
    """It says so instead of connecting to what was not wanted."""
    with pytest.raises(ResolveError, match="EAI_ADDRFAMILY"):
        await resolve(Address(host), family)


@pytest.mark.parametrize("answer", ["EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"])
async def test_a_name_of_the_other_family_alone_is_not_called_a_name_that_is_not_there(resolver: Resolver, answer: str) -> None:
    """``--connect-ip 4`` at a name with AAAA alone: the DNS record is right, and the option is to be looked at."""
    resolver.answers = [v6("2001:db8::1"), v6("2001:db8::2")]
    resolver.missing[socket.AF_INET] = socket.gaierror(getattr(socket, answer), "No address")
    with pytest.raises(ResolveError) as caught:
        await resolve(Address("ingress.example.test"), 4)
    assert caught.value.code == "EAI_ADDRFAMILY"
    assert caught.value.detail == "ingress.example.test has no IPv4 address, but 2001:db8::1, 2001:db8::2"


async def test_a_name_without_any_address_is_not_there_whatever_the_family(resolver: Resolver) -> None:
    """The answer to the second question counts."""
    resolver.answers = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(ResolveError) as caught:
        await resolve(Address("ingress.example.test"), 6)
    assert caught.value.code == "EAI_NONAME"


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "EAI_NONAME", Outcome.RESOLVE_FAILED),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "EAI_AGAIN", Outcome.RESOLVE_FAILED),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable"), "EAI_FAIL", Outcome.RESOLVE_FAILED),
        (socket.gaierror(socket.EAI_MEMORY, "Memory"), "EAI_MEMORY", Outcome.LOCAL_ERROR),
        (OSError(errno.EMFILE, "Too many open files"), "EMFILE", Outcome.LOCAL_ERROR),
    ],
)
async def test_a_failure_has_the_resolvers_own_code(resolver: Resolver, error: OSError, code: str, outcome: Outcome) -> None:
    """A name without an address is the name's; a host that cannot ask is ours."""
    resolver.answers = error
    with pytest.raises(ResolveError) as caught:
        await resolve(Address("ingress.example.test"))
    assert (caught.value.code, caught.value.outcome) == (code, outcome)
    assert caught.value.detail


async def test_no_answer_is_no_data(resolver: Resolver) -> None:
    """Never an empty tuple."""
    with pytest.raises(ResolveError, match="EAI_NODATA"):
        await resolve(Address("ingress.example.test"))


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "\udcff", "a\0b", "ex ample\u3002"])
async def test_a_name_that_cannot_be_one_does_not_resolve(host: str) -> None:
    """Without a traceback."""
    with pytest.raises(ResolveError):
        await resolve(Address(host))


async def test_the_system_resolves_localhost() -> None:
    """The real thing, once."""
    endpoints = await resolve(Address("localhost", 1))
    assert {endpoint.ip for endpoint in endpoints} <= {"127.0.0.1", "::1"}
