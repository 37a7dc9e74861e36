"""A store that has been in use for years: many old rows in every table, and how much is read."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, event
from sqlalchemy.engine import Engine
from sqlmodel import AutoString

from orchestrator.edges.store import tables

# tables whose rows stand for people or for what people did: they stay few
FEW = {"effecttarget", "officer", "apikey", "equivocation", "knownbreak", "hole", "approval"}
_ID = "printf('0x%064x', n)"  # an id of each old row, in SQL
# what an old row has where a made-up value would not do; {n} is its number, {id} an id of its own
_OLD = {
    "block": {"number": "-{n}", "final": True},
    "chainlog": {"block_number": "-{n}", "name": "Settled", "args": "{}", "log_index": 0},
    "payment": {"sequence": "-{n}", "stage": "reconciled", "first_counter": "-{n}"}
    | {"last_counter": "-{n}", "payee": "{payee}", "agreement_id": "{agreement}"}
    | {"payout_id": "{id}", "settlement_tx": "{id}", "batch_digest": "{id}", "release_tx": "{id}"},
    "paymentfact": {"payment_id": "{id}", "fact": "final", "key": "{id}"},
    "batchclaim": {"payment_id": "{id}"},
    "agreement": {"stage": "live", "expiry": 1 << 40, "ends_at": 1 << 40, "device": "old-{n}"}
    | {"product": "metered_energy", "window_s": 60},
    "device": {"status": "active", "name": "old-{n}"},
    "party": {"iban": None, "bic": None, "account": "{id}"},
    "event": {"agreement_id": "{agreement}", "counter": "-{n}", "payment_id": "{id}"}
    | {"role": "stream", "observed_at_ms": 1, "device_id": "{id}"},
    "payout": {"stage": "booked", "payee": "{payee}", "batch": "{id}", "cents": 1}
    | {"file_hash": "{id}"},
    "funding": {"stage": "minted", "agreement_id": "{agreement}", "cents": "{n}"},
    "bankfile": {"direction": "in", "kind": "camt", "body": "x" * 200},
    "bankline": {"body": "{}"},
    "bankstatement": {"account": "old"},
    "ledgerentry": {"number": "-{n}", "kind": "settled", "source": "block:{id}"},
    "ledgerposting": {"id": "-{n}", "account": "old:{id}", "asset": "tEUR/6", "amount_minor": 0},
    "pendingentry": {"number": "-{n}", "state": "posted", "postings": "[]", "block_number": "-{n}"},
    "chainsend": {"stage": "mined", "nonce": "-{n}", "chain_id": 31337, "sender": "{sender}"}
    | {"purpose": "settle", "block_number": "-{n}"},
    "conflict": {"reported_tx": ""},
    "effect": {"number": "-{n}", "kind": "work_order", "message": "{}"},
    "effectdelivery": {"target": "old", "delivered_at": 1},
    "debt": {"amount_micro": 1, "paid_micro": 1, "payee": "{payee}", "agreement_id": "{agreement}"},
    "rejection": {"id": "-{n}", "reason": "malformed", "body": ""},
}


MANY = {"block", "device", "payment"}


def fill(path: Path, rows: int, agreement: str, payee: str, sender: str) -> None:
    """Write old rows into the tables of a store: blocks, devices, payments, and all that grows.

    Half of what belongs to an agreement belongs to this one, as if it had been open for years.

    Args:
        path: The database.
        rows: How many blocks, devices and payments; every other table gets a fiftieth of it.
        agreement: A live agreement, 0x-hex.
        payee: Its payee.
        sender: The key that settles.
    """
    words = {"agreement": agreement, "payee": payee, "sender": sender}
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-200000")
    for table in tables.BlockRow.metadata.sorted_tables:
        if table.name in FEW:
            continue
        count = rows if table.name in MANY else rows // 50
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        values = ", ".join(_value(table, column, words) for column in table.columns)
        connection.execute(
            "WITH RECURSIVE old(n) AS "
            f"(SELECT 1 UNION ALL SELECT n + 1 FROM old WHERE n < {count}) "
            f'INSERT INTO "{table.name}" ({names}) SELECT {values} FROM old'
        )
    connection.commit()
    connection.close()


def _value(table: Any, column: Any, words: dict[str, str]) -> str:
    """Return the SQL expression of an old row's column."""
    value = _OLD.get(table.name, {}).get(column.name, _default(column))
    if isinstance(value, int | float):
        return str(int(value))
    if value is None:
        return "NULL"
    if value in ("{n}", "-{n}"):
        return value.format(n="n")
    if value == "{agreement}":  # every other one is of the agreement that is at work
        return f"iif(n % 2, '{words['agreement']}', {_ID})"
    if value in ("{payee}", "{sender}"):
        return f"'{words[value[1:-1]]}'"
    return f"'{value}'".replace("{id}", f"' || {_ID} || '").replace("{n}", "' || n || '")


def _default(column: Any) -> Any:
    if column.nullable and not column.primary_key:
        return None
    if isinstance(column.type, LargeBinary):
        return ""
    if isinstance(column.type, AutoString):
        return "{id}"
    return "-{n}" if column.primary_key else "{n}"


@dataclass
class Work:
    """What a piece of work cost.

    Attributes:
        steps: Instructions of SQLite's virtual machine, by statement; they count each row that is
            looked at, also those that are not returned.
        calls: Calls to the node.
    """

    steps: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    @property
    def total(self) -> int:
        """Return all instructions."""
        return self.steps.total()


@contextmanager
def counted(connections: Connections) -> Iterator[Work]:
    """Count what the stores that were opened under `connections` do."""
    work = Work()
    connections.start(work)
    try:
        yield work
    finally:
        connections.start(None)


class Connections:
    """Every database connection that is opened from now until `close` counts its instructions."""

    def __init__(self) -> None:
        self.work: Work | None = None
        self._open: list[sqlite3.Connection] = []
        self._statement = ""
        event.listen(Engine, "connect", self._connected)
        event.listen(Engine, "before_cursor_execute", self._executes)

    def close(self) -> None:
        event.remove(Engine, "connect", self._connected)
        event.remove(Engine, "before_cursor_execute", self._executes)

    def start(self, work: Work | None) -> None:
        """Count into this from now on; None: count nothing, which costs nothing."""
        self.work = work
        for connection in self._open:
            self._set(connection)

    def _connected(self, connection: sqlite3.Connection, _record: Any) -> None:
        self._open.append(connection)
        self._set(connection)

    def _set(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.ProgrammingError):  # it was closed meanwhile
            connection.set_progress_handler(self._step if self.work else None, 1)

    def _executes(self, _c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._statement = statement

    def _step(self) -> int:
        self.work.steps[self._statement] += 1
        return 0
