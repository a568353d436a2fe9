"""Where to connect, read from what people write: on the command line, in YAML, in ``/probe?target=``. Pure.

Accepted: ``name``, ``name:port``, ``ip``, ``ip:port``, ``[v6]:port``, ``[v6]``, a bare ``v6`` (its colons cannot be a port's),
and ``https://name[:port]/``. A scope (``fe80::1%eth0``) belongs to the IPv6 literal. Names are what resolvers accept in practice:
underscores and a trailing dot are fine, and an internationalised name is turned into its A-labels.
"""

from __future__ import annotations

import ipaddress
import re

from prober.model import Address
from prober.tls.server_name import BadServerName, ascii_name
from prober.whole_numbers import whole_number

__all__ = ["DEFAULT_PORT", "is_ip", "parse_address", "parse_server_name"]

DEFAULT_PORT = 443

# RFC 1035 §2.3.4: a label has at most 63 octets, a name 253 in its written form.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_NAME_LIMIT = 253
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_SCOPE_IN_URL = re.compile(r"%25(?=[^\]])")
# Four numbers without leading zeros, which is all that `ipaddress` takes; a tenth of its time, for ten thousand targets.
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.|\Z)){4}(?<!\.)\Z")


def is_ip(host: str) -> bool:
    """Whether ``host`` is an IP literal (without brackets; an IPv6 one may carry ``%scope``)."""
    if ":" not in host:
        return _IPV4.match(host) is not None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_address(text: str) -> Address:
    """Read one address; ``ValueError`` says what is wrong with it and what was expected."""
    stripped = text.strip()
    if not stripped:
        raise ValueError("an address is empty; write a name or an IP address, optionally with :PORT")
    if "@" in stripped:
        # The text is not repeated: what stands before the @ may be a secret.
        raise ValueError("the address has user information before an @; a handshake needs none, remove it")
    if match := _SCHEME.match(stripped):
        return _from_url(stripped, match["scheme"], stripped[match.end() :])
    return _from_authority(stripped)


def parse_server_name(text: str) -> str:
    """Read one server name (what SNI carries); ``ValueError`` says what is wrong with it.

    RFC 6066 §3 allows neither IP literals nor a trailing dot, but a prober may want to send both: they pass unchanged.
    """
    stripped = text.strip()
    if not stripped:
        raise ValueError("a server name is empty; write the name that clients ask for, for example api.example.com")
    if is_ip(stripped):
        return stripped
    if "*" in stripped:
        raise ValueError(f"{stripped!r} is a pattern; a client sends one name, so write one that the pattern covers")
    if "/" in stripped or ":" in stripped:
        raise ValueError(f"{stripped!r} is no server name; write the name alone, without scheme, port and path")
    return _name(stripped)


def _from_url(text: str, scheme: str, rest: str) -> Address:
    if scheme.lower() != "https":
        raise ValueError(f"{text!r} has the scheme {scheme!r}; only https:// means TLS from the first byte")
    authority, separator, path = re.split(r"([/?#])", rest, maxsplit=1) if re.search(r"[/?#]", rest) else (rest, "", "")
    if path or separator not in {"", "/"}:
        raise ValueError(f"{text!r} has a path; a handshake ends before any request, so write https://NAME[:PORT]/")
    if not authority:
        raise ValueError(f"{text!r} has no host; write https://NAME[:PORT]/")
    # RFC 6874 §2: in a URL the percent sign before a scope is percent-encoded; curl takes it with and without.
    return _from_authority(_SCOPE_IN_URL.sub("%", authority, count=1) if authority.startswith("[") else authority)


def _from_authority(text: str) -> Address:
    if "/" in text:
        raise ValueError(f"{text!r} has a path; write NAME[:PORT], IP[:PORT], [IPv6]:PORT or https://NAME[:PORT]/")
    if text.startswith("["):
        return _from_brackets(text)
    if text.count(":") > 1:
        if is_ip(text):
            return Address(_ip(text), DEFAULT_PORT)
        raise ValueError(f"{text!r} is no IPv6 address; with a port it is written [IPv6]:PORT, for example [2001:db8::1]:443")
    host, colon, port = text.partition(":")
    if not host:
        raise ValueError(f"{text!r} has no host before the port; write NAME:PORT or IP:PORT")
    return Address(_host(host), _port(port, text) if colon else DEFAULT_PORT)


def _from_brackets(text: str) -> Address:
    literal, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise ValueError(f"{text!r} has no closing bracket; write [IPv6]:PORT, for example [2001:db8::1]:443")
    if ":" not in literal or not is_ip(literal):
        raise ValueError(f"{literal!r} in brackets is no IPv6 address; names and IPv4 addresses are written without brackets")
    if rest and not rest.startswith(":"):
        raise ValueError(f"{text!r} has {rest!r} after the bracket; write [IPv6]:PORT")
    return Address(_ip(literal), _port(rest[1:], text) if rest else DEFAULT_PORT)


def _port(text: str, whole: str) -> int:
    if not text:
        raise ValueError(f"{whole!r} ends in a colon; write a port after it or leave the colon out")
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} in {whole!r} is no port; write a number from 1 to 65535")
    port = whole_number(text, 1, 65535)
    if port is None:
        raise ValueError(f"port {text} in {whole!r} is out of range; write a number from 1 to 65535")
    return port


def _ip(text: str) -> str:
    """The canonical spelling, so that two spellings of one address are one endpoint."""
    if _IPV4.match(text):
        return text
    return str(ipaddress.ip_address(text))


def _host(text: str) -> str:
    try:
        return _ip(text)
    except ValueError:
        pass
    if re.fullmatch(r"[0-9][0-9.]*", text):
        raise ValueError(f"{text!r} is no IPv4 address; it has four numbers from 0 to 255 without leading zeros")
    return _name(text)


def _name(text: str) -> str:
    name = text
    if not text.isascii():
        try:
            name = ascii_name(text)
        except BadServerName as error:
            raise ValueError(f"{error}; write its xn-- form") from None
    labels = name.removesuffix(".").split(".")
    if len(name.removesuffix(".")) > _NAME_LIMIT:
        raise ValueError(f"the name {text[:40]!r}... is longer than {_NAME_LIMIT} characters; check for a missing line break")
    for label in labels:
        if not _LABEL.match(label):
            what = "an empty label" if not label else f"the label {label!r}"
            rule = "labels have 1 to 63 letters, digits, hyphens (not at an end) or underscores"
            raise ValueError(f"{text!r} is no host name: it has {what}; {rule}")
    return name
