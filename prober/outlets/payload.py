"""What receivers of alerts are sent: Alertmanager's own shapes, so that whoever understands Alertmanager understands prober. Pure.

The payload of webhooks is version 4 of Alertmanager's, with one alert each: one change is one delivery.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import quote

from prober.judge.alerting import Alert, AlertChange, Phase
from prober.timestamps import rfc3339_milliseconds

__all__ = ["Links", "alertmanager_alert", "annotations_of", "fingerprint", "labels_of", "webhook_payload"]

_NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which Alertmanager writes where there is no end yet."""


class Links(NamedTuple):
    """What notifications say of the prober that sends them: what links begin with, and where it looks from."""

    external_url: str
    """Of the status page, without a slash at the end."""
    runbooks: str
    """What an alert's name in lower case is appended to."""
    vantage: str = ""
    """Empty: nobody has said."""

    def page(self, alert: Alert) -> str:
        """The status page of what the alert is about."""
        target = alert.key.target
        return f"{self.external_url}/targets/{quote(target, safe='')}" if target else f"{self.external_url}/"

    def runbook(self, alert: Alert) -> str:
        """The runbook's section."""
        return f"{self.runbooks}{alert.key.name.lower()}"


def labels_of(alert: Alert) -> dict[str, str]:
    """The alert's identity; characters that label names cannot have (discovery may bring them) are replaced."""
    return {_label_name(name): value for name, value in sorted(alert.identity().items())}


def annotations_of(alert: Alert, links: Links) -> dict[str, str]:
    """Everything that is told besides."""
    why, flapping = alert.evidence, alert.flapping()
    told = {
        "verdict": why.verdict,
        "fault": why.fault,
        "address": why.address,
        "outcome": why.outcome,
        "since": rfc3339_milliseconds(alert.since),
        "summary": f"Flapping ({flapping}): {why.summary}" if flapping else why.summary,
        "flapping": flapping or "",
        # No label: what is seen from two vantage points is one alert.
        "vantage": links.vantage,
        "runbook_url": links.runbook(alert),
    }
    return {name: value for name, value in told.items() if value}


def alertmanager_alert(alert: Alert, links: Links, now: float, validity: float) -> dict[str, Any]:
    """An element of the list that ``POST /api/v2/alerts`` takes. A firing alert ends by itself unless it is sent again in time."""
    ends_at = alert.ends_at if alert.phase is Phase.RESOLVED and alert.ends_at is not None else now + validity
    return {
        "labels": labels_of(alert),
        "annotations": annotations_of(alert, links),
        "startsAt": rfc3339_milliseconds(alert.starts_at),
        "endsAt": rfc3339_milliseconds(ends_at),
        "generatorURL": links.page(alert),
    }


def webhook_payload(change: AlertChange, receiver: str, links: Links) -> bytes:
    """JSON as Alertmanager's webhook receivers get it."""
    alert = change.alert
    own, told = labels_of(alert), annotations_of(alert, links)
    status = "resolved" if alert.phase is Phase.RESOLVED else "firing"
    payload = {
        "receiver": receiver,
        "status": status,
        "alerts": [
            {
                "status": status,
                "labels": own,
                "annotations": told,
                "startsAt": rfc3339_milliseconds(alert.starts_at),
                "endsAt": _NEVER if alert.ends_at is None else rfc3339_milliseconds(alert.ends_at),
                "generatorURL": links.page(alert),
                "fingerprint": fingerprint(own),
            }
        ],
        "groupLabels": own,
        "commonLabels": own,
        "commonAnnotations": told,
        "externalURL": links.external_url,
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in own.items()) + "}",
        "truncatedAlerts": 0,
    }
    return json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")


def fingerprint(own: dict[str, str]) -> str:
    """Alertmanager's: FNV-1a, 64 bits, over the sorted labels, each name and value followed by an octet 0xff."""
    digest = 0xCBF29CE484222325
    for name, value in sorted(own.items()):
        for octet in b"%b\xff%b\xff" % (name.encode("utf-8", "replace"), value.encode("utf-8", "replace")):
            digest = (digest ^ octet) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def _label_name(name: str) -> str:
    legal = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return legal if legal and not legal[0].isdigit() else f"_{legal}"
