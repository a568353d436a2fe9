"""``--verbose``: what went over the wire in one handshake, message by message, with what TCP did around it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from prober.cli.terminal import Paint, Terminal, printable
from prober.model import Close, Differential, Handshake, Observation, Outcome, Sni, Stage

__all__ = ["transcript"]

_LINES = 4
"""Of one field: a hello's 88 cipher suites would push everything else off the screen."""

_EVENT = "*"
"""As curl marks what is no message."""


def transcript(differential: Differential, terminal: Terminal) -> Iterator[str]:
    """The lines about all handshakes of one address, in the order known, none, unknown."""
    for handshake in differential.handshakes:
        yield ""
        yield terminal.paint(_title(handshake), Paint.STRONG)
        observation = handshake.observation
        yield from (terminal.paint(f"  {_EVENT} {line}", Paint.FAINT) for line in _before(observation, differential))
        for entry in observation.transcript:
            yield f"  {entry.direction} {printable(entry.name)} ({entry.size:,} byte{'s' if entry.size != 1 else ''})"
            for line in entry.lines:
                yield from (terminal.paint(part, Paint.FAINT) for part in _wrap(printable(line), terminal))
        yield from (terminal.paint(f"  {_EVENT} {line}", Paint.FAINT) for line in _after(observation))


def _wrap(line: str, terminal: Terminal) -> list[str]:
    """What continues a line stands further in."""
    return textwrap.wrap(
        line,
        terminal.width - 1,
        initial_indent=" " * 6,
        subsequent_indent=" " * 8,
        break_on_hyphens=False,
        max_lines=_LINES,
        placeholder=" ...",
    )


def _title(handshake: Handshake) -> str:
    sent = {Sni.KNOWN: "known name", Sni.NONE: "no server name", Sni.UNKNOWN: "unknown name"}[handshake.sni]
    name = "" if handshake.server_name is None else f" {printable(handshake.server_name)}"
    return f"  {sent}{name} (hello {handshake.profile}, JA4 {handshake.ja4})"


def _before(observation: Observation, differential: Differential) -> Iterator[str]:
    seconds = observation.seconds
    if observation.stage is Stage.RESOLVE:
        yield f"{differential.address.host} was not resolved: {_cause(observation)}"
        return
    if seconds.resolve:
        yield f"{differential.address.host} resolved in {_milliseconds(seconds.resolve)}"
    if seconds.connect is not None:
        yield f"connected to {differential.endpoint} in {_milliseconds(seconds.connect)}"
    else:
        yield f"not connected to {differential.endpoint}: {_cause(observation)}"


def _after(observation: Observation) -> Iterator[str]:
    seconds = observation.seconds
    if seconds.connect is None:
        return
    since = "" if seconds.handshake is None else f", {_milliseconds(seconds.handshake)} after the hello was sent"
    received = f"{observation.bytes_received:,} bytes received"
    match observation.outcome:
        case Outcome.CERTIFICATE:
            done = "both Finished messages are done" if observation.stage is Stage.FINISHED else "the certificate was read"
            yield f"{done}{since} ({received})"
        case Outcome.RESET:
            yield f"RST received ({observation.errno or 'ECONNRESET'}){since} ({received})"
        case Outcome.CLOSED:
            yield f"{observation.close.goodbye} received{since} ({received})"
        case Outcome.TIMEOUT:
            yield f"nothing more came until the deadline{since} ({received})"
        case _:
            yield f"{observation.outcome}{since} ({received})"
    if observation.detail:
        yield printable(observation.detail)
    followed = {Close.FIN: "FIN", Close.RST: "RST"}.get(observation.close)
    told = observation.outcome is Outcome.RESET or (observation.outcome is Outcome.CLOSED and observation.close is Close.FIN)
    if followed is not None and not told:
        yield f"then {followed} received"


def _cause(observation: Observation) -> str:
    parts = (observation.outcome.value, observation.errno, observation.detail)
    return printable(", ".join(part for part in parts if part))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
