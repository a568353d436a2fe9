"""Server names as they go on the wire (RFC 6066 §3): ASCII, A-labels for international names, no trailing dot."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

__all__ = ["BadServerName", "ServerNameForm", "ascii_name", "canary_name", "encode_server_name", "host_name"]


class BadServerName(ValueError):
    """A name that cannot be a server name; the text says why."""


class ServerNameForm(StrEnum):
    """How a profile writes the name that it is given. Only ``host_name`` is what RFC 6066 §3 asks for."""

    HOST_NAME = "host_name"
    IP_LITERAL = "ip_literal"
    """An IP address, as some old stacks send it: the name itself if it is one, else 192.0.2.1 of the documentation range."""
    TRAILING_DOT = "trailing_dot"
    """The name with the DNS root's dot."""


# Most names are this already: letters, digits, hyphens and underscores (seen in real virtual hosts) in labels of 1 to 63.
# IPv4 addresses are this too, see `encode_server_name`.
_PLAIN = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}").fullmatch
_IPV4 = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}").fullmatch
# UTS 46 §2.3: what separates labels.
_DOTS = re.compile("[\u3002\uff0e\uff61]")


@lru_cache(maxsize=4096)
def encode_server_name(name: str) -> bytes:
    """``name`` as the bytes of a ``HostName``; BadServerName (a ValueError) when it cannot be one.

    International names become A-labels (IDNA). One trailing dot is dropped, as RFC 6066 §3 says. An IP address, which the RFC
    forbids, stays as it is: who writes one as a server name wants to see what the ingress makes of it.
    """
    if _PLAIN(name) is not None:
        return name.encode("ascii")
    if _is_ipv6(name):
        return name.encode("ascii")
    bare = name.removesuffix(".")
    if not bare:
        raise BadServerName("the server name is empty; to send no name, use the hello `none`")
    encoded = ascii_name(bare)
    if not all(encoded.split(".")):
        raise BadServerName(f"{_shown(name)} has an empty label; remove the extra dot")
    if len(encoded) > 253:
        raise BadServerName(f"{_shown(name)} has {len(encoded)} bytes on the wire; a DNS name has at most 253")
    odd = re.search(r"[^A-Za-z0-9_.-]", encoded)
    if odd is not None:
        raise BadServerName(f"{_shown(name)} contains {odd[0]!r}, which no host name has")
    return encoded.encode("ascii")


def ascii_name(name: str) -> str:
    """``name`` with its international labels as A-labels (RFC 5891 §4, prepared by UTS 46); BadServerName when one is invalid.

    Everything that looks up, sends or compares a name has it from here: what IDNA 2003 makes of it may be another one's
    (``straße.example`` was ``strasse.example``). Labels of ASCII stay as they are, empty ones and a trailing dot too.
    """
    return ".".join(_a_label(label, name) for label in _DOTS.sub(".", name).split("."))


def _is_ipv6(name: str) -> bool:
    if ":" not in name:
        return False
    # Imported here: hardly any name gets this far.
    from ipaddress import IPv6Address

    try:
        IPv6Address(name)
    except ValueError:
        return False
    return name.isascii()


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _a_label(label: str, name: str) -> str:
    if label.isascii():
        if len(label) > 63:
            raise BadServerName(f"{_shown(name)} has a label of {len(label)} bytes; a label has at most 63")
        return label
    # Imported here: its tables take 10 ms to load, and few names are international.
    import idna

    try:
        return idna.encode(label, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadServerName(f"{_shown(name)} is no valid international name: {error}") from error


def host_name(form: ServerNameForm, name: str) -> bytes:
    """``name`` as a profile of ``form`` writes it; BadServerName as `encode_server_name`."""
    if form is ServerNameForm.HOST_NAME:
        return encode_server_name(name)
    if form is ServerNameForm.TRAILING_DOT:
        return encode_server_name(name) + b"."
    encoded = encode_server_name(name)
    return encoded if _IPV4(encoded) is not None or b":" in encoded else b"192.0.2.1"


def canary_name(entropy: Callable[[int], bytes]) -> str:
    """A name that nobody can serve (RFC 2606 §2), and that can be found again in an ingress's access log."""
    return f"probe-{entropy(8).hex()}.invalid"
