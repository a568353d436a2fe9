"""Handshakes with OpenSSL's server, through Python's `ssl` and memory: a real peer without a socket."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

from prober.tls.client_hello import HelloFactory
from prober.tls.events import ApplicationData, Event
from prober.tls.handshake import ClientHandshake
from prober.tls.profile import Profile
from prober.tls.profiles import PROFILES
from tests.pki import Issued
from tests.tls.counter import CounterEntropy

__all__ = ["Conversation", "context", "factory_for", "handshake_for"]


@cache
def factory_for(profile: Profile | str, tls: str = "auto") -> HelloFactory:
    """Hellos of a profile or of the one with this name."""
    return HelloFactory(PROFILES[profile] if isinstance(profile, str) else profile, tls=tls, entropy=CounterEntropy())


def handshake_for(
    profile: Profile | str = "modern", tls: str = "auto", *, depth: str = "finished", close_when_finished: bool = False
) -> ClientHandshake:
    """A client."""
    offer = factory_for(profile, tls).offer("api.example.test")
    return ClientHandshake(offer, depth=depth, close_when_finished=close_when_finished)


def context(issued: Issued, directory: Path, *, ciphers: str = "ALL:@SECLEVEL=0", group: str | None = None) -> ssl.SSLContext:
    """A server that speaks everything from TLS 1.0 on, with one certificate and at most one group."""
    files = issued.write(directory)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.minimum_version = ssl.TLSVersion.TLSv1
    server.load_cert_chain(files.certificate, files.key)
    if group is not None:
        server.set_ecdh_curve(group)
    return server


class Conversation:
    """Both ends of a connection, carried on until neither has anything to say."""

    def __init__(
        self, handshake: ClientHandshake, server: ssl.SSLContext, cut: Callable[[bytes], list[bytes]] | None = None
    ) -> None:
        self.handshake = handshake
        self.to_server, self.from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self.to_server, self.from_server, server_side=True)
        self.events: list[Event] = []
        self.server_error: ssl.SSLError | None = None
        self.server_finished = False
        self.flights: list[bytes] = []
        """What the server sent, flight by flight."""
        self._cut = cut

    def run(self) -> Conversation:
        """Shake hands."""
        for _ in range(8):
            question = self.handshake.data_to_send()
            self.to_server.write(question)
            self._serve()
            answer = self.from_server.read()
            if not question and not answer:
                break
            if answer:
                self.flights.append(answer)
                for piece in [answer] if self._cut is None else self._cut(answer):
                    self.events += self.handshake.receive_data(piece)
        return self

    def _serve(self) -> None:
        if self.server_finished or self.server_error is not None:
            return
        try:
            self.server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.server_error = error
        else:
            self.server_finished = True

    def ask(self, question: bytes) -> bytes:
        """Send application data, echo it at the server, and return what came back."""
        self.handshake.send_application_data(question)
        self.to_server.write(self.handshake.data_to_send())
        self.server.write(self.server.read(len(question)))
        events = self.handshake.receive_data(self.from_server.read())
        return b"".join(event.data for event in events if isinstance(event, ApplicationData))

    def farewell(self) -> bool:
        """Say goodbye; whether the server understood it as such."""
        self.handshake.close()
        self.to_server.write(self.handshake.data_to_send())
        try:
            return self.server.read(1) == b""
        except ssl.SSLZeroReturnError:
            return True
