"""Runs in a network namespace of its own, where the routes are what a test needs: prints outcomes as JSON.

    unshare --net python -m tests.probing.in_namespace

Nothing here leaves the namespace: it has a loopback, and a pair of interfaces of which nobody listens at the other end.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import trio

from prober.model import Endpoint, Observation, Sni
from prober.probing.attempt import Attempt
from prober.probing.engine import Engine
from prober.tls.client_hello import HelloFactory
from prober.tls.profiles import PROFILES

SETUP = """\
link set lo up
link add swallow type veth peer name nobody
addr add 198.51.100.65/26 dev swallow
addr add 2001:db8:1::1/64 dev swallow nodad
link set swallow arp off up
link set nobody up
route add unreachable 198.51.100.1
route add prohibit 198.51.100.2
route add blackhole 198.51.100.3
route add unreachable 2001:db8:2::1
route add prohibit 2001:db8:2::2
"""

CASES = {
    "unreachable route": Endpoint("198.51.100.1", 443),
    "prohibit route": Endpoint("198.51.100.2", 443),
    "blackhole route": Endpoint("198.51.100.3", 443),
    "no route": Endpoint("203.0.113.1", 443),
    "dropped SYN": Endpoint("198.51.100.70", 443),
    "unreachable route, IPv6": Endpoint("2001:db8:2::1", 443),
    "prohibit route, IPv6": Endpoint("2001:db8:2::2", 443),
    "no route, IPv6": Endpoint("2001:db8:3::1", 443),
    "dropped SYN, IPv6": Endpoint("2001:db8:1::70", 443),
    "link-local without scope": Endpoint("fe80::1", 443),
}


def summary(observation: Observation) -> list[str | None]:
    """What the contract says about how a handshake ended."""
    return [observation.outcome, observation.stage, observation.errno, observation.close]


def leave_two_local_ports() -> None:
    """In this namespace."""
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("61000 61001", encoding="ascii")


async def main() -> None:
    """All cases, and then the one in which the local ports are used up."""
    results: dict[str, list[str | None]] = {}
    factory = HelloFactory(PROFILES["modern"], entropy=os.urandom)

    def attempt(endpoint: Endpoint, seconds: float = 1.0) -> Attempt:
        return Attempt(endpoint=endpoint, factory=factory, sni=Sni.NONE, server_name=None, timeout=seconds)

    async with trio.open_nursery() as outer:
        engine = Engine()
        await outer.start(engine.run)

        async def run(name: str, endpoint: Endpoint) -> None:
            results[name] = summary(await engine.handshake(attempt(endpoint)))

        async with trio.open_nursery() as nursery:
            for name, endpoint in CASES.items():
                nursery.start_soon(run, name, endpoint)

        leave_two_local_ports()
        with socket.create_server(("127.0.0.1", 8443)) as listener:
            handles = [engine.start(attempt(Endpoint(*listener.getsockname()), 9.0), lambda _: None) for _ in range(4)]
            await run("no local port", Endpoint("127.0.0.1", 8443))
            for handle in handles:
                handle.cancel()
        outer.cancel_scope.cancel()
    print(json.dumps(results))


if __name__ == "__main__":
    subprocess.run(["ip", "-batch", "-"], input=SETUP, text=True, check=True)
    trio.run(main)
