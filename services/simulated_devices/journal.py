"""A device's journal: every signed record with its answers, and the state of its counters."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_TABLES = """
create table if not exists records (
    evidence text primary key, body blob not null, outcome text, event text
) without rowid;
create index if not exists unanswered on records (evidence) where outcome is null;
create table if not exists answers (number integer primary key, evidence text, outcome text);
create table if not exists outcomes (
    id text primary key, evidence text, outcome text, detail text, at integer
);
create table if not exists state (name text primary key, value integer not null) without rowid;
"""


def evidence_of(record: bytes) -> bytes:
    """Return the evidence hash of a record: SHA-256 of its bytes."""
    return hashlib.sha256(record).digest()


class DeviceJournal:
    """One SQLite file; each call has written to disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._base.execute("pragma journal_mode=wal")
        self._base.execute("pragma synchronous=full")
        self._base.executescript(_TABLES)

    def add(self, records: Sequence[bytes], state: Mapping[str, int]) -> None:
        """Store records and counters in one transaction, so that no number is ever used twice."""
        with self._transaction():
            self._base.executemany(
                "insert or ignore into records (evidence, body) values (?, ?)",
                [(evidence_of(record).hex(), record) for record in records],
            )
            self._base.executemany(
                "insert or replace into state (name, value) values (?, ?)", state.items()
            )

    def state(self) -> dict[str, int]:
        """Return the stored counters, register and clock."""
        return dict(self._base.execute("select name, value from state"))

    def answer(self, answers: Iterable[Mapping]) -> int:
        """Store the answers of a verified receipt; the first answer to a record is its outcome.

        Returns:
            How many records were answered for the first time.
        """
        rows = [(a["evidence"], a["outcome"], a["event"]) for a in answers]
        with self._transaction():
            self._base.executemany(
                "insert into answers (evidence, outcome) values (?, ?)", [r[:2] for r in rows]
            )
            return self._base.executemany(
                "update records set outcome = ?2, event = ?3 where evidence = ?1"
                " and outcome is null",
                rows,
            ).rowcount

    def forget(self, records: Iterable[bytes]) -> None:
        """Lose records, as a broken device does."""
        with self._transaction():
            self._base.executemany(
                "delete from records where evidence = ?",
                [(evidence_of(record).hex(),) for record in records],
            )

    def unanswered(self) -> list[bytes]:
        """Return the records without a receipt, in no particular order."""
        rows = self._base.execute("select body from records where outcome is null")
        return [body for (body,) in rows]

    def unreceipted_count(self) -> int:
        """Return how many records have no receipt."""
        count = "select count(*) from records where outcome is null"
        return self._base.execute(count).fetchone()[0]

    def outcomes(self) -> dict[str, str]:
        """Return the first answer to each record, by evidence hash (hex)."""
        return dict(
            self._base.execute("select evidence, outcome from records where outcome is not null")
        )

    def answers(self, evidence: str) -> list[str]:
        """Return every answer to one record, in order of arrival."""
        rows = self._base.execute(
            "select outcome from answers where evidence = ? order by number", (evidence,)
        )
        return [outcome for (outcome,) in rows]

    def add_outcomes(self, outcomes: Iterable[Mapping]) -> int:
        """Store later outcomes; one that came before changes nothing. Return how many are new."""
        rows = [
            [o[name] for name in ("id", "evidence", "outcome", "detail", "at")] for o in outcomes
        ]
        with self._transaction():
            return self._base.executemany(
                "insert or ignore into outcomes values (?, ?, ?, ?, ?)", rows
            ).rowcount

    def later_outcomes(self) -> list[tuple[str, str, str]]:
        """Return (evidence hash, outcome, detail) of each later outcome, in order of arrival."""
        return self._base.execute(
            "select evidence, outcome, detail from outcomes order by rowid"
        ).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._base)


class _Transaction:
    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> None:
        self._base.execute("begin immediate")

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._base.execute("rollback" if kind else "commit")
