"""The sockets that the HTTP listener listens on."""

from __future__ import annotations

import errno
import re
import socket

import pytest

from prober.outlets import web_server
from prober.outlets.web_server import bind
from tests.servers.ports import Ports


def test_a_taken_port_is_said_clearly_before_anything_starts() -> None:
    """With the address and what to do."""
    [holder] = bind("127.0.0.1:0")
    with holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(
            OSError, match=f"cannot listen on '{re.escape(taken)}': Address already in use; another process"
        ) as caught:
            bind(taken)

    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("listen", ["", "9859", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", "name.invalid:9859"])
def test_what_is_no_address_is_said_clearly(listen: str) -> None:
    """An OSError with the text that the operator wrote."""
    with pytest.raises(OSError, match=r"cannot listen on"):
        bind(listen)


def test_all_addresses_of_the_host_and_ipv6_can_be_listened_on() -> None:
    """``:PORT`` is every address, each family with its own socket and the same port."""
    with Ports() as ports:
        port = ports.take("::1").port
    everywhere = bind(f":{port}")
    families = {listener.family for listener in everywhere}
    used = {listener.getsockname()[1] for listener in everywhere}
    for listener in everywhere:
        listener.close()
    [six] = bind("[::1]:0")
    url = web_server.url_of(six)
    six.close()

    assert families == {socket.AF_INET, socket.AF_INET6}
    assert used == {port}
    assert re.fullmatch(r"http://\[::1\]:\d+", url)


def test_a_host_whose_kernel_has_no_ipv6_listens_on_ipv4_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver names ``::`` for every address all the same; what cannot be had of an address that was asked for is said."""

    class WithoutIpv6(socket.socket):
        def __init__(self, family: int, *more: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *more)

    monkeypatch.setattr(web_server.socket, "socket", WithoutIpv6)
    [only] = bind(":0")
    family = only.family
    only.close()
    assert family == socket.AF_INET
    with pytest.raises(OSError, match=r"cannot listen on '\[::1\]:0': Address family not supported"):
        bind("[::1]:0")
