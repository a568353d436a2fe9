"""Results for people: a block an address, or one line an address where there are many. Reads the objects of `prober.report`."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from prober.cli.terminal import Paint, Terminal, columns, printable
from prober.model import Address, Close, Outcome, Sni, Verdict

__all__ = ["LineTable", "blocks", "totals", "wrap"]

Result = Mapping[str, Any]
"""One element of ``results``, as `prober.report.result_object` builds it."""

_EXPIRING_DAYS = 21
"""The default of `alerting.expiry`, from which on a certificate counts as expiring."""

# A word that fits the columns of one line an address.
_SHORT = {
    Outcome.CERTIFICATE: "cert",
    Outcome.TLS_ALERT: "alert",
    Outcome.RESET: "reset",
    Outcome.CLOSED: "closed",
    Outcome.TIMEOUT: "timeout",
    Outcome.REFUSED: "refused",
    Outcome.CONNECT_TIMEOUT: "no SYN",
    Outcome.UNREACHABLE: "unreach",
    Outcome.NOT_TLS: "not TLS",
    Outcome.PROTOCOL_ERROR: "malform",
    Outcome.RESOLVE_FAILED: "no DNS",
    Outcome.LOCAL_ERROR: "local",
}
_SHORT_WIDTH = 7
_VERDICT_WIDTH = max(map(len, Verdict))


def _by_version(handshake: Result) -> str:
    return str(handshake["tls_version"] or "").removeprefix("TLSv")


def _cipher(handshake: Result) -> str:
    """The suite as it is told apart at a glance: ``AES_128_GCM``, ``CHACHA20_POLY1305``, ``AES_128_CBC_SHA``."""
    name = re.sub(r"^TLS_(.*_WITH_)?", "", str(handshake["cipher_suite"] or ""))
    return re.sub(r"_SHA(256|384)$", "", name) if "GCM" in name or "POLY1305" in name else name


class _Column(NamedTuple):
    """A column that is shown where the terminal is at least ``from_width`` wide. Filled only by a hello that got an answer."""

    title: str
    width: int
    from_width: int
    text: Callable[[Result], str]


_ANSWER_COLUMNS = (
    _Column("TLS", 3, 70, _by_version),
    _Column("cipher", 17, 100, _cipher),
    _Column("group", 14, 118, lambda handshake: str(handshake["group"] or "")),
)
_INDENT = "  "
_GAP = "  "
_BELOW = " " * (len(_INDENT) + 7 + len(_GAP))
"""Before what stands below a row."""
_TIME_WIDTH = 7


def blocks(result: Result, terminal: Terminal, now: datetime) -> Iterator[str]:
    """The lines about one address: verdict, one row a hello, and the sentence that says what to do."""
    yield _headline(result, terminal)
    more = [fault for fault in result["faults"] if fault != result["verdict"]]
    if more:
        yield _INDENT + terminal.paint("also: " + ", ".join(more), Paint.BAD if not result["expected"] else Paint.FAINT)
    yield from _rows(result, terminal, now)
    yield from wrap(printable(result["summary"]), terminal)


def wrap(text: str, terminal: Terminal, indent: str = _INDENT) -> list[str]:
    """A paragraph in lines. Long words (a canary, a fingerprint) stay whole, so that they can be copied."""
    return textwrap.wrap(
        text,
        max(terminal.width - 1, 20),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _standing(result: Result) -> tuple[Paint, str, str]:
    """The colour and symbol of a result, and its plain stand-in: never the colour alone."""
    if result["expected"]:
        return Paint.GOOD, "✓", "+"
    if result["faults"]:
        return Paint.BAD, "✗", "x"
    return Paint.UNSURE, "?", "?"


def _headline(result: Result, terminal: Terminal) -> str:
    paint, fancy, plain = _standing(result)
    verdict = terminal.paint(f"{terminal.symbol(fancy, plain)} {result['verdict']}", Paint.STRONG, paint)
    wanted = " (as expected)" if result["expected"] and result["verdict"] != Verdict.OK else ""
    address = _address(result)
    used = 2 + columns(result["verdict"] + wanted) + len(_GAP) + columns(address)
    line = verdict + wanted + _GAP + terminal.paint(address, Paint.STRONG)
    target = printable(result["target"])
    room = terminal.width - used - len(_GAP)
    if room >= 8 and _adds(target, result):
        line += _GAP + terminal.paint(terminal.shorten(target, room), Paint.FAINT)
    return line


def _address(result: Result) -> str:
    return str(Address(printable(result["address"]), result["port"]))


def _adds(target: str, result: Result) -> bool:
    """Whether the target says more than the address, of which it may be another spelling: without port or brackets."""
    address = _address(result)
    return target not in {address, result["address"]} and not address.startswith(f"{target}:")


def _rows(result: Result, terminal: Terminal, now: datetime) -> Iterator[str]:
    handshakes: Sequence[Result] = result["handshakes"]
    layout = _Layout.of(handshakes, terminal)
    yield _INDENT + terminal.paint(layout.titles(), Paint.FAINT)
    spilled = ""
    for handshake in handshakes:
        name = terminal.shorten(handshake["server_name"] or "-", layout.name)
        cells = [handshake["sni"].ljust(7), _pad(name, layout.name), _outcome(handshake, result, terminal, layout.outcome)]
        below: list[str] = []
        if handshake["outcome"] == Outcome.CERTIFICATE:
            cells += [column.text(handshake)[: column.width].ljust(column.width) for column in layout.answer]
            cells.append(_certificate(handshake, terminal, layout.certificate, now))
            # A handshake that was to be finished and was not, or was refused in the end, must not look like one that went well.
            below = wrap(printable(_behind_certificate(handshake)), terminal, indent=_BELOW)
        else:
            what = printable(_what_happened(handshake))
            if columns(what) > layout.phrase and what != spilled:
                # Once in full on lines of its own; the same again is cut.
                spilled, what = what, ""
                below = wrap(spilled, terminal, indent=_BELOW)
            cells.append(_pad(terminal.shorten(what, layout.phrase), layout.phrase))
        yield _INDENT + _GAP.join(cells) + _milliseconds(handshake).rjust(_TIME_WIDTH + 1)
        yield from (terminal.paint(line, Paint.FAINT) for line in below)


class _Layout(NamedTuple):
    """The columns' widths in one block. ``phrase`` spans the answer's columns where there is no answer to fill them."""

    name: int
    outcome: int
    answer: tuple[_Column, ...]
    certificate: int
    phrase: int
    any_certificate: bool

    @classmethod
    def of(cls, handshakes: Sequence[Result], terminal: Terminal) -> _Layout:
        certificates = any(handshake["outcome"] == Outcome.CERTIFICATE for handshake in handshakes)
        answer = tuple(column for column in _ANSWER_COLUMNS if certificates and terminal.width >= column.from_width)
        outcome = max(len("outcome"), *(len(handshake["outcome"]) for handshake in handshakes))
        answer_width = sum(column.width + len(_GAP) for column in answer)
        room = terminal.width - len(_INDENT) - 7 - 3 * len(_GAP) - outcome - answer_width - _TIME_WIDTH - 1
        # The canary is cut before a known name is: eight of its digits still find it in the ingress's access log.
        known = max((columns(each["server_name"]) for each in handshakes if each["sni"] == Sni.KNOWN), default=0)
        canary = 30 if room >= 30 + 25 else 16
        name = min(max(known, canary), max(room - 21, 12))
        return cls(name, outcome, answer, room - name, room - name + answer_width, certificates)

    def titles(self) -> str:
        titles = ["sni".ljust(7), "server name".ljust(self.name), "outcome".ljust(self.outcome)]
        if self.any_certificate:
            title = "certificate, days left" if self.certificate >= 22 else "certificate"
            titles += [
                *(column.title.ljust(column.width) for column in self.answer),
                title[: self.certificate].ljust(self.certificate),
            ]
        else:
            titles.append("what happened"[: self.phrase].ljust(self.phrase))
        return _GAP.join(titles) + "ms".rjust(_TIME_WIDTH + 1)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _outcome(handshake: Result, result: Result, terminal: Terminal, width: int) -> str:
    word = handshake["outcome"].ljust(width)
    if handshake["outcome"] == Outcome.CERTIFICATE:
        return terminal.paint(word, Paint.BAD if handshake["certificate_valid"] is False else Paint.GOOD)
    if handshake["outcome"] == Outcome.LOCAL_ERROR:
        return terminal.paint(word, Paint.UNSURE)
    # An unknown name is refused by many a healthy ingress, and a client without SNI where that is the policy.
    harmless = handshake["sni"] == Sni.UNKNOWN or (handshake["sni"] == Sni.NONE and result["expected"])
    return word if harmless else terminal.paint(word, Paint.BAD)


def _certificate(handshake: Result, terminal: Terminal, width: int, now: datetime) -> str:
    if not handshake["certificates"]:
        return _pad("(empty)", width)
    leaf = handshake["certificates"][0]
    mark = terminal.symbol("✗ ", "x ") if handshake["certificate_valid"] is False else ""
    days = _days_left(leaf, now)
    age = "" if days is None else f" {days}d"
    subject = terminal.shorten(printable(_subject(leaf)), width - len(mark) - len(age))
    padding = " " * (width - len(mark) - columns(subject) - len(age))
    if days is not None and days < _EXPIRING_DAYS:
        age = terminal.paint(age, Paint.BAD if days < 0 else Paint.UNSURE)
    return terminal.paint(mark, Paint.BAD) + subject + age + padding


def _behind_certificate(handshake: Result) -> str:
    """What went wrong behind a certificate; empty where nothing did."""
    alert = handshake["tls_alert"]
    if handshake["detail"] or alert is None:
        return handshake["detail"] or ""
    return f"after the certificate: alert {alert['code']} {alert['description']}"


def _subject(leaf: Mapping[str, Any]) -> str:
    """The common name, else the first alternative name, else the whole subject: what people call the certificate."""
    subject = str(leaf.get("subject") or "")
    common_name = re.search(r"(?:^|,)CN=((?:\\.|[^,\\])*)", subject)
    if common_name:
        return common_name[1]
    names = leaf.get("subject_alternative_names") or ()
    return str(names[0]) if names else subject or "(no subject)"


def _days_left(leaf: Mapping[str, Any], now: datetime) -> int | None:
    try:
        left = datetime.fromisoformat(leaf["not_after"]).astimezone(UTC) - now
        # Whole days, also backwards: what expired 25 hours ago expired a day ago, and what expired just now has no day left.
        return left.days if left >= timedelta() else min(-(-left).days, -1)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # a certificate that could not be parsed is shown all the same


def _what_happened(handshake: Result) -> str:
    """One phrase for a hello without a certificate, beside its outcome."""
    alert, errno, received = handshake["tls_alert"], handshake["errno"], handshake["bytes_received"]
    amount = f"after {received:,} bytes"
    match Outcome(handshake["outcome"]):
        case Outcome.TLS_ALERT if alert is not None:
            return f"{alert['description']} ({alert['code']})"
        case Outcome.RESET:
            return f"{errno or 'RST'} {amount}"
        case Outcome.CLOSED:
            return f"{Close(handshake['close']).goodbye} {amount}"
        case Outcome.TIMEOUT:
            # Bytes that came too slowly are no silence.
            return f"only {received:,} bytes came" if received else "silence"
        case Outcome.CONNECT_TIMEOUT:
            return "SYN never answered"
        case Outcome.REFUSED | Outcome.UNREACHABLE | Outcome.RESOLVE_FAILED:
            return errno or ""
        case _:
            return ": ".join(part for part in (errno, handshake["detail"]) if part)


def _milliseconds(handshake: Result) -> str:
    total = handshake["seconds"]["total"]
    if total is None:
        return ""
    return f"{total * 1000:.1f}" if total < 10 else f"{total * 1000:.0f}"


class LineTable:
    """One line an address, in columns that are fixed before the first result is there."""

    def __init__(self, terminal: Terminal, sni: Sequence[Sni]) -> None:
        self._terminal = terminal
        self._sni = [mode for mode in Sni if mode in sni]

    def title(self) -> str:
        """The columns' names."""
        cells = ["verdict".ljust(_VERDICT_WIDTH), *(mode.value.ljust(_SHORT_WIDTH) for mode in self._sni), "address"]
        return self._terminal.paint(_INDENT + " ".join(cells), Paint.FAINT)

    def line(self, result: Result) -> str:
        """One address."""
        terminal = self._terminal
        paint, fancy, plain = _standing(result)
        verdict = terminal.paint(f"{terminal.symbol(fancy, plain)} {result['verdict']:<{_VERDICT_WIDTH}}", paint)
        cells = [self._cell(mode, result) for mode in self._sni]
        address = _address(result)
        used = len(_INDENT) + _VERDICT_WIDTH + (_SHORT_WIDTH + 1) * len(cells) + 1 + columns(address) + 1
        target = printable(result["target"])
        line = " ".join([verdict, *cells, address])
        if terminal.width - used >= 8 and _adds(target, result):
            line += " " + terminal.paint(terminal.shorten(target, terminal.width - used), Paint.FAINT)
        return line

    def _cell(self, mode: Sni, result: Result) -> str:
        of_mode = [handshake for handshake in result["handshakes"] if handshake["sni"] == mode]
        if not of_mode:
            return "-".ljust(_SHORT_WIDTH)
        # Several known names: the one that got no certificate is the one to be seen.
        shown = next((handshake for handshake in of_mode if handshake["outcome"] != Outcome.CERTIFICATE), of_mode[0])
        word = _SHORT[Outcome(shown["outcome"])]
        colour = _outcome(shown, result, self._terminal, 0)
        return colour.replace(shown["outcome"], word.ljust(_SHORT_WIDTH))


def totals(verdicts: Counter[str], at_fault: int, inconclusive: int, elapsed: float, terminal: Terminal) -> Iterator[str]:
    """``1,204 addresses in 3.2 s: 14 at fault`` and, below it, how many have which verdict."""
    count = verdicts.total()
    parts = [terminal.paint(f"{at_fault:,} at fault", Paint.STRONG, Paint.BAD if at_fault else Paint.GOOD)]
    if inconclusive:
        parts.append(terminal.paint(f"{inconclusive:,} not judged", Paint.STRONG, Paint.UNSURE))
    noun = "address" if count == 1 else "addresses"
    yield f"{terminal.paint(f'{count:,} {noun}', Paint.STRONG)} in {elapsed:.1f} s: {', '.join(parts)}"
    order = dict.fromkeys((Verdict.OK, *Verdict))
    counts = ", ".join(f"{verdicts[verdict]:,}\N{NO-BREAK SPACE}{verdict}" for verdict in order if verdicts[verdict])
    yield from (line.replace("\N{NO-BREAK SPACE}", " ") for line in wrap(counts, terminal))
