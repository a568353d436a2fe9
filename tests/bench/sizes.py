"""How much of everything is run."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["FULL", "QUICK", "TINY", "Sizes"]

_BOTH = ("nginx TLS 1.2", "nginx TLS 1.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bounds of one benchmark."""

    rounds: int
    """Of the handshake table."""
    concurrencies: tuple[int, ...]
    seconds: float
    """What one contender should take of processor time in one round."""
    bulk: int
    """Handshakes of one `prober once`."""
    window: float
    """Seconds for which a service is watched, once it has settled."""
    serve_rounds: int
    versions: tuple[str, ...]
    """The servers that show half of a service's targets their certificate."""
    rates: tuple[int, ...]
    """Handshakes a second."""
    interval: int
    """Seconds between two rounds of one target."""
    truth: int
    """Handshakes whose time is held against the server's."""
    in_flight: int
    """Handshakes that wait for an answer while memory is read."""
    targets: int
    """Of the service whose memory and start are measured."""
    starts: int
    """How often a program is started."""

    def with_rounds(self, rounds: int) -> Sizes:
        """The same with other rounds."""
        return replace(self, rounds=rounds)

    def at(self, *concurrencies: int) -> Sizes:
        """The same at other concurrencies."""
        return replace(self, concurrencies=concurrencies)


FULL = Sizes(
    rounds=5, concurrencies=(1, 100, 1000), seconds=0.5, bulk=30_000, window=30.0, serve_rounds=2, versions=_BOTH, rates=(667, 2000), interval=15,
    truth=20_000, in_flight=4000, targets=10_000, starts=9,
)  # fmt: skip
"""Some thirty minutes."""
QUICK = Sizes(
    rounds=3, concurrencies=(100,), seconds=0.2, bulk=6_000, window=8.0, serve_rounds=1, versions=_BOTH, rates=(667,), interval=5,
    truth=6000, in_flight=2000, targets=3000, starts=5,
)  # fmt: skip
"""Some three minutes: enough to see whether a change did something."""
TINY = Sizes(
    rounds=1, concurrencies=(10,), seconds=0.004, bulk=60, window=1.0, serve_rounds=1, versions=_BOTH[1:], rates=(60,), interval=1,
    truth=60, in_flight=30, targets=20, starts=1,
)  # fmt: skip
"""A few seconds: says that it works, and nothing else."""
