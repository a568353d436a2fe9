"""Basic authentication (RFC 7617) against bcrypt hashes, around the whole application: no path is exempt.

bcrypt is slow on purpose. It runs in a thread, one check at a time, so that a flood of passwords costs at most one core and
never the loop that probes; what is waiting is bounded, in all and for each client. A success is remembered, by a hash under a key
that this process alone has: a scraper pays once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import trio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["MOST_WAITING", "MOST_WAITING_OF_ONE", "Authentication", "Users"]

Users = Callable[[], Mapping[str, bytes]]
"""bcrypt hashes by name, as they are now."""

MOST_WAITING = 32
"""Checks that may wait for their turn; the next is answered 503."""

MOST_WAITING_OF_ONE = 8
"""Of one client address, so that it does not take the places of all others. A page's parts are asked for at once."""

BCRYPT_BYTES = 72
"""What bcrypt reads of a password. Tools that make hashes cut off the rest, so that it must be cut off here."""

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="prober", charset="UTF-8"'}


class _Credentials(NamedTuple):
    user: str
    password: bytes


class _Overrun(Exception):
    """Too many checks are waiting."""


class Authentication:
    """ASGI middleware. While ``users`` gives none, everybody is let in."""

    def __init__(self, app: ASGIApp, users: Users) -> None:
        self._app = app
        self._users = users
        self._passwords = _Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        users = self._users()
        if not users or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        client = scope.get("client")
        try:
            credentials = _credentials(scope)
            if credentials is not None and await self._passwords.check(credentials, users, client[0] if client else ""):
                await self._app(scope, receive, send)
                return
            refusal = PlainTextResponse("a user and a password are needed\n", 401, _CHALLENGE)
        except _Overrun:
            refusal = PlainTextResponse("too many passwords are being checked\n", 503, {"Retry-After": "1"})
        await refusal(scope, receive, send)


class _Passwords:
    """Checks passwords, and remembers the last that was right of each user."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._right: dict[str, bytes] = {}
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._waiting: Counter[str] = Counter()

    async def check(self, given: _Credentials, users: Mapping[str, bytes], client: str) -> bool:
        """Whether it is the user's password. An unknown user takes as long as the user whose hash costs most."""
        stored = users.get(given.user)
        seal = self._seal(given, stored or b"")
        if self._remembered(given.user, stored, seal):
            return True
        if self._waiting.total() >= MOST_WAITING or self._waiting[client] >= MOST_WAITING_OF_ONE:
            raise _Overrun
        self._waiting[client] += 1
        try:
            async with self._one_at_a_time:
                if self._remembered(given.user, stored, seal):  # by a request that was before this one
                    return True
                compared = stored if stored is not None else _of_nobody(users)
                matches = await trio.to_thread.run_sync(_matches, given.password, compared, abandon_on_cancel=True)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        if not matches or stored is None:
            return False
        self._right[given.user] = seal
        return True

    def _remembered(self, user: str, stored: bytes | None, seal: bytes) -> bool:
        return stored is not None and hmac.compare_digest(self._right.get(user, b""), seal)

    def _seal(self, given: _Credentials, stored: bytes) -> bytes:
        """Of the hash too, so that a changed password ends what was remembered. Lengths keep the parts apart."""
        digest = blake2b(key=self._secret, digest_size=32)
        for part in (given.user.encode(), stored, given.password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def _matches(password: bytes, stored: bytes) -> bool:
    import bcrypt

    return bcrypt.checkpw(password[:BCRYPT_BYTES], stored)


def _of_nobody(users: Mapping[str, bytes]) -> bytes:
    """A hash that takes as long as the costliest one; what it matches is not asked."""
    salt = max(users.values(), key=lambda stored: stored[4:6])[:29]
    return salt + b"." * 31


def _credentials(scope: Scope) -> _Credentials | None:
    """RFC 7617 §2; None where there are none, more than one, or none that can be read."""
    written = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(written) != 1:
        return None
    scheme, _, encoded = written[0].strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return _Credentials(user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None
