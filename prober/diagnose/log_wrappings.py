"""What tools that collect logs put around an access-log entry, where it is in one line: before it, or as an object around it. Pure.

Before it: Stern (``POD CONTAINER ``, with ``-A`` the namespace first, in colours), syslog and the journal (``Mar 02 09:15:04 node name: ``).
Around it: Stern's JSON (``message``), Fluent Bit and Fluentd (``log``), Loki's logcli (``line``), Elasticsearch (``_source``,
``hits``), Splunk (``result``, ``_raw``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from prober.diagnose.access_log import AccessLogEntry, from_broken_json, from_istio_text, from_object

__all__ = ["behind_prefix", "carries", "unwrapped"]

_CARRIERS = ("log", "message", "line", "msg", "_raw", "_source", "result", "hits")
_KEYS = frozenset(_CARRIERS)
_MOST_WRAPPINGS = 8
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Only an ingress's own words make it worth looking behind a prefix: most lines of other programs end here.
_TELLING = re.compile(
    r"status_details|response_code_details|sni_host|requested_server_name|upstream_response_flags|responseCodeDetails"
)
_ISTIO = re.compile(r'\[\d{4}-\d\d-\d\dT[^\]]{1,40}\] "')
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\S+\Z")
_POD_KEYS = ("pod_name", "podName", "pod")


def carries(value: Mapping[str, object]) -> bool:
    """Whether a JSON object that is no entry may be one's wrapping: most have a message that is a sentence, and these are many."""
    if _KEYS.isdisjoint(value):
        return False
    inner = next(value[key] for key in _CARRIERS if key in value)
    return inner.lstrip()[:1] in {"{", "["} if isinstance(inner, str) else isinstance(inner, (dict, list))


def behind_prefix(text: str) -> tuple[AccessLogEntry | None, str | None]:
    """The entry that a line ends with, and the pod where its beginning names one; None where there is no entry."""
    istio = _ISTIO.search(text)
    if istio is None and ("{" not in text or _TELLING.search(text) is None):
        return None, None
    bare = _COLOUR.sub("", text)
    istio = _ISTIO.search(bare)
    start = istio.start() if istio is not None else bare.find("{")
    entry, pod = _read(bare[start:])
    words = [word for word in bare[:start].split() if not _STAMP.match(word)]
    # POD CONTAINER, or NAMESPACE POD CONTAINER; a journal's line has more words before it.
    return entry, pod or (words[-2] if len(words) in {2, 3} else None)


def unwrapped(value: Mapping[str, object]) -> Iterator[tuple[AccessLogEntry | None, str | None]]:
    """The entries in an object around them, with the pod where it names one; one None where there is none."""
    found = [each for each in _inside(value, _MOST_WRAPPINGS) if each[0] is not None]
    yield from found
    if not found:
        yield None, None


def _inside(value: object, depth: int) -> Iterator[tuple[AccessLogEntry | None, str | None]]:
    if isinstance(value, list) and depth:
        for each in value:
            yield from _inside(each, depth - 1)
    elif isinstance(value, str):
        yield _read(value.strip(), depth)
    elif isinstance(value, dict):
        pod = _pod(value)
        entry = from_object(value)
        if entry is not None or not depth:
            yield entry, pod
            return
        inner = next((value[key] for key in _CARRIERS if key in value), None)
        for found, named in _inside(inner, depth - 1):
            yield found, named or pod


def _read(text: str, depth: int = _MOST_WRAPPINGS) -> tuple[AccessLogEntry | None, str | None]:
    """An entry that is a whole text."""
    if not text.startswith("{"):
        return from_istio_text(text), None
    try:
        value = json.loads(text)
    except ValueError:
        return from_broken_json(text) if text.endswith("}") else None, None
    except RecursionError:
        return None, None
    return next(_inside(value, depth), (None, None)) if depth else (None, None)


def _pod(value: Mapping[str, object]) -> str | None:
    for place in (value, *(value.get(key) for key in ("kubernetes", "stream", "labels"))):
        if not isinstance(place, Mapping):
            continue
        for key in _POD_KEYS:
            found = place.get(key)
            found = found.get("name") if isinstance(found, dict) else found
            if isinstance(found, str) and found:
                return found
    return None
