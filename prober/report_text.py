"""The JSON text of a result, from parts that recur: what ``json.dumps(result_object(...))`` would say, at a fraction of its cost.

In a bulk run most hellos are answered alike, and what differs is the address, the canary and the figures. So the text of a
handshake is kept as a template with holes for those, made from `handshake_object` itself. Building and serialising the objects
took as much as the whole handshake costs a C program; filling a template takes a fifth of that.
"""

from __future__ import annotations

import json
from typing import NamedTuple, TypeAlias

from prober.judge.verdicts import HandshakeJudgement, Judgement
from prober.model import Close, Differential, Handshake, Outcome, Sni, Stage
from prober.report import handshake_object
from prober.tls.facts import HandshakeFacts
from prober.tls.remembered import Remembered

__all__ = ["result_text"]

_NAME, _BYTES, _SECONDS = "\0name", "\0bytes", "\0seconds"
"""What stands in the holes while a template is made. Text that came from elsewhere cannot hold it: JSON writes NUL as an escape,
and these are looked for with the quotation marks around them, at places whose order is known."""


class _Template(NamedTuple):
    """The text of a handshake around its holes, which are in this order."""

    before_name: str
    before_bytes: str
    before_seconds: str
    end: str


_Key: TypeAlias = tuple[
    Sni, str, str, Outcome, Stage, str | None, Close, str | None, HandshakeFacts, tuple[object, ...], bool | None, str | None
]

# json.dumps() of a string, without its look at eight options and at what it is given.
_text = json.encoder.encode_basestring_ascii

_CACHE_CHARACTERS = 16 * 1024 * 1024
_templates: Remembered[_Key, _Template] = Remembered(_CACHE_CHARACTERS)


def result_text(differential: Differential, judgement: Judgement) -> str:
    """One ingress address on one line: the text of `prober.report.result_object`."""
    target, address, endpoint, answered = differential
    host, port = (address.host, address.port) if endpoint is None else endpoint
    verdict, faults, expected = judgement[:3]
    listed = ", ".join([f'"{fault}"' for fault in faults])
    handshakes = ", ".join(map(_handshake_text, answered, judgement.handshakes))
    return (
        f'{{"target": {_text(target)}, "address": {_text(host)}, "port": {port}, "verdict": "{verdict}", '
        f'"faults": [{listed}], "expected": {"true" if expected else "false"}, '
        f'"summary": {_text(judgement.summary)}, "handshakes": [{handshakes}]}}'
    )


def _handshake_text(handshake: Handshake, judged: HandshakeJudgement) -> str:
    sni, server_name, profile, ja4, observation, _ = handshake
    outcome, stage, errno, close, bytes_received, detail, seconds, facts, _ = observation
    # The certificates' facts follow from their bytes, which are among `facts`.
    key = (
        sni,
        profile,
        ja4,
        outcome,
        stage,
        errno,
        close,
        detail,
        facts,
        judged.problems,
        judged.certificate_valid,
        judged.default_of,
    )
    template = _templates.get(key)
    if template is None:
        template = _template(handshake, judged)
        weight = sum(map(len, template)) + sum(map(len, facts.certificates))
        _templates.keep(key, template, weight)
    before_name, before_bytes, before_seconds, end = template
    resolve, connect, spent, total, _ = seconds
    if resolve is None or connect is None or spent is None:
        figures = (
            f'"resolve": {_number(resolve)}, "connect": {_number(connect)}, "handshake": {_number(spent)}, "total": {total:.6f}'
        )
    else:  # nearly always, and then all at once
        figures = f'"resolve": {resolve:.6f}, "connect": {connect:.6f}, "handshake": {spent:.6f}, "total": {total:.6f}'
    name = "null" if server_name is None else _text(server_name)
    return f"{before_name}{name}{before_bytes}{bytes_received}{before_seconds}{{{figures}}}{end}"


def _number(seconds: float | None) -> str:
    """Microsecond resolution, as `prober.report` has it; written out, which takes a third of what the shortest form takes."""
    return "null" if seconds is None else f"{seconds:.6f}"


def _template(handshake: Handshake, judged: HandshakeJudgement) -> _Template:
    shape = handshake_object(handshake, judged)
    shape["server_name"], shape["bytes_received"], shape["seconds"] = _NAME, _BYTES, _SECONDS
    before_name, _, rest = json.dumps(shape).partition(json.dumps(_NAME))
    before_bytes, _, rest = rest.partition(json.dumps(_BYTES))
    before_seconds, _, end = rest.rpartition(json.dumps(_SECONDS))
    return _Template(before_name, before_bytes, before_seconds, end)
