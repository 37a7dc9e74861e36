"""The database of one oracle: evidence it verified, records it rejected, claims it attested.

SQLite in WAL mode with synchronous=FULL: what a method has stored survives a kill and a power cut.
One connection, one lock and BEGIN IMMEDIATE: a second process on the same file waits its turn.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from device_adapters.types import Event, LogPosition, Message, Rejected, hash_in_name
from oracles import memory_schema
from oracles.attest import claim_hash
from oracles.hearing import Hearing
from oracles.rows import COLUMNS as _EVENT
from oracles.rows import event_in, event_out
from oracles.types import Claim, SkippedClaim

MAX_REJECTED = 100_000  # the newest are kept: strangers must not fill the disk
_MAX_REJECTED_BYTES = 16 * 1024
_CHUNK = 400
_MOST_SEQUENCES = 1 << 32
_OF_E = ", ".join(f"e.{column}" for column in _EVENT.split(", "))


class Memory:
    """One oracle's database at `path`. Every method is safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._lock = path, threading.RLock()
        self._db = memory_schema.opened(path)
        self._complete_to: dict[bytes, int] = {}  # agreement -> no sequence up to it is missing

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    # --- evidence

    def contents(self, events: Sequence[Event]) -> dict[bytes, bytes]:
        """Return event_id -> stored content_id, for the devices and counters of these events."""
        stored: dict[bytes, bytes] = {}
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
                stored.update((keys[device, counter], content) for device, counter, content in rows)
        return stored

    def add(
        self,
        events: Iterable[Event],
        rejected: Iterable[tuple[Message, Rejected]],
        at: int,
        position: LogPosition | None = None,
    ) -> None:
        """Store genuine events and rejections in one commit; a stored event stays as it is.

        Args:
            at: time of receipt, Unix seconds.
            position: that of the last message in the broker's log; None leaves it as it is.
        """
        events = list(events)
        with self._writing() as db:
            db.executemany(
                f"INSERT OR IGNORE INTO evidence (device_id, content_id, evidence_hash, {_EVENT}) "
                f"VALUES ({','.join('?' * 21)})",
                map(event_out, events),
            )
            db.executemany(
                "INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?)",
                [(n, e.subject, e.device_id, e.counter) for e in events for n in e.names],
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
            if position is not None:
                db.execute(
                    "INSERT OR REPLACE INTO log_position VALUES (1, ?, ?, ?)",
                    (position.log, position.sequence, position.stored_at),
                )

    def log_position(self) -> LogPosition | None:
        """Return the position of the last message stored from the broker's log; None for none."""
        with self._lock:
            row = self._db.execute("SELECT log, sequence, stored_at FROM log_position").fetchone()
        return LogPosition(*row) if row else None

    def events(self, device_id: bytes, first: int, last: int, limit: int = -1) -> list[Event]:
        """Return a device's stored events with these counters (both inclusive), in counter order.

        Args:
            limit: the most events to return; -1 for all.
        """
        query = (
            f"SELECT {_EVENT} FROM evidence WHERE device_id = ? AND counter BETWEEN ? AND ? "
            "ORDER BY counter LIMIT ?"
        )
        with self._lock:
            rows = self._db.execute(query, (device_id, first, last, limit)).fetchall()
        return [event_in(row) for row in rows]

    def counters_behind(
        self, gateway: str, device_id: bytes, protocol: str, first: int, last: int
    ) -> list[int]:
        """Return the counters (both ends inclusive) that a gateway used for other devices."""
        query = (
            "SELECT DISTINCT counter FROM evidence WHERE gateway = ? AND gateway <> '' "
            "AND device_id <> ? AND protocol = ? AND counter BETWEEN ? AND ? ORDER BY counter"
        )
        with self._lock:
            rows = self._db.execute(query, (gateway, device_id, protocol, first, last)).fetchall()
        return [counter for (counter,) in rows]

    def events_named(
        self, names: Sequence[str], subject: str, devices: Collection[bytes] = ()
    ) -> list[Event]:
        """Return the stored events that bear one of these names.

        Only those about a subject, and those of some devices.
        """
        rows: list[tuple] = []
        chosen = f"(subject = ? OR e.device_id IN ({','.join('?' * len(devices))}))"
        by_name = (
            f"SELECT {_OF_E} FROM names n JOIN evidence e "
            "ON e.device_id = n.device_id AND e.counter = n.counter "
            f"WHERE n.name = ? AND {chosen.replace('subject', 'n.subject')} "
            "ORDER BY n.device_id, n.counter LIMIT 100"
        )
        by_hash = f"SELECT {_OF_E} FROM evidence e WHERE e.evidence_hash = ? AND {chosen}"
        with self._lock:
            for name in names:
                evidence_hash = hash_in_name(name)
                query = by_name if evidence_hash is None else by_hash
                values = (evidence_hash or name, subject, *devices)
                rows += self._db.execute(query, values).fetchall()
        return [event_in(row) for row in rows]

    def events_heard(
        self, span: Hearing, limit: int, before: tuple[bytes, int] | None = None
    ) -> list[Event]:
        """Return the stored events that a run hears, by device and counter.

        Args:
            span: which ones.
            limit: the most to return.
            before: (device id, counter) of a stored event: only what was stored before it.
        """
        devices = sorted(span.devices)
        query = (
            f"SELECT {_OF_E} FROM evidence e WHERE e.device_id IN ({','.join('?' * len(devices))}) "
            "AND e.observed_at_ms BETWEEN ? AND ?"
        )
        values: list[object] = [*devices, span.first_ms, span.last_ms]
        if before is not None:
            query += (
                " AND e.rowid < "
                "(SELECT o.rowid FROM evidence o WHERE o.device_id = ? AND o.counter = ?)"
            )
            values += before
        with self._lock:
            rows = self._db.execute(
                f"{query} ORDER BY e.device_id, e.counter LIMIT ?", (*values, limit)
            ).fetchall()
        return [event_in(row) for row in rows]

    # --- attested claims

    def attested(self, agreement: bytes, sequence: int) -> Claim | None:
        """Return the claim that this oracle attested for a sequence, or None."""
        query = (
            "SELECT agreement, sequence, first_counter, last_counter, evidence, facts "
            "FROM attested WHERE agreement = ? AND sequence = ?"
        )
        with self._lock:
            row = self._db.execute(query, (agreement, sequence)).fetchone()
        return Claim(*row) if row else None

    def remember(self, claims: Sequence[Claim], used: Iterable[Event] = ()) -> list[int]:
        """Store that these claims are attested, all or none, before anything is signed.

        Args:
            used: events whose bytes differ from the stored ones (another valid signature over the
                same content); they are kept as evidence too.

        Returns:
            Indices of the claims whose sequence was attested with another claim. If there are any,
            nothing was stored.
        """
        with self._writing() as db:
            others = [
                index
                for index, claim in enumerate(claims)
                if (other := self.attested(claim.agreement, claim.sequence)) is not None
                and other != claim
            ]
            if others:
                return others
            db.executemany(
                "INSERT INTO attested VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                map(_claim_out, claims),
            )
            db.executemany("INSERT OR IGNORE INTO passed VALUES (?, ?, ?, ?)", map(_range, claims))
            db.executemany(
                "INSERT OR IGNORE INTO twins SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS ("
                "SELECT 1 FROM evidence WHERE device_id = ?2 AND counter = ?3 AND record = ?4)",
                ((e.evidence_hash, e.device_id, e.counter, e.evidence) for e in used),
            )
        return []

    # --- which counters claims cover, whether attested here or settled by others

    def record_settled(self, claims: Iterable[Claim | SkippedClaim], block: int) -> None:
        """Store claims that blocks up to this one settled or passed over, in chain order.

        It does not matter who attested them.
        """
        with self._writing() as db:
            for claim in claims:
                key = claim.agreement, claim.sequence
                db.execute("DELETE FROM skipped WHERE agreement = ? AND sequence = ?", key)
                if isinstance(claim, SkippedClaim):
                    row = self._skipped_range(claim)
                    if self.highest_counter(*key) != claim.last_counter:
                        skipped = *key, claim.last_counter
                        db.execute("INSERT INTO skipped VALUES (?, ?, ?)", skipped)
                else:
                    row = _range(claim)
                db.execute("INSERT OR REPLACE INTO passed VALUES (?, ?, ?, ?)", row)
            db.execute("INSERT OR REPLACE INTO marks VALUES ('settled', ?)", (block,))

    def _skipped_range(self, skipped: SkippedClaim) -> tuple[object, ...]:
        """Return the counters that were passed over: those above the claims before, if any."""
        before = self.highest_counter(skipped.agreement, skipped.sequence)
        last = skipped.last_counter
        first = last if before is None else min(before + 1, last)
        return skipped.agreement, skipped.sequence, first, last

    def is_passed_over(self, agreement: bytes, sequence: int, counter: int) -> bool:
        """Return whether a skip before this sequence passed over counters up to exactly this one.

        A skip that passed over none does not count: the claim before it holds that counter.
        """
        query = "SELECT 1 FROM skipped WHERE agreement = ? AND sequence < ? AND last_counter = ?"
        with self._lock:
            return self._db.execute(query, (agreement, sequence, counter)).fetchone() is not None

    def passed(self) -> list[tuple[bytes, int, int, int]]:
        """Return (agreement, sequence, first counter, last counter) of every stored claim."""
        query = "SELECT agreement, sequence, first_counter, last_counter FROM passed"
        with self._lock:
            return self._db.execute(query).fetchall()

    def settled_up_to(self) -> int:
        """Return the block up to which settlements are recorded; 0 if none are."""
        with self._lock:
            row = self._db.execute("SELECT at FROM marks WHERE name = 'settled'").fetchone()
        return row[0] if row else 0

    def is_complete(self, agreement: bytes, sequence: int) -> bool:
        """Return whether all claims of the agreement up to this sequence are stored."""
        query = "SELECT sequence FROM passed WHERE agreement = ? AND sequence > ? ORDER BY sequence"
        with self._lock:
            complete_to = self._complete_to.get(agreement, 0)
            if complete_to < sequence:
                for (stored,) in self._db.execute(query, (agreement, complete_to)):
                    if stored != complete_to + 1:
                        break
                    complete_to = stored
                self._complete_to[agreement] = complete_to
        return complete_to >= sequence

    def highest_counter(self, agreement: bytes, sequence: int) -> int | None:
        """Return the highest counter of the stored claims before this sequence; None if none."""
        query = (
            "SELECT last_counter FROM passed WHERE agreement = ? AND sequence < ? "
            "ORDER BY last_counter DESC LIMIT 1"
        )
        with self._lock:
            row = self._db.execute(query, (agreement, sequence)).fetchone()
        return row[0] if row else None

    def overlapping(
        self, agreement: bytes, first: int, last: int, without: int = 0, upto: int = _MOST_SEQUENCES
    ) -> int | None:
        """Return the sequence of a claim that covers one of these counters (inclusive), or None.

        without: the claim to leave out; upto: the last sequence that counts.
        """
        # No two claims share a counter: only the last claim that begins before `last` can overlap.
        query = (
            "SELECT sequence, last_counter FROM passed WHERE agreement = ? AND first_counter <= ? "
            "AND sequence <> ? AND sequence <= ? ORDER BY first_counter DESC LIMIT 1"
        )
        with self._lock:
            row = self._db.execute(query, (agreement, last, without, upto)).fetchone()
        return row[0] if row and row[1] >= first else None

    def counts(self) -> dict[str, int]:
        """Return the number of rows per table, and rejections by reason as `rejected.<reason>`."""
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
                self._db.execute("COMMIT")
            except BaseException:
                # a full disk also fails the commit, and SQLite may have rolled back by itself
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


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


def _range(claim: Claim) -> tuple[object, ...]:
    return claim.agreement, claim.sequence, claim.first_counter, claim.last_counter


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
