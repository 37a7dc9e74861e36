"""The tables of an oracle's memory, and what a database of an older version lacks of them."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    device_id BLOB NOT NULL, counter INTEGER NOT NULL, content_id BLOB NOT NULL,
    device TEXT NOT NULL, observed_at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL, facts TEXT NOT NULL, not_billable TEXT NOT NULL, protocol TEXT NOT NULL,
    record BLOB NOT NULL, content BLOB NOT NULL, signature BLOB NOT NULL,
    curve TEXT NOT NULL, digest TEXT NOT NULL, subject TEXT NOT NULL DEFAULT '',
    names TEXT NOT NULL DEFAULT '[]', cites TEXT NOT NULL DEFAULT '[]',
    place TEXT NOT NULL DEFAULT 'null', gateway TEXT NOT NULL DEFAULT '',
    assurance TEXT NOT NULL DEFAULT 'device', evidence_hash BLOB NOT NULL DEFAULT x'',
    UNIQUE (device_id, counter)
);
CREATE TABLE IF NOT EXISTS names (
    name TEXT NOT NULL, subject TEXT NOT NULL, device_id BLOB NOT NULL, counter INTEGER NOT NULL,
    PRIMARY KEY (name, subject, device_id, counter)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS twins (
    hash BLOB PRIMARY KEY, device_id BLOB NOT NULL, counter INTEGER NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, device TEXT NOT NULL,
    protocol TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS attested (
    agreement BLOB NOT NULL, sequence INTEGER NOT NULL, claim BLOB NOT NULL,
    first_counter INTEGER NOT NULL, last_counter INTEGER NOT NULL, evidence BLOB NOT NULL,
    facts BLOB NOT NULL, PRIMARY KEY (agreement, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passed (
    agreement BLOB NOT NULL, sequence INTEGER NOT NULL, first_counter INTEGER NOT NULL,
    last_counter INTEGER NOT NULL, PRIMARY KEY (agreement, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS skipped (
    agreement BLOB NOT NULL, sequence INTEGER NOT NULL, last_counter INTEGER NOT NULL,
    PRIMARY KEY (agreement, sequence)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS passed_from ON passed (agreement, first_counter);
CREATE INDEX IF NOT EXISTS passed_to ON passed (agreement, last_counter);
CREATE TABLE IF NOT EXISTS log_position (
    id INTEGER PRIMARY KEY CHECK (id = 1), log TEXT NOT NULL, sequence INTEGER NOT NULL,
    stored_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO passed
    SELECT agreement, sequence, first_counter, last_counter FROM attested
    WHERE NOT EXISTS (SELECT 1 FROM passed);
"""
# columns that a database of an older version lacks
_ADDED = (
    "subject TEXT NOT NULL DEFAULT ''",
    "names TEXT NOT NULL DEFAULT '[]'",
    "cites TEXT NOT NULL DEFAULT '[]'",
    "place TEXT NOT NULL DEFAULT 'null'",
    "gateway TEXT NOT NULL DEFAULT ''",
    "assurance TEXT NOT NULL DEFAULT 'device'",
    "evidence_hash BLOB NOT NULL DEFAULT x''",
)
# indexes on columns that may be new
_INDEXES = """
CREATE INDEX IF NOT EXISTS evidence_behind ON evidence (gateway, counter) WHERE gateway <> '';
CREATE INDEX IF NOT EXISTS evidence_named ON evidence (evidence_hash);
CREATE INDEX IF NOT EXISTS evidence_heard ON evidence (device_id, observed_at_ms);
"""


def opened(path: Path) -> sqlite3.Connection:
    """Open a database at `path`, and bring it to this version's form."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.executescript(_SCHEMA)
    database.execute("BEGIN IMMEDIATE")
    present = {row[1] for row in database.execute("PRAGMA table_info(evidence)")}
    for column in _ADDED:
        if column.split()[0] not in present:
            database.execute(f"ALTER TABLE evidence ADD COLUMN {column}")
    for statement in _INDEXES.strip().splitlines():
        database.execute(statement)
    _name_records(database)
    database.execute("COMMIT")
    return database


def _name_records(database: sqlite3.Connection) -> None:
    """Write the SHA-256 of each record that an older version stored without it."""
    database.create_function(
        "sha256", 1, lambda record: sha256(record).digest(), deterministic=True
    )
    database.execute("UPDATE evidence SET evidence_hash = sha256(record) WHERE evidence_hash = x''")
