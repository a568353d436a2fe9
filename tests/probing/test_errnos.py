"""Whose fault an errno is."""

from __future__ import annotations

import errno

import pytest

from prober.model import Outcome
from prober.probing.errnos import connect_outcome, errno_detail, errno_name, standing_outcome


@pytest.mark.parametrize(
    ("name", "connecting", "standing"),
    [
        ("ECONNREFUSED", Outcome.REFUSED, Outcome.RESET),
        ("ECONNRESET", Outcome.RESET, Outcome.RESET),
        ("EPIPE", Outcome.RESET, Outcome.RESET),
        ("ETIMEDOUT", Outcome.CONNECT_TIMEOUT, Outcome.TIMEOUT),
        ("EHOSTUNREACH", Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        ("ENETUNREACH", Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        ("EACCES", Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        ("EPERM", Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        ("EHOSTDOWN", Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        ("ENETDOWN", Outcome.UNREACHABLE, Outcome.UNREACHABLE),
        ("EINVAL", Outcome.UNREACHABLE, Outcome.LOCAL_ERROR),
        ("EMFILE", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        ("ENFILE", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        ("EADDRNOTAVAIL", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        ("ENOBUFS", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        ("ENOMEM", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        ("EAFNOSUPPORT", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
        ("EAGAIN", Outcome.LOCAL_ERROR, Outcome.LOCAL_ERROR),
    ],
)
def test_an_errno_means_the_same_wherever_it_comes_from(name: str, connecting: Outcome, standing: Outcome) -> None:
    """Before the connection stood, and after."""
    code = getattr(errno, name)
    assert (connect_outcome(code), standing_outcome(code)) == (connecting, standing)


def test_an_ingress_is_not_blamed_for_what_nobody_can_explain() -> None:
    """A number that no table has is ours."""
    assert connect_outcome(99999) is Outcome.LOCAL_ERROR
    assert standing_outcome(99999) is Outcome.LOCAL_ERROR


def test_every_errno_has_a_name_and_a_text() -> None:
    """Also one that the platform does not know."""
    assert errno_name(errno.ECONNRESET) == "ECONNRESET"
    assert errno_name(99999) == "errno_99999"
    assert all(errno_detail(code) for code in errno.errorcode)
