"""What is handed to connect()."""

from __future__ import annotations

import errno
import socket

import pytest

from prober.model import Endpoint
from prober.probing.dial import socket_address


def test_a_scope_is_a_name_or_a_number() -> None:
    """Only an IPv6 address has one; the others pass as they are."""
    [(index, name), *_] = socket.if_nameindex()

    assert socket_address(Endpoint(f"fe80::1%{name}", 443)) == ("fe80::1", 443, 0, index)
    assert socket_address(Endpoint("fe80::1%7", 443)) == ("fe80::1", 443, 0, 7)
    assert socket_address(Endpoint("192.0.2.1", 443)) == ("192.0.2.1", 443)


@pytest.mark.parametrize("scope", ["nowhere0", "\u00b2", "a\0b", "\ud800", "x" * 300, str(1 << 32), "1" * 5000])
def test_a_scope_that_no_interface_can_have_is_this_hosts_fault(scope: str) -> None:
    """A digit that is none to int(), what no system call takes, and a number of which connect() would see the lower half."""
    with pytest.raises(OSError) as caught:
        socket_address(Endpoint(f"fe80::1%{scope}", 443))

    assert caught.value.errno in {None, errno.ENODEV}
