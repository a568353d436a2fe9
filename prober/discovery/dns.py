"""Names in DNS: every address of a name, or every host and port of an SRV record. Asked again when the answer's TTL has passed.

Servers that do not answer, or that fail, change nothing. That a name does not exist, or has no such record, is an answer: as in Prometheus its
targets go, but only when it has been the answer for a while, for a zone may be published incompletely.
"""

from __future__ import annotations

from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
import trio

from prober.discovery.feed import Feed
from prober.model import Address
from prober.sources import ADDRESS, NAME, SERVER_NAMES, DnsNames, LabelSet, LabelSets

__all__ = ["DnsWatcher"]

SHORTEST, LONGEST = 1.0, 300.0
"""Seconds between two questions, whatever the TTL: a TTL of 0 must not flood a server, one of a week must not hide a change."""
LIFETIME = 5.0
"""Seconds for one question, all servers and repetitions."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds after a question without an answer."""

ABSENT = 60.0
"""Seconds for which every answer must have been that there is no such name, before its targets go."""

_FAMILIES = ("A", "AAAA")
_DNS_NAME = "__meta_dns_name"
_SRV_TARGET = "__meta_dns_srv_record_target"
_SRV_PORT = "__meta_dns_srv_record_port"


class _Answer(NamedTuple):
    found: LabelSets
    ttl: float
    """Seconds."""
    problem: str | None = None
    """What could not be asked, and is as it was."""


class DnsWatcher:
    """`prober.discovery.feed.Watcher` of some names: each is asked for on its own, and keeps its last answer while there is none."""

    def __init__(self, names: DnsNames) -> None:
        self._names = names
        self._found: dict[str, LabelSets] = {}
        self._ips: dict[tuple[str, str], tuple[str, ...]] = {}
        """By name and type of record."""
        self._problems: dict[str, str] = {}
        self._absent: dict[str, float] = {}
        """Since when, by Trio's time, a name has not existed."""
        self._gone: dict[str, str] = {}
        """Names that have not existed for long enough, and what the servers say of them."""

    async def run(self, feed: Feed) -> None:
        """Ask, until cancelled."""
        async with trio.open_nursery() as nursery:
            for name in self._names.names:
                nursery.start_soon(self._watch, name, feed)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """For one question: /etc/resolv.conf changes with the network, and who asks for years must not ask servers that are gone."""
        try:
            resolver = dns.asyncresolver.Resolver(configure=not self._names.servers)
        except ValueError as error:  # a line that glibc would pass over
            raise dns.resolver.NoResolverConfiguration(str(error)) from None  # type: ignore[no-untyped-call]
        if self._names.servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in self._names.servers]
        return resolver

    async def _watch(self, name: str, feed: Feed) -> None:
        retry = FIRST_RETRY
        while True:
            wait = LONGEST_RETRY
            try:
                answer = await self._ask(name, self._resolver())
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, _NoAddress) as error:
                self._missing(name, _reason(error))
            except dns.exception.DNSException as error:
                self._absent.pop(name, None)
                self._problems[name] = f"{name}: {_reason(error)}"
            else:
                self._found[name] = answer.found
                for told in (self._absent, self._gone, self._problems):
                    told.pop(name, None)
                wait = min(max(answer.ttl, SHORTEST), LONGEST)
                if answer.problem is None:
                    retry = FIRST_RETRY
                else:
                    self._problems[name] = f"{name}: {answer.problem}"
            if name in self._problems or name in self._gone:
                wait, retry = min(wait, retry), min(2 * retry, LONGEST_RETRY)
            if self._found.keys() | self._problems.keys() >= set(self._names.names):
                found = tuple(labels for each in self._names.names for labels in self._found.get(each, ()))
                feed.publish(found, tuple(self._problems.values()), tuple(self._gone.values()))
            await trio.sleep(wait)

    def _missing(self, name: str, reason: str) -> None:
        if trio.current_time() - self._absent.setdefault(name, trio.current_time()) < ABSENT:
            self._problems[name] = f"{name}: {reason}"
            return
        self._problems.pop(name, None)
        self._found[name] = ()
        for kind in _FAMILIES:
            self._ips.pop((name, kind), None)
        self._gone[name] = f"{name}: {reason}, for {ABSENT:g} s and more"

    async def _ask(self, name: str, resolver: dns.asyncresolver.Resolver) -> _Answer:
        return await (self._ask_srv(name, resolver) if self._names.srv else self._ask_addresses(name, resolver))

    async def _ask_srv(self, name: str, resolver: dns.asyncresolver.Resolver) -> _Answer:
        answer = await resolver.resolve(name, "SRV", lifetime=LIFETIME, search=False)
        found = []
        for record in sorted(answer, key=lambda record: (record.priority, record.target, record.port)):
            host = record.target.to_text(omit_final_dot=True)
            if record.target != dns.name.root:  # RFC 2782: "." says that the service is decidedly not available
                meta = {_SRV_TARGET: host, _SRV_PORT: str(record.port)}
                found.append({**self._labels(name, Address(host, record.port), None), **meta})
        return _Answer(tuple(found), answer.chaining_result.minimum_ttl)

    async def _ask_addresses(self, name: str, resolver: dns.asyncresolver.Resolver) -> _Answer:
        ttl = LONGEST
        said: dict[str, tuple[str, ...]] = {}
        failed: dict[str, dns.exception.DNSException] = {}
        denied: dns.resolver.NXDOMAIN | None = None
        for kind in _FAMILIES:
            try:
                answer = await resolver.resolve(name, kind, lifetime=LIFETIME, search=False)
            except dns.resolver.NoAnswer:
                said[kind] = ()  # a name may have addresses of one family alone
            except dns.resolver.NXDOMAIN as error:
                said[kind], denied = (), error  # RFC 4074 §4.2: there are servers that deny the name where they mean the family
            except dns.exception.DNSException as error:
                failed[kind] = error  # there are servers that never answer questions for AAAA
            else:
                said[kind] = tuple(record.address for record in answer)
                ttl = min(ttl, answer.chaining_result.minimum_ttl)
        if denied is not None and not any(said.values()):
            raise denied
        ips = {ip for kind in _FAMILIES for ip in said.get(kind, self._ips.get((name, kind), ()))}
        if len(failed) == len(_FAMILIES) or (failed and not ips):
            raise next(iter(failed.values()))
        if not ips:
            raise _NoAddress
        self._ips.update({(name, kind): these for kind, these in said.items()})
        # The order is the server's whim (round robin); ours is stable.
        found = tuple(self._labels(name, Address(ip, self._names.port), name) for ip in sorted(ips))
        return _Answer(found, ttl, "; ".join(f"{kind}: {_reason(error)}" for kind, error in failed.items()) or None)

    def _labels(self, name: str, address: Address, known: str | None) -> LabelSet:
        server_names = self._names.server_names or ((known.removesuffix("."),) if known else ())
        return {
            **self._names.labels,
            NAME: name.removesuffix("."),
            ADDRESS: str(address),
            SERVER_NAMES: ",".join(server_names),
            _DNS_NAME: name,
        }


class _NoAddress(dns.exception.DNSException):
    """The name exists, and has neither an A nor an AAAA record."""


def _reason(error: dns.exception.DNSException) -> str:
    if isinstance(error, dns.resolver.NXDOMAIN):
        return "there is no such name"
    if isinstance(error, (dns.resolver.NoAnswer, _NoAddress)):
        return "the name has no such record"
    if isinstance(error, dns.resolver.NoResolverConfiguration):
        return f"the system names no DNS server: {error}"
    if isinstance(error, dns.exception.Timeout):
        return f"no DNS server answered within {LIFETIME:g} s"
    return str(error) or type(error).__name__
