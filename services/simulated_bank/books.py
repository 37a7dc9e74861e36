"""The bank's own books in SQLite: accounts, double-entry lines, orders, misbehaviours, files.

There is one writer. All effects of a message are one transaction, so a kill leaves all or none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

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
  reason TEXT NOT NULL DEFAULT '', currency TEXT NOT NULL DEFAULT 'EUR',
  charges INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '',
  shape TEXT NOT NULL DEFAULT '', reversal INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS lines_account ON lines (account, booking_date);
CREATE TABLE IF NOT EXISTS instructions (name TEXT PRIMARY KEY, result TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outgoing (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,
  body BLOB NOT NULL, delivered INTEGER NOT NULL DEFAULT 0, not_before TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS misbehaviours (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL,
  times INTEGER NOT NULL, target TEXT NOT NULL, options TEXT NOT NULL, origin TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS put_off (id INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT NULL,
  instruction TEXT NOT NULL);
"""
_NEWER = {  # columns that older books lack
    "lines": (
        "currency TEXT NOT NULL DEFAULT 'EUR'",
        "charges INTEGER NOT NULL DEFAULT 0",
        "code TEXT NOT NULL DEFAULT ''",
        "shape TEXT NOT NULL DEFAULT ''",
        "reversal INTEGER NOT NULL DEFAULT 0",
    ),
    "outgoing": ("not_before TEXT NOT NULL DEFAULT ''",),
}
OTHER_BANKS = "OTHER-BANKS"  # the other side of transfers to and from other banks
FEES = "BANK-FEES"  # the bank's income


@dataclass(frozen=True)
class Transfer:
    """Money from one account to another; both get a line.

    Attributes:
        reason: ISO return reason, if the money comes back.
        charges: cents that the bank takes from the debtor on top, within its line.
        code: bank transaction sub-family if it is no transfer, such as CHRG.
        shape: the misbehaviour that decides how a batch is reported.
        reversal: it undoes a wrong booking.
    """

    debtor: str
    creditor: str
    cents: int
    debtor_name: str = ""
    creditor_name: str = ""
    outside_iban: str = ""  # the real account if one side is OTHER_BANKS
    end_to_end_id: str = ""
    uetr: str = ""
    reference: str = ""
    text: str = ""
    batch: str = ""
    reason: str = ""
    currency: str = "EUR"
    charges: int = 0
    code: str = ""
    shape: str = ""
    reversal: bool = False


class BankAccounts:
    """The one connection to the books."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self._rename_older()
        self.db.executescript(_SCHEMA)
        for table, columns in _NEWER.items():
            existing = self._columns(table)
            for column in columns:
                if column.split()[0] not in existing:
                    self.db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")

    def _columns(self, table: str) -> set[str]:
        return {row["name"] for row in self.db.execute(f"PRAGMA table_info({table})")}

    def _rename_older(self) -> None:
        """Give tables and columns of version 0.3.0 their present names."""
        if self._columns("moods"):
            self.db.execute("ALTER TABLE moods RENAME TO misbehaviours")
            self.db.execute("ALTER TABLE misbehaviours RENAME COLUMN said TO options")
        if "wish" in self._columns("put_off"):
            self.db.execute("ALTER TABLE put_off RENAME COLUMN wish TO instruction")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the block or none; they are on disk when it ends."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            # a full disk also fails the commit, and SQLite may have rolled back by itself
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def open_account(self, iban: str, name: str, kind: str, cents: int, closed: bool) -> None:
        """Open an account; for one that exists, only set its closed mark."""
        self.db.execute(
            "INSERT INTO accounts VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (iban) DO UPDATE SET closed = excluded.closed",
            (iban, name, kind, int(closed), cents),
        )

    def account(self, iban: str) -> sqlite3.Row | None:
        return self.db.execute("SELECT * FROM accounts WHERE iban = ?", (iban,)).fetchone()

    def safeguarding(self) -> list[sqlite3.Row]:
        return self.db.execute(
            "SELECT * FROM accounts WHERE kind = 'safeguarding' ORDER BY iban"
        ).fetchall()

    def balance(self, iban: str, before: str = "9999-12-31") -> int:
        """Return the balance in euro cents before a day (ISO date)."""
        row = self.db.execute(
            "SELECT (SELECT opening_cents FROM accounts WHERE iban = :iban) + "
            "COALESCE((SELECT SUM(cents) FROM lines WHERE account = :iban "
            "AND currency = 'EUR' AND booking_date < :before), 0)",
            {"iban": iban, "before": before},
        ).fetchone()
        return row[0]

    def book(self, transfer: Transfer, entry: str) -> None:
        """Book lines that sum to zero; each names the other side, and charges go to the bank."""

        def visible_iban(account: str) -> str:
            return {OTHER_BANKS: transfer.outside_iban, FEES: ""}.get(account, account)

        charges = transfer.charges
        sides = [
            (
                transfer.debtor,
                -transfer.cents - charges,
                transfer.creditor_name,
                visible_iban(transfer.creditor),
                charges,
            ),
            (
                transfer.creditor,
                transfer.cents,
                transfer.debtor_name,
                visible_iban(transfer.debtor),
                0,
            ),
        ]
        if charges:
            sides.append((FEES, charges, transfer.debtor_name, transfer.debtor, 0))
        self.db.executemany(
            "INSERT INTO lines (entry, account, booking_date, cents, end_to_end_id, uetr, "
            "reference, text, batch, name, iban, reason, currency, charges, code, shape, reversal) "
            f"VALUES ({','.join('?' * 17)})",
            [
                (
                    entry,
                    account,
                    self.today.isoformat(),
                    cents,
                    transfer.end_to_end_id,
                    transfer.uetr,
                    transfer.reference,
                    transfer.text,
                    transfer.batch,
                    name,
                    iban,
                    transfer.reason,
                    transfer.currency,
                    line_charges,
                    transfer.code,
                    transfer.shape,
                    int(transfer.reversal),
                )
                for account, cents, name, iban, line_charges in sides
            ],
        )

    def line(self, entry: str, end_to_end_id: str) -> sqlite3.Row | None:
        """Return the newest line of a safeguarding account with this entry, or of this order."""
        key, value = ("entry", entry) if entry else ("end_to_end_id", end_to_end_id)
        return (
            self.db.execute(
                "SELECT lines.* FROM lines JOIN accounts ON accounts.iban = lines.account "
                f"WHERE lines.{key} = ? AND kind = 'safeguarding' AND reversal = 0 "
                "ORDER BY lines.id DESC",
                (value,),
            ).fetchone()
            if value
            else None
        )

    def reverse(self, line: sqlite3.Row) -> None:
        """Book the opposite of all lines that were booked together with this line."""
        pair = self.db.execute(
            "SELECT account, -cents AS cents, end_to_end_id, uetr, reference, text, batch, name, "
            "iban, currency FROM lines WHERE entry = ? AND end_to_end_id = ? ORDER BY id",
            (line["entry"], line["end_to_end_id"]),
        ).fetchall()
        entry = self.next_entry()
        for booked in pair:
            self.db.execute(
                "INSERT INTO lines (entry, account, booking_date, cents, end_to_end_id, uetr, "
                "reference, text, batch, name, iban, currency, reversal) "
                "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,1)",
                (entry, booked["account"], self.today.isoformat(), *booked[1:]),
            )

    def last_line(self) -> int:
        return self.db.execute("SELECT COALESCE(MAX(id), 0) FROM lines").fetchone()[0]

    def lines(self, account: str, day: str = "", after: int = 0) -> list[sqlite3.Row]:
        """Return the lines of an account after a line number, of one day or of all, in order."""
        return self.db.execute(
            "SELECT * FROM lines WHERE account = ? AND id > ? AND (? = '' OR booking_date = ?) "
            "ORDER BY id",
            (account, after, day, day),
        ).fetchall()

    def deliver(self, kind: str, body: bytes, number: int, days: int = 0) -> None:
        """Queue a file for the customer's inbox; it is written after the commit.

        Args:
            number: the message number.
            days: bank days by which it is late; newer files then come before it.
        """
        due = self.day_after(days + 1).isoformat() if days else ""
        name = f"{due or self.today.isoformat()}-{number:06d}-{kind}"
        self.db.execute(
            "INSERT INTO outgoing (name, body, not_before) VALUES (?, ?, ?)",
            (name + (".sta" if kind == "MT940" else ".xml"), body, due),
        )

    def put_off(self, instruction: dict[str, Any], days: int) -> None:
        """Put an instruction off for `days` bank days."""
        self.db.execute(
            "INSERT INTO put_off (day, instruction) VALUES (?, ?)",
            (self.day_after(days).isoformat(), json.dumps(instruction)),
        )

    def put_off_until_today(self) -> list[dict[str, Any]]:
        """Return the instructions that are due, each once."""
        today = (self.today.isoformat(),)
        rows = self.db.execute("SELECT instruction FROM put_off WHERE day <= ? ORDER BY id", today)
        instructions = [json.loads(row["instruction"]) for row in rows.fetchall()]
        self.db.execute("DELETE FROM put_off WHERE day <= ?", today)
        return instructions

    def next_entry(self) -> str:
        return f"EN{self.next_number():09d}"

    def next_number(self) -> int:
        """Return the next number for messages and statements."""
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
        return (
            self.db.execute(
                "SELECT 1 FROM lines WHERE booking_date = ? LIMIT 1", (day.isoformat(),)
            ).fetchone()
            is not None
        )

    def day_after(self, days: int) -> date:
        """Return the business day `days` bank days after today; TARGET is open on it."""
        day = self.today
        for _ in range(days):
            day = next_open(day + timedelta(days=1))
        return day

    def next_day(self) -> None:
        self.set_meta("today", self.day_after(1).isoformat())

    def is_balanced(self) -> bool:
        """Return whether all lines of each currency sum to zero, as double entry demands."""
        return not self.db.execute(
            "SELECT 1 FROM lines GROUP BY currency HAVING SUM(cents) <> 0"
        ).fetchall()
