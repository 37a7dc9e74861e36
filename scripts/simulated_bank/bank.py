"""What the bank does: take order files and instructions, book, answer, and close its day.

Each input is one transaction: its bookings, the mark that it was taken, and the files that answer
it. Files are written after the commit and again after a kill, always with the same bytes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from device_adapters.types import Rejected
from orchestrator.edges.bank.calendar import next_open
from scripts.simulated_bank import messages
from scripts.simulated_bank.books import OTHER_BANKS, Books, Transfer
from scripts.simulated_bank.messages import Answer
from scripts.simulated_bank.orders import Batch, IsoReason, Order, read_initiation, valid_iban

_ORDER_COLUMNS = ("end_to_end_id, msg_id, batch, one_booking, uetr, debtor, name, iban, cents, "
                  "text, reference, execution_date, state")


class Bank:
    """A bank in a folder: to_bank, from_bank, instructions and books.sqlite3.

    config: {"business_date": "YYYY-MM-DD" or absent, "accounts": [{"iban", "name", "kind":
    "safeguarding" | "customer", "balance_cents", "closed"}]}; later starts add what is new.
    """

    def __init__(self, home: Path, config: dict[str, Any]) -> None:
        self.to_bank, self.from_bank = home / "to_bank", home / "from_bank"
        self.instructions = home / "instructions"
        for folder in (self.to_bank, self.from_bank, self.instructions):
            folder.mkdir(parents=True, exist_ok=True)
        self.books = Books(home / "books.sqlite3")
        with self.books.transaction():
            self._start_day(config.get("business_date"))
            for account in config.get("accounts", []):
                self._open(account)
            self.books.open_account(OTHER_BANKS, "Other banks", "clearing", 0, False)
        self._actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "pay": self._pay, "return": self._return, "open": self._open,
            "close_day": self._close_day}

    def _start_day(self, configured: str | None) -> None:
        """The configured day at first, else the first one that TARGET is open; a day with bookings
        is never left without its statement, and the calendar never sets the bank back."""
        now = next_open(datetime.now(UTC).date())
        if not self.books.meta("today"):
            day = date.fromisoformat(configured) if configured else now
        else:
            day = self.books.today
            if not configured and not self.books.booked_on(day):
                day = max(day, now)
        self.books.set_meta("today", day.isoformat())

    def step(self) -> int:
        """Does everything that waits; returns how many inputs it took."""
        self._write_outgoing()
        inputs = 0
        for path in _waiting(self.to_bank, ".xml"):
            self._take(path)
            inputs += 1
        for path in _waiting(self.instructions, ".json"):
            self._obey(path)
            inputs += 1
        return inputs

    # order files

    def _take(self, path: Path) -> None:
        data = path.read_bytes()
        key = (path.name, sha256(data).hexdigest())
        kept = self.to_bank / "archive" / path.name
        taken = self.books.db.execute("SELECT 1 FROM taken WHERE name = ? AND sha256 = ?", key)
        # Taken but still here: a kill came between commit and move. In the archive as well: the
        # customer sent it again, and hears that it is a repetition.
        if taken.fetchone() is None or kept.exists():
            before = self.books.last_line()
            with self.books.transaction():
                self.books.db.execute("INSERT OR IGNORE INTO taken VALUES (?, ?)", key)
                self._process(data)
                self._book_due()
                self._notify(before)
        self._write_outgoing()
        _move(path, kept)

    def _process(self, data: bytes) -> None:
        number = self.books.next_number()
        try:
            initiation = read_initiation(data)
            first = self.books.db.execute("INSERT OR IGNORE INTO messages VALUES (?)",
                                          (initiation.id,)).rowcount
            if not first:
                raise Rejected(IsoReason.DU01, "message id", initiation.id.encode())
        except Rejected as refusal:
            body = messages.status_report(number, refusal.raw.decode()[:35], [], refusal.reason)
        else:
            answers = [(batch.id, self._accept(initiation.id, batch))
                       for batch in initiation.batches]
            body = messages.status_report(number, initiation.id, answers)
        self.books.deliver("pain.002", body, number)

    def _accept(self, msg_id: str, batch: Batch) -> list[Answer]:
        free, answers = self._free(batch.debtor_iban), []
        for order in batch.orders:
            reason = order.refusal or self._objection(order, free)
            if reason is None and free is not None:
                free -= order.cents
                self.books.db.execute(
                    f"INSERT INTO orders ({_ORDER_COLUMNS}) "
                    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,'waiting')",
                    (order.end_to_end_id, msg_id, batch.id, int(batch.one_booking), order.uetr,
                     batch.debtor_iban, order.name, order.iban, order.cents, order.text,
                     order.reference, batch.execution_date.isoformat()))
            answers.append(Answer(order.end_to_end_id, reason or ""))
        return answers

    def _free(self, iban: str) -> int | None:
        """What waiting orders leave of a safeguarding account; None for any other account."""
        account = self.books.account(iban)
        if account is None or account["kind"] != "safeguarding":
            return None
        waiting = self.books.db.execute(
            "SELECT COALESCE(SUM(cents), 0) FROM orders WHERE debtor = ? AND state = 'waiting'",
            (iban,)).fetchone()[0]
        return self.books.balance(iban) - waiting

    def _objection(self, order: Order, free: int | None) -> IsoReason | None:
        if free is None:
            return IsoReason.AC02
        known = self.books.db.execute("SELECT 1 FROM orders WHERE end_to_end_id = ?",
                                      (order.end_to_end_id,)).fetchone()
        if known:
            return IsoReason.DU04
        creditor = self.books.account(order.iban)
        if creditor is not None and creditor["closed"]:
            return IsoReason.AC04
        return IsoReason.AM04 if order.cents > free else None

    def _book_due(self) -> None:
        """Books every accepted order whose day has come; a batch may share one entry."""
        rows = self.books.db.execute(
            "SELECT * FROM orders WHERE state = 'waiting' AND execution_date <= ? ORDER BY rowid",
            (self.books.today.isoformat(),)).fetchall()
        entries: dict[str, str] = {}
        for row in rows:
            own = row["batch"] if row["one_booking"] else row["end_to_end_id"]
            if own not in entries:
                entries[own] = f"EN{self.books.next_number():09d}"
            held = self.books.account(row["iban"]) is not None
            self.books.book(Transfer(
                row["debtor"], row["iban"] if held else OTHER_BANKS, row["cents"],
                self.books.account(row["debtor"])["name"], row["name"], row["iban"],
                row["end_to_end_id"], row["uetr"], row["reference"], row["text"],
                row["batch"]), entries[own])
        self.books.db.executemany("UPDATE orders SET state = 'booked' WHERE end_to_end_id = ?",
                                  [(row["end_to_end_id"],) for row in rows])

    def _notify(self, before: int) -> None:
        for account in self.books.safeguarding():
            if lines := self.books.lines(account["iban"], after=before):
                number = self.books.next_number()
                body = messages.notification(number, account["iban"], lines)
                self.books.deliver("camt.054", body, number)

    # instructions

    def _obey(self, path: Path) -> None:
        name, before = path.name, self.books.last_line()
        row = self.books.db.execute("SELECT result FROM instructions WHERE name = ?",
                                    (name,)).fetchone()
        result = row[0] if row else None
        if result is None:
            with self.books.transaction():
                result = json.dumps(self._perform(path.read_bytes()))
                self.books.db.execute("INSERT INTO instructions VALUES (?, ?)", (name, result))
                self._notify(before)
        self._write_outgoing()
        write_file(self.instructions / "done" / f"{path.stem}.result", result.encode())
        _move(path, self.instructions / "done" / name)

    def _perform(self, data: bytes) -> dict[str, Any]:
        """What became of an instruction; a bad one changes nothing and is answered by name."""
        try:
            wish = json.loads(data)
            action = self._actions[wish["kind"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "reason": "unknown instruction"}
        self.books.db.execute("SAVEPOINT wish")
        try:
            answer = action(wish)
        except (LookupError, TypeError, ValueError, OverflowError, sqlite3.Error) as error:
            answer = {"ok": False, "reason": f"instruction malformed: {error!r:.100}"}
        if not answer["ok"]:
            self.books.db.execute("ROLLBACK TO wish")
        self.books.db.execute("RELEASE wish")
        return answer

    def _pay(self, wish: dict[str, Any]) -> dict[str, Any]:
        """A credit transfer between two accounts of this bank."""
        to = wish.get("to") or self.books.safeguarding()[0]["iban"]
        debtor, creditor = self.books.account(wish["from"]), self.books.account(to)
        cents = wish["amount_cents"]
        if debtor is None or creditor is None:
            return {"ok": False, "reason": str(IsoReason.AC01)}
        if type(cents) is not int or cents <= 0:
            return {"ok": False, "reason": str(IsoReason.AM01)}
        if self.books.balance(debtor["iban"]) < cents:
            return {"ok": False, "reason": str(IsoReason.AM04)}
        transfer = Transfer(
            debtor["iban"], creditor["iban"], cents, debtor["name"], creditor["name"],
            reference=_clean(wish.get("reference", ""), 35),
            text=_clean(wish.get("text", ""), 140),
            end_to_end_id=_clean(wish.get("end_to_end_id", ""), 35))
        self.books.book(transfer, f"EN{self.books.next_number():09d}")
        return {"ok": True}

    def _return(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Sends a booked payout back, as the payee's bank would."""
        row = self.books.db.execute(
            "SELECT * FROM orders WHERE end_to_end_id = ? AND state = 'booked'",
            (wish["end_to_end_id"],)).fetchone()
        if row is None:
            return {"ok": False, "reason": str(IsoReason.AM09)}
        held = self.books.account(row["iban"]) is not None
        transfer = Transfer(row["iban"] if held else OTHER_BANKS, row["debtor"], row["cents"],
                            row["name"], "", row["iban"], row["end_to_end_id"], row["uetr"],
                            reason=_clean(wish.get("reason", "AC04"), 4))
        self.books.book(transfer, f"EN{self.books.next_number():09d}")
        self.books.db.execute("UPDATE orders SET state = 'returned' WHERE end_to_end_id = ?",
                              (row["end_to_end_id"],))
        return {"ok": True}

    def _open(self, wish: dict[str, Any]) -> dict[str, Any]:
        kind, cents = wish.get("kind_of_account", wish.get("kind")), wish.get("balance_cents", 0)
        if not valid_iban(wish["iban"]) or type(cents) is not int or cents < 0:
            raise ValueError(f"account {wish['iban']!r:.40} cannot be opened")
        kind = kind if kind in ("safeguarding", "customer") else "customer"
        self.books.open_account(wish["iban"], _clean(wish["name"], 70), kind, cents,
                                bool(wish.get("closed", False)))
        return {"ok": True}

    def _close_day(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Writes the day's statements, then books what was ordered for the next day."""
        day = self.books.today.isoformat()
        for account in self.books.safeguarding():
            number = self.books.next_number()
            opening = self.books.balance(account["iban"], before=day)
            lines = self.books.lines(account["iban"], day)
            body = messages.statement(number, account["iban"], day, opening, lines)
            self.books.deliver("camt.053", body, number)
        self.books.next_day()
        self._book_due()
        return {"ok": True, "closed": day, "today": self.books.today.isoformat()}

    def _write_outgoing(self) -> None:
        rows = self.books.db.execute(
            "SELECT id, name, body FROM outgoing WHERE delivered = 0 ORDER BY id").fetchall()
        for row in rows:
            write_file(self.from_bank / row["name"], row["body"])
            self.books.db.execute("UPDATE outgoing SET delivered = 1 WHERE id = ?", (row["id"],))


def write_file(path: Path, data: bytes) -> None:
    """The file is absent or whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _clean(text: str, limit: int) -> str:
    """Text that fits its field and that XML can hold; ValueError otherwise."""
    if not isinstance(text, str) or len(text) > limit or not text.isprintable():
        raise ValueError(f"not a text of at most {limit} printable characters")
    return text


def _waiting(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == suffix
                  and not path.name.startswith(".") and path.is_file())


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)
