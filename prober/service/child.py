"""One process of a worker: started, told, heard, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from prober.service.frames import FrameStream

__all__ = ["END_SECONDS", "Child"]

END_SECONDS = 2.0
"""For a process whose socket was closed. It needs some milliseconds; one that hangs is killed."""


class Child:
    """A running worker process and the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes], stream: FrameStream) -> None:
        self._process = process
        self._stream = stream
        self._outbox: deque[bytes] = deque()
        self._told = trio.Event()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Child]:
        """A new process; it has ended when the context is left, however that is. OSError when this host has no room for one."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # Not trio.run_process: that starts it in a thread, with whose end Linux would send the signal of a parent's death.
                process = subprocess.Popen(  # noqa: ASYNC220, S603  (ourselves; vfork and exec take a millisecond)
                    [sys.executable, "-P", "-m", "prober.service.worker", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # The same modules as here, from wherever they are; `-P` keeps whatever else the working directory holds out.
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            except OSError:
                ours.close()
                raise
        stream = FrameStream(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
        child = cls(process, stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child._send)
                yield child
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()
                await child._end()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def how(self) -> str:
        """How it ended."""
        status = self._process.returncode
        if status is None:
            return "it runs"
        if status >= 0:
            return f"status {status}"
        try:
            return signal.Signals(-status).name
        except ValueError:  # of the real-time signals, two have names
            return f"signal {-status}"

    def tell(self, frame: bytes) -> None:
        """Send it, after what was told before."""
        self._outbox.append(frame)
        self._told.set()

    async def receive(self) -> bytes | None:
        """The next frame; None once the process has ended."""
        return await self._stream.receive()

    async def _send(self) -> None:
        while True:
            await self._told.wait()
            self._told = trio.Event()
            while self._outbox:
                try:
                    await self._stream.send(self._outbox.popleft())
                except trio.BrokenResourceError:
                    return  # it has ended, as the receiving side sees

    async def _end(self) -> None:
        """Wait for its end; in a thread, since only a wait by its parent lets the process go."""
        try:
            await trio.to_thread.run_sync(self._process.wait, END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await trio.to_thread.run_sync(self._process.wait)
