"""The bank's own books in SQLite: accounts, double-entry lines, orders, and files to deliver.

One writer; whatever belongs together is one transaction, so a kill at any moment leaves either
all of a message's effects or none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from orchestrator.edges.bank.calendar import next_open

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (iban TEXT PRIMARY KEY, name TEXT NOT NULL,
  kind TEXT NOT NULL, closed INTEGER NOT NULL DEFAULT 0, opening_cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS messages (msg_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS taken (name TEXT, sha256 TEXT, PRIMARY KEY (name, sha256));
CREATE TABLE IF NOT EXISTS orders (end_to_end_id TEXT PRIMARY KEY, msg_id TEXT NOT NULL,
  batch TEXT NOT NULL, one_booking INTEGER NOT NULL, uetr TEXT NOT NULL, debtor TEXT NOT NULL,
  name TEXT NOT NULL, iban TEXT NOT NULL, cents INTEGER NOT NULL, text TEXT NOT NULL,
  reference TEXT NOT NULL, execution_date TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_waiting ON orders (state, execution_date);
CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL,
  account TEXT NOT NULL, booking_date TEXT NOT NULL, cents INTEGER NOT NULL,
  end_to_end_id TEXT NOT NULL DEFAULT '', uetr TEXT NOT NULL DEFAULT '',
  reference TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT '',
  batch TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '', iban TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS lines_account ON lines (account, booking_date);
CREATE TABLE IF NOT EXISTS instructions (name TEXT PRIMARY KEY, result TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outgoing (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,
  body BLOB NOT NULL, delivered INTEGER NOT NULL DEFAULT 0);
"""
OTHER_BANKS = "OTHER-BANKS"  # where money goes that leaves for accounts this bank does not hold


@dataclass(frozen=True)
class Transfer:
    """Money from one account to another; both get a line. reason: why it goes back, if it does."""

    debtor: str
    creditor: str
    cents: int
    debtor_name: str = ""
    creditor_name: str = ""
    outside_iban: str = ""  # the real account, where one side is OTHER_BANKS
    end_to_end_id: str = ""
    uetr: str = ""
    reference: str = ""
    text: str = ""
    batch: str = ""
    reason: str = ""


class Books:
    """The one connection to the books."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it ends."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def open_account(self, iban: str, name: str, kind: str, cents: int, closed: bool) -> None:
        """Opens an account once; an account that exists keeps everything but its closed mark."""
        self.db.execute(
            "INSERT INTO accounts VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (iban) DO UPDATE SET closed = excluded.closed",
            (iban, name, kind, int(closed), cents))

    def account(self, iban: str) -> sqlite3.Row | None:
        return self.db.execute("SELECT * FROM accounts WHERE iban = ?", (iban,)).fetchone()

    def safeguarding(self) -> list[sqlite3.Row]:
        return self.db.execute(
            "SELECT * FROM accounts WHERE kind = 'safeguarding' ORDER BY iban").fetchall()

    def balance(self, iban: str, before: str = "9999-12-31") -> int:
        """Cents booked on an account before a day (ISO)."""
        row = self.db.execute(
            "SELECT (SELECT opening_cents FROM accounts WHERE iban = :iban) + "
            "COALESCE((SELECT SUM(cents) FROM lines WHERE account = :iban "
            "AND booking_date < :before), 0)", {"iban": iban, "before": before}).fetchone()
        return row[0]

    def book(self, transfer: Transfer, entry: str) -> None:
        """Two lines that sum to zero, each naming the other side."""
        def shown(account: str) -> str:
            return transfer.outside_iban if account == OTHER_BANKS else account

        sides = [(transfer.debtor, -transfer.cents, transfer.creditor_name,
                  shown(transfer.creditor)),
                 (transfer.creditor, transfer.cents, transfer.debtor_name,
                  shown(transfer.debtor))]
        self.db.executemany(
            "INSERT INTO lines (entry, account, booking_date, cents, end_to_end_id, uetr, "
            "reference, text, batch, name, iban, reason) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            [(entry, account, self.today.isoformat(), cents, transfer.end_to_end_id,
              transfer.uetr, transfer.reference, transfer.text, transfer.batch, name, iban,
              transfer.reason) for account, cents, name, iban in sides])

    def last_line(self) -> int:
        return self.db.execute("SELECT COALESCE(MAX(id), 0) FROM lines").fetchone()[0]

    def lines(self, account: str, day: str = "", after: int = 0) -> list[sqlite3.Row]:
        """Lines of an account, of one day or of all, after a line's number; in booking order."""
        return self.db.execute(
            "SELECT * FROM lines WHERE account = ? AND id > ? AND (? = '' OR booking_date = ?) "
            "ORDER BY id", (account, after, day, day)).fetchall()

    def deliver(self, kind: str, body: bytes, number: int) -> None:
        """Notes a file for the customer's inbox; it is written after the commit."""
        name = f"{self.today.isoformat()}-{number:06d}-{kind}.xml"
        self.db.execute("INSERT INTO outgoing (name, body) VALUES (?, ?)", (name, body))

    def next_number(self) -> int:
        """The next number for messages and statements."""
        number = int(self.meta("number", "0")) + 1
        self.set_meta("number", str(number))
        return number

    def meta(self, key: str, otherwise: str = "") -> str:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else otherwise

    def set_meta(self, key: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @property
    def today(self) -> date:
        """The bank's own business day."""
        return date.fromisoformat(self.meta("today"))

    def booked_on(self, day: date) -> bool:
        return self.db.execute("SELECT 1 FROM lines WHERE booking_date = ? LIMIT 1",
                               (day.isoformat(),)).fetchone() is not None

    def next_day(self) -> None:
        """Monday follows Friday, and no day is one on which TARGET is closed."""
        self.set_meta("today", next_open(self.today + timedelta(days=1)).isoformat())

    def is_balanced(self) -> bool:
        """Whether all lines sum to zero, as double entry demands."""
        return self.db.execute("SELECT COALESCE(SUM(cents), 0) FROM lines").fetchone()[0] == 0
