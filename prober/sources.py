"""Where targets come from beside the configuration file: what `prober.config` reads and `prober.discovery` runs. Pure.

The seam exists because siblings do not import each other. All sources speak one language, Prometheus's: a *label set* is one address
(``__address__``) with what is known about it; relabelling turns label sets into others; only then do they become targets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from prober.model import Endpoint

__all__ = [
    "ADDRESS",
    "BARE_ACCESS",
    "EXPECT",
    "INTERVAL",
    "LABEL_NAME",
    "MODULE",
    "NAME",
    "SERVER_NAMES",
    "TIMEOUT",
    "Action",
    "DnsNames",
    "HttpAccess",
    "HttpSource",
    "KubernetesSource",
    "LabelSet",
    "LabelSets",
    "RelabelRule",
    "Source",
    "SourceError",
    "TargetFiles",
]

LabelSet: TypeAlias = Mapping[str, str]
LabelSets: TypeAlias = tuple[LabelSet, ...]

# The labels that make a target; all others that begin with two underscores are dropped in the end.
NAME = "target"
ADDRESS = "__address__"
SERVER_NAMES = "__server_names"
MODULE = "__module"
EXPECT = "__expect_non_sni"
INTERVAL = "__interval"
TIMEOUT = "__timeout"


LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
"""What `match` finds in the name of a label, and in nothing else."""


class SourceError(Exception):
    """A source cannot be read now, or what it says cannot be used; the text says why and goes into the log. Never holds a secret."""


class Action(StrEnum):
    """What a relabelling rule does; names and meanings are Prometheus's."""

    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    HASHMOD = "hashmod"
    LABELMAP = "labelmap"
    LABELDROP = "labeldrop"
    LABELKEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"
    KEEPEQUAL = "keepequal"
    DROPEQUAL = "dropequal"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelabelRule:
    """One entry of ``relabel_configs``."""

    source_labels: Sequence[str] = ()
    separator: str = ";"
    regex: re.Pattern[str] = re.compile("(.*)", re.DOTALL | re.ASCII)
    """Matched against the whole text."""
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"
    action: Action = Action.REPLACE


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFiles:
    """``files``: files of targets, by patterns; absolute."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsNames:
    """``dns``: every address that a name has is an address of a target; or every host and port of an SRV record."""

    names: tuple[str, ...]
    srv: bool = False
    port: int = 443
    server_names: tuple[str, ...] = ()
    servers: tuple[Endpoint, ...] = ()
    """Of DNS; empty: those of the system."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAccess:
    """How an HTTP server is convinced, and convinces. Secrets are in files, which are read again at each request."""

    username: str | None = None
    password_file: str | None = None
    authorization_type: str = "Bearer"
    credentials_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def has_certificates(self) -> bool:
        """TLS goes by files of its own."""
        return self.ca_file is not None or self.cert_file is not None


BARE_ACCESS = HttpAccess()
"""No secret, and the system's trust anchors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """``http``: Prometheus's http_sd."""

    url: str
    refresh: float = 60.0
    """Seconds between two requests."""
    timeout: float = 10.0
    """Seconds for one of them."""
    access: HttpAccess = BARE_ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSource:
    """``kubernetes``: the addresses at which a cluster's ingresses are reached from outside."""

    namespaces: tuple[str, ...] = ()
    """Empty: all of them."""
    kubeconfig: str | None = None
    """None: the service account of the pod that prober runs in."""
    context: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One entry of ``discovery``."""

    name: str
    """In metrics and logs; unique."""
    how: TargetFiles | DnsNames | HttpSource | KubernetesSource
    relabelling: tuple[RelabelRule, ...] = ()
