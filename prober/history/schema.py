"""The tables of ``state.db``. A new version is a step appended to `STEPS`; steps that were released are never changed."""

from __future__ import annotations

import sqlite3

__all__ = ["STEPS", "VERSION", "migrate"]

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Every change of a verdict. previous is NULL for the first one of an endpoint.
CREATE TABLE changes (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL,
  previous TEXT, verdict TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX changes_by_target ON changes (target, id);

-- Alerts that fire, and those that were resolved lately.
CREATE TABLE alerts (
  name TEXT NOT NULL, target TEXT NOT NULL, address TEXT NOT NULL, alert TEXT NOT NULL,
  PRIMARY KEY (name, target, address)
) WITHOUT ROWID;

-- Changes on their way to webhooks.
CREATE TABLE outbox (
  sequence INTEGER NOT NULL, receiver TEXT NOT NULL, lane TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, created REAL NOT NULL,
  PRIMARY KEY (sequence, receiver)
) WITHOUT ROWID;
"""

_SECOND = """
-- The current verdict of each watched endpoint, so that a restart is no change.
CREATE TABLE verdicts (
  target TEXT NOT NULL, address TEXT NOT NULL, verdict TEXT NOT NULL, since REAL NOT NULL,
  PRIMARY KEY (target, address)
) WITHOUT ROWID;

-- The last failures of each endpoint with transcripts, as `packing` has them.
CREATE TABLE failures (id INTEGER PRIMARY KEY, target TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL, result BLOB NOT NULL);
CREATE INDEX failures_by_endpoint ON failures (target, address, id);

-- Every time that an alert fired or was resolved.
CREATE TABLE notices (
  sequence INTEGER PRIMARY KEY, name TEXT NOT NULL, severity TEXT NOT NULL, target TEXT NOT NULL, address TEXT NOT NULL,
  phase TEXT NOT NULL, at REAL NOT NULL, summary TEXT NOT NULL
);
CREATE INDEX notices_by_target ON notices (target, sequence);
"""

_THIRD = """
-- No table is another one. From here on failures are packed with a dictionary, which a prober of the second step cannot unpack.
"""

_FOURTH = """
-- Whether the verdict was what the target's policy asks for. NULL: nobody knows any more.
ALTER TABLE changes ADD COLUMN expected INTEGER;
"""

STEPS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)
"""Step n makes version n + 1 of version n."""

VERSION = len(STEPS)


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the tables up to `VERSION`, all steps or none; the version that was found. The connection is in autocommit mode."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found >= VERSION:
        return int(found)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[found:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return int(found)


def _statements(step: str) -> list[str]:
    # Not executescript: it would commit the transaction first.
    text = "\n".join(line for line in step.splitlines() if not line.lstrip().startswith("--"))
    return [statement for statement in text.split(";") if statement.strip()]
