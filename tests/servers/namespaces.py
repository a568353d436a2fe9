"""Network namespaces that a test makes for itself: routes that refuse, routers that forbid, and hosts that never answer.

Two namespaces joined by a cable: ``client``, where prober runs, and ``router``; or one with a loopback interface and nothing
else, whose ports are all free. They belong to processes and end with them. Root makes them directly; anybody else inside a user namespace of their own, where the kernel lets them.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.ports import has_ipv6
from tests.servers.requirements import not_permitted, require_program

__all__ = ["Namespace", "alone", "routed_pair"]

_ABOUT_IPV6 = re.compile(r"-6|2001:db8|ipv6")
_LIFETIME = "600"
"""Seconds after which a namespace ends, whatever became of the test."""
_DEADLINE = 10.0

_CLIENT = """\
ip link set lo up
ip link add cable type veth peer name far netns {router}
ip link set cable up
ip address add 198.51.100.1/24 dev cable
ip address add 2001:db8:1::1/64 dev cable nodad
ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev cable
ip -6 neigh add 2001:db8:1::9 lladdr 02:00:00:00:00:09 dev cable
ip route add 203.0.113.0/24 via 198.51.100.2
ip route add unreachable 198.18.0.0/24
ip route add prohibit 198.18.1.0/24
ip route add blackhole 198.18.2.0/24
ip -6 route add 2001:db8:2::/48 via 2001:db8:1::2
ip -6 route add unreachable 2001:db8:a::/48
ip -6 route add prohibit 2001:db8:b::/48
ip -6 route add blackhole 2001:db8:c::/48
"""
"""198.51.100.9 is a host that has an Ethernet address and does not exist: its SYNs are answered by nobody."""

_ROUTER = """\
ip link set lo up
ip link set far up
ip address add 198.51.100.2/24 dev far
ip address add 2001:db8:1::2/64 dev far nodad
ip route add prohibit 203.0.113.0/28
ip route add blackhole 203.0.113.32/28
ip -6 route add prohibit 2001:db8:2:a::/64
ip -6 route add unreachable 2001:db8:2:b::/64
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
"""
"""Linux sends no more than five IPv4 errors about routes to one host at once, so that only one place may draw them."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace, held open by a process."""

    holder: int
    enter: tuple[str, ...]
    """Words to put before a command, so that it runs there."""

    def run(self, script: str) -> None:
        """Run a shell script there, without the lines about IPv6 where there is none; AssertionError when it fails."""
        lines = [line for line in script.splitlines() if has_ipv6() or not _ABOUT_IPV6.search(line)]
        done = subprocess.run([*self.enter, "sh", "-exc", "\n".join(lines)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def alone() -> Iterator[Namespace]:
    """A namespace that reaches nothing but itself; skips the test where the kernel does not let us."""
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        require_program(program, package=package)
    own_users = () if os.geteuid() == 0 else ("--map-root-user",)
    with _held(("unshare", *own_users, "--net"), enter_users=bool(own_users)) as namespace:
        namespace.run("ip link set lo up")
        yield namespace


@contextmanager
def routed_pair() -> Iterator[Namespace]:
    """The client's namespace, connected to the router's; skips the test where the kernel does not let us."""
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        require_program(program, package=package)
    own_users = () if os.geteuid() == 0 else ("--map-root-user",)
    users = bool(own_users)
    with (
        _held(("unshare", *own_users, "--net"), enter_users=users) as client,
        _held((*client.enter, "unshare", "--net"), enter_users=users) as router,
    ):
        client.run(_CLIENT.format(router=router.holder))
        router.run(_ROUTER)
        yield client


@contextmanager
def _held(unshare: Sequence[str], *, enter_users: bool) -> Iterator[Namespace]:
    require_program("unshare", package="util-linux")
    guard = ("setpriv", "--pdeathsig", "TERM")
    holder = subprocess.Popen([*unshare, *guard, "sleep", _LIFETIME], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + _DEADLINE
        while _command(holder.pid) != "sleep":
            if holder.poll() is not None:
                assert holder.stderr is not None
                not_permitted(f"network namespaces are not allowed here: {holder.stderr.read().strip()}")
            assert time.monotonic() < deadline, "unshare does not get anywhere"
            time.sleep(0.005)
        users = ("--user", "--preserve-credentials") if enter_users else ()
        yield Namespace(holder.pid, ("nsenter", "--target", str(holder.pid), "--net", *users))
    finally:
        holder.terminate()
        holder.communicate()


def _command(process: int) -> str | None:
    """The program that ``process`` runs now, None once it is gone."""
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="ascii").strip()
    except OSError:
        return None
