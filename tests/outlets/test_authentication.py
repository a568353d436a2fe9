"""Basic authentication: who gets in, what a flood of passwords costs, and what the memory of successes cannot be made to say."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
import trio
import trio.testing

from prober.outlets import authentication
from prober.outlets.authentication import MOST_WAITING, MOST_WAITING_OF_ONE, Authentication


def hashed(password: bytes, cost: int = 4) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost))


ALICE = hashed(b"correct horse")
BOB = hashed(b"battery staple")


def basic(user: str, password: str | bytes) -> list[bytes]:
    secret = password.encode() if isinstance(password, str) else password
    return [b"Basic " + base64.b64encode(user.encode() + b":" + secret)]


class Door:
    """The middleware before an application that answers 200."""

    def __init__(self, **users: bytes) -> None:
        self.users = users
        self._app = Authentication(self._inside, lambda: self.users)
        self.entered = 0

    async def _inside(self, scope: Any, receive: Any, send: Any) -> None:
        self.entered += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def knock(
        self, authorization: list[bytes], client: str = "192.0.2.1", kind: str = "http", path: str = "/"
    ) -> list[Any]:
        """Everything that is sent for one request."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        headers = [(b"authorization", value) for value in authorization]
        scope = {"type": kind, "method": "GET", "path": path, "headers": headers, "client": (client, 4711)}
        await self._app(scope, receive, send)
        return sent

    async def status(self, authorization: list[bytes], client: str = "192.0.2.1") -> int:
        """The status alone."""
        status: int = (await self.knock(authorization, client))[0]["status"]
        return status


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes against which bcrypt was run."""
    run: list[bytes] = []
    real = authentication._matches

    def counted(password: bytes, stored: bytes) -> bool:
        run.append(stored)
        return real(password, stored)

    monkeypatch.setattr(authentication, "_matches", counted)
    return run


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A check takes until the event is set."""
    finish = threading.Event()
    real = authentication._matches

    def slow(password: bytes, stored: bytes) -> bool:
        finish.wait(30)
        return real(password, stored)

    monkeypatch.setattr(authentication, "_matches", slow)
    yield finish
    finish.set()


async def test_the_right_password_opens_and_costs_once(checks: list[bytes]) -> None:
    """The second request is let in by the memory of the first."""
    door = Door(alice=ALICE, bob=BOB)
    assert [await door.status(basic("alice", "correct horse")) for _ in range(3)] == [200, 200, 200]
    assert checks == [ALICE]
    assert door.entered == 3


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        [b""],
        [b"Basic"],
        [b"Basic !!!!"],
        [b"Basic " + base64.b64encode(b"alice")],
        [b"Basic " + base64.b64encode(b"\xff\xfe:correct horse")],
        [b"Bearer " + base64.b64encode(b"alice:correct horse")],
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("alice", "correct horse\n"),
        basic("alice", b"correct horse\0"),
        basic("Alice", "correct horse"),
        basic("bob", "correct horse"),
        basic("alice", ALICE),
        basic("", ""),
        basic("nobody", "correct horse"),
        basic("nobody", "x" * 5000),
        basic("alice", "correct horse") * 2,
    ],
)
async def test_everything_else_is_challenged(authorization: list[bytes]) -> None:
    """401 with the way in, and the application has not heard of it."""
    door = Door(alice=ALICE, bob=BOB)
    start, body = await door.knock(authorization)
    assert start["status"] == 401
    assert dict(start["headers"])[b"www-authenticate"] == b'Basic realm="prober", charset="UTF-8"'
    assert b"alice" not in body["body"]
    assert door.entered == 0


async def test_the_scheme_has_no_case() -> None:
    """RFC 7235 §2.1."""
    [written] = basic("alice", "correct horse")
    assert await Door(alice=ALICE).status([written.replace(b"Basic", b"bAsIc")]) == 200


async def test_a_long_password_is_read_as_bcrypt_reads_it() -> None:
    """The tools that made the hash have cut it off at 72 bytes."""
    door = Door(alice=hashed(b"x" * 72))
    assert await door.status(basic("alice", "x" * 100)) == 200
    assert await door.status(basic("alice", "x" * 71)) == 401


async def test_a_success_is_remembered_of_that_user_password_and_hash_alone(checks: list[bytes]) -> None:
    """Nothing that is remembered opens for another password, another user, or after the password was changed."""
    same = hashed(b"correct horse")
    door = Door(alice=ALICE, carol=same)
    assert await door.status(basic("alice", "correct horse")) == 200
    assert await door.status(basic("alice", "wrong")) == 401
    assert await door.status(basic("alice", "wrong")) == 401
    assert await door.status(basic("carol", "correct horse")) == 200
    # Parts that would be the same text when they are joined.
    assert await door.status(basic("alic", "e" + "correct horse")) == 401
    assert await door.status(basic("alice", "correct horse")) == 200
    assert checks.count(same) == 1
    checks.clear()
    door.users = {"alice": hashed(b"new")}
    assert await door.status(basic("alice", "correct horse")) == 401
    assert await door.status(basic("alice", "new")) == 200
    assert await door.status(basic("carol", "correct horse")) == 401
    assert len(checks) == 3


async def test_a_user_who_is_removed_is_out_at_once() -> None:
    """Remembered or not."""
    door = Door(alice=ALICE, bob=BOB)
    assert await door.status(basic("alice", "correct horse")) == 200
    del door.users["alice"]
    assert await door.status(basic("alice", "correct horse")) == 401


async def test_an_unknown_user_costs_what_the_costliest_costs(checks: list[bytes]) -> None:
    """The same function on a hash of the same cost, and never a success."""
    door = Door(cheap=hashed(b"a", 4), dear=hashed(b"b", 6))
    assert await door.status(basic("nobody", "a")) == 401
    assert [stored[:7] for stored in checks] == [b"$2b$06$"]
    assert len(checks[0]) == 60


async def test_an_unknown_user_is_refused_whatever_the_comparison_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash that nobody has is there for its cost alone."""
    monkeypatch.setattr(authentication, "_matches", lambda password, stored: True)
    door = Door(alice=ALICE)
    assert await door.status(basic("nobody", "x")) == 401
    assert await door.status(basic("nobody", "x")) == 401
    assert door.entered == 0


async def test_without_users_everybody_is_let_in() -> None:
    """Until there are some."""
    door = Door()
    assert await door.status([]) == 200
    door.users = {"alice": ALICE}
    assert await door.status([]) == 401


@pytest.mark.parametrize("path", ["/-/healthy", "/metrics", "/static/prober.css", "/nothing/here"])
async def test_no_path_is_exempt(path: str) -> None:
    """Not even the probes of an orchestrator."""
    door = Door(alice=ALICE)
    assert (await door.knock([], path=path))[0]["status"] == 401


async def test_a_web_socket_is_refused() -> None:
    """There are none; a door that asks http alone would be none."""
    door = Door(alice=ALICE)
    assert await door.knock([], kind="websocket") == [{"type": "websocket.close"}]
    assert door.entered == 0


async def test_a_flood_is_bounded_and_does_not_stop_the_loop(held: threading.Event) -> None:
    """Checks wait for each other in a thread, up to a number of one client and of all; more are 503, and the loop goes on."""
    door = Door(alice=ALICE)
    answers: list[int] = []

    async def attack(client: str) -> None:
        answers.append(await door.status(basic("alice", "wrong"), client))

    async with trio.open_nursery() as nursery:
        for _ in range(MOST_WAITING_OF_ONE + 3):
            nursery.start_soon(attack, "198.51.100.1")
        await trio.testing.wait_all_tasks_blocked()
        assert answers == [503] * 3
        for index in range(MOST_WAITING):
            nursery.start_soon(attack, f"203.0.113.{index}")
        await trio.testing.wait_all_tasks_blocked()
        assert answers == [503] * (3 + MOST_WAITING_OF_ONE)
        began = trio.current_time()
        for _ in range(10):
            await trio.sleep(0.001)
        assert trio.current_time() - began < 5
        held.set()
    assert sorted(set(answers)) == [401, 503]
    assert answers.count(401) == MOST_WAITING
    assert await door.status(basic("alice", "correct horse"), "198.51.100.1") == 200


async def test_one_who_was_in_before_is_not_held_up_by_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scraper's requests go by while all places are taken by others."""
    door = Door(alice=ALICE)
    assert await door.status(basic("alice", "correct horse")) == 200
    finish = threading.Event()
    monkeypatch.setattr(authentication, "_matches", lambda password, stored: not finish.wait(30))
    async with trio.open_nursery() as nursery:
        for index in range(MOST_WAITING):
            nursery.start_soon(door.status, basic("alice", "wrong"), f"203.0.113.{index}")
        await trio.testing.wait_all_tasks_blocked()
        assert await door.status(basic("alice", "correct horse"), "192.0.2.9") == 200
        assert await door.status(basic("bob", "battery staple"), "192.0.2.9") == 503
        finish.set()


async def test_requests_that_come_together_cost_one_check(checks: list[bytes]) -> None:
    """A browser asks for a page's parts at once, before the first has been let in."""
    door = Door(alice=ALICE)
    async with trio.open_nursery() as nursery:
        for _ in range(MOST_WAITING_OF_ONE):
            nursery.start_soon(door.status, basic("alice", "correct horse"))
    assert door.entered == MOST_WAITING_OF_ONE
    assert checks == [ALICE]


async def test_a_client_that_leaves_frees_its_place(held: threading.Event) -> None:
    """Cancelled while it waits, it is counted no more."""
    door = Door(alice=ALICE)
    for _ in range(3):
        async with trio.open_nursery() as nursery:
            for _ in range(MOST_WAITING_OF_ONE):
                nursery.start_soon(door.status, basic("alice", "wrong"))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    held.set()
    assert await door.status(basic("alice", "correct horse")) == 200
