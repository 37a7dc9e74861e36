"""What one oracle remembers: evidence it verified, records it rejected, claims it attested.

SQLite in WAL with synchronous=FULL: what a method has stored survives a kill and a power cut. One
connection, one lock, BEGIN IMMEDIATE: a second process on the same file waits its turn.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from device_adapters.types import Curve, Event, Message, Rejected, Signed

from .attest import claim_hash
from .rules import content_id
from .types import Claim

MAX_REJECTED = 100_000  # the newest are kept: a stranger must not fill the disk
_MAX_REJECTED_BYTES = 16 * 1024
_CHUNK = 400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (
    device_id BLOB NOT NULL, counter INTEGER NOT NULL, content_id BLOB NOT NULL,
    device TEXT NOT NULL, observed_at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL, facts TEXT NOT NULL, not_billable TEXT NOT NULL, protocol TEXT NOT NULL,
    record BLOB NOT NULL, content BLOB NOT NULL, signature BLOB NOT NULL,
    curve TEXT NOT NULL, digest TEXT NOT NULL, UNIQUE (device_id, counter)
);
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
"""
_EVENT = (
    "device, counter, observed_at_ms, kind, facts, not_billable, protocol, record, content, "
    "signature, curve, digest"
)


class Book:
    """One oracle's database at `path`. Every method is safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # --- evidence

    def contents(self, events: Sequence[Event]) -> dict[bytes, bytes]:
        """event_id -> content_id of what is stored for the devices and counters of these events."""
        found: dict[bytes, bytes] = {}
        with self._lock:
            for start in range(0, len(events), _CHUNK):
                keys = {
                    (e.device_id, e.counter): e.event_id for e in events[start : start + _CHUNK]
                }
                marks = ",".join(["(?,?)"] * len(keys))
                rows = self._db.execute(
                    "SELECT device_id, counter, content_id FROM evidence "
                    f"WHERE (device_id, counter) IN (VALUES {marks})",
                    [part for key in keys for part in key],
                )
                found.update((keys[device, counter], content) for device, counter, content in rows)
        return found

    def add(
        self,
        events: Iterable[Event],
        rejected: Iterable[tuple[Message, Rejected]],
        at: int,
    ) -> None:
        """Stores genuine events and rejections in one commit; a known event stays as it is."""
        with self._writing() as db:
            db.executemany(
                f"INSERT OR IGNORE INTO evidence (device_id, content_id, {_EVENT}) "
                f"VALUES ({','.join('?' * 14)})",
                (_event_out(event) for event in events),
            )
            db.executemany(
                "INSERT INTO rejected (at, source, device, protocol, reason, detail, record) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_rejected_out(at, *pair) for pair in rejected),
            )
            db.execute(
                "DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?",
                (MAX_REJECTED,),
            )

    def events(self, device_id: bytes, first: int, last: int) -> list[Event]:
        """The stored events of a device with these counters (both inclusive), in their order."""
        query = (
            f"SELECT {_EVENT} FROM evidence "
            "WHERE device_id = ? AND counter BETWEEN ? AND ? ORDER BY counter"
        )
        with self._lock:
            rows = self._db.execute(query, (device_id, first, last)).fetchall()
        return [_event_in(row) for row in rows]

    # --- attested claims

    def attested(self, agreement: bytes, sequence: int) -> Claim | None:
        """The claim attested for that sequence, or None."""
        query = (
            "SELECT agreement, sequence, first_counter, last_counter, evidence, facts "
            "FROM attested WHERE agreement = ? AND sequence = ?"
        )
        with self._lock:
            row = self._db.execute(query, (agreement, sequence)).fetchone()
        return Claim(*row) if row else None

    def remember(self, claims: Sequence[Claim], used: Iterable[Event] = ()) -> list[int]:
        """Stores that these claims are attested, all or none, before anything is signed.

        Returns the indices of claims whose sequence was attested otherwise; then nothing changed.
        `used`: events whose bytes differ from the stored ones (twins), kept as evidence too.
        """
        with self._writing() as db:
            others = [
                index
                for index, claim in enumerate(claims)
                if (before := self.attested(claim.agreement, claim.sequence)) is not None
                and before != claim
            ]
            if others:
                return others
            db.executemany(
                "INSERT INTO attested VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                map(_claim_out, claims),
            )
            db.executemany(
                "INSERT OR IGNORE INTO twins SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS ("
                "SELECT 1 FROM evidence WHERE device_id = ?2 AND counter = ?3 AND record = ?4)",
                ((e.evidence_hash, e.device_id, e.counter, e.evidence) for e in used),
            )
        return []

    def counts(self) -> dict[str, int]:
        """How much of each is stored, and rejections by reason as `rejected.<reason>`."""
        with self._lock:
            counts = {
                table: self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("evidence", "rejected", "attested")
            }
            rows = self._db.execute("SELECT reason, count(*) FROM rejected GROUP BY reason")
            counts.update((f"rejected.{reason}", count) for reason, count in rows)
        return counts

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _claim_out(claim: Claim) -> tuple[object, ...]:
    return (
        claim.agreement,
        claim.sequence,
        claim_hash(claim),
        claim.first_counter,
        claim.last_counter,
        claim.evidence,
        claim.facts,
    )


def _event_out(event: Event) -> tuple[object, ...]:
    signed = event.signed
    return (
        event.device_id,
        content_id(event),
        event.device,
        event.counter,
        event.observed_at_ms,
        event.kind,
        msgspec.json.encode(event.facts).decode(),
        msgspec.json.encode(event.not_billable).decode(),
        event.protocol,
        event.evidence,
        signed.content,
        signed.signature_der,
        signed.curve.value,
        signed.digest,
    )


def _event_in(row: tuple) -> Event:
    device, counter, at, kind, facts, refusals, protocol, record, *signed = row
    content, signature, curve, digest = signed
    return Event(
        device,
        counter,
        at,
        kind,
        msgspec.json.decode(facts),
        record,
        Signed(content, signature, Curve(curve), digest),
        protocol,
        tuple(msgspec.json.decode(refusals)),
    )


def _rejected_out(at: int, message: Message, rejected: Rejected) -> tuple[object, ...]:
    return (
        at,
        message.source,
        message.device,
        message.protocol,
        rejected.reason.value,
        rejected.detail,
        (rejected.raw or message.body)[:_MAX_REJECTED_BYTES],
    )
