"""The simulated bank: take order files and instructions, book, answer, and close the day.

Each input is one transaction: its bookings, the mark that it was taken, and the answer files.
Files are written after the commit, and again after a kill with the same bytes.
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

from orchestrator.edges.bank.calendar import next_open
from services.simulated_bank.books import FEES, OTHER_BANKS, BankAccounts, Transfer
from services.simulated_bank.misbehaviour import Misbehaviours
from services.simulated_bank.order_intake import OrderIntake
from services.simulated_bank.orders import IsoReason, valid_iban
from services.simulated_bank.reports import Reports


class SimulatedBank:
    """A bank in a folder: to_bank, from_bank, instructions and books.sqlite3.

    Args:
        home: the folder.
        config: {"business_date": "YYYY-MM-DD" or absent, "accounts": [{"iban", "name", "kind":
            "safeguarding" | "customer", "balance_cents", "closed"}], "misbehaviour": [{"what",
            "times", "for", ...}]} (misbehaviour.py). A later start adds what is new.
    """

    def __init__(self, home: Path, config: dict[str, Any]) -> None:
        self.to_bank, self.from_bank = home / "to_bank", home / "from_bank"
        self.instructions = home / "instructions"
        for folder in (self.to_bank, self.from_bank, self.instructions):
            folder.mkdir(parents=True, exist_ok=True)
        self.books = BankAccounts(home / "books.sqlite3")
        self.misbehaviours = Misbehaviours(self.books)
        self.orders = OrderIntake(self.books, self.misbehaviours)
        self.reports = Reports(self.books, self.misbehaviours)
        with self.books.transaction():
            self._start_day(config.get("business_date"))
            for account in config.get("accounts", []):
                self._open(account)
            self.books.open_account(OTHER_BANKS, "Other banks", "clearing", 0, False)
            self.books.open_account(FEES, "The bank's own", "income", 0, False)
            for number, instruction in enumerate(config.get("misbehaviour", [])):
                self.misbehaviours.add(
                    instruction, f"{number}:{json.dumps(instruction, sort_keys=True)}"
                )
        self._actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "pay": self._pay,
            "return": self._return,
            "reverse": self._reverse,
            "open": self._open,
            "misbehave": self._misbehave,
            "close_day": self._close_day,
        }

    def _start_day(self, configured: str | None) -> None:
        """Set the business day: the configured day, else the next day on which TARGET is open.

        A day with bookings stays until its statement is written, and the day never goes back.
        """
        now = next_open(datetime.now(UTC).date())
        if not self.books.meta("today"):
            day = date.fromisoformat(configured) if configured else now
        else:
            day = self.books.today
            if not configured and not self.books.booked_on(day):
                day = max(day, now)
        self.books.set_meta("today", day.isoformat())

    def step(self) -> int:
        """Process everything that waits; return the number of inputs taken."""
        self._write_outgoing()
        inputs = 0
        for path in _waiting(self.to_bank, ".xml"):
            self._take(path)
            inputs += 1
        for path in _waiting(self.instructions, ".json"):
            self._carry_out(path)
            inputs += 1
        return inputs

    # order files

    def _take(self, path: Path) -> None:
        data = path.read_bytes()
        key = (path.name, sha256(data).hexdigest())
        archived = self.to_bank / "archive" / path.name
        taken = self.books.db.execute("SELECT 1 FROM taken WHERE name = ? AND sha256 = ?", key)
        # A file that was taken but not archived was left by a kill between commit and move. One
        # that is archived too was sent again, and is answered as a repetition.
        if taken.fetchone() is None or archived.exists():
            before = self.books.last_line()
            with self.books.transaction():
                self.books.db.execute("INSERT OR IGNORE INTO taken VALUES (?, ?)", key)
                number = self.books.next_number()
                self.books.deliver("pain.002", self.orders.answer(data, number), number)
                self._book_due()
                self._notify(before)
        self._write_outgoing()
        _move(path, archived)

    def _book_due(self) -> None:
        self.orders.book_due()

    def _notify(self, before: int) -> None:
        self.reports.notify(before)

    # instructions

    def _carry_out(self, path: Path) -> None:
        name, before = path.name, self.books.last_line()
        row = self.books.db.execute(
            "SELECT result FROM instructions WHERE name = ?", (name,)
        ).fetchone()
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
        """Perform an instruction and return its result; a bad one changes nothing."""
        try:
            instruction = json.loads(data)
            action = self._actions[instruction["kind"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "reason": "unknown instruction"}
        self.books.db.execute("SAVEPOINT instruction")
        try:
            answer = action(instruction)
        except (LookupError, TypeError, ValueError, OverflowError, sqlite3.Error) as error:
            answer = {"ok": False, "reason": f"instruction malformed: {error!r:.100}"}
        if not answer["ok"]:
            self.books.db.execute("ROLLBACK TO instruction")
        self.books.db.execute("RELEASE instruction")
        return answer

    def _pay(self, instruction: dict[str, Any]) -> dict[str, Any]:
        """Book a credit transfer between two accounts of this bank.

        A transfer in a currency other than the euro comes from another bank.
        """
        to = instruction.get("to") or self.books.safeguarding()[0]["iban"]
        debtor, creditor = self.books.account(instruction["from"]), self.books.account(to)
        cents, currency = instruction["amount_cents"], _clean(instruction.get("currency", "EUR"), 3)
        if debtor is None or creditor is None:
            return {"ok": False, "reason": str(IsoReason.AC01)}
        if type(cents) is not int or cents <= 0:
            return {"ok": False, "reason": str(IsoReason.AM01)}
        if currency == "EUR" and self.books.balance(debtor["iban"]) < cents:
            return {"ok": False, "reason": str(IsoReason.AM04)}
        transfer = Transfer(
            debtor["iban"] if currency == "EUR" else OTHER_BANKS,
            creditor["iban"],
            cents,
            debtor["name"],
            creditor["name"],
            debtor["iban"],
            reference=_clean(instruction.get("reference", ""), 35),
            text=_clean(instruction.get("text", ""), 140),
            end_to_end_id=_clean(instruction.get("end_to_end_id", ""), 35),
            currency=currency,
        )
        entry = self.books.next_entry()
        self.books.book(transfer, entry)
        if creditor["kind"] == "safeguarding" and (
            options := self.misbehaviours.trigger("reverse_credit")
        ):
            self.books.put_off({"kind": "reverse", "entry": entry}, options["days"])
        return {"ok": True}

    def _return(self, instruction: dict[str, Any]) -> dict[str, Any]:
        """Return a booked payout, as the payee's bank would."""
        reason = _clean(instruction.get("reason", "AC04"), 4)
        if not self.orders.return_payout(_clean(instruction["end_to_end_id"], 35), reason):
            return {"ok": False, "reason": str(IsoReason.AM09)}
        return {"ok": True}

    def _reverse(self, instruction: dict[str, Any]) -> dict[str, Any]:
        """Reverse a wrong booking: of an entry, or the last one of an order."""
        line = self.books.line(
            _clean(instruction.get("entry", ""), 35),
            _clean(instruction.get("end_to_end_id", ""), 35),
        )
        if line is None:
            return {"ok": False, "reason": str(IsoReason.AM09)}
        self.books.reverse(line)
        return {"ok": True}

    def _misbehave(self, instruction: dict[str, Any]) -> dict[str, Any]:
        self.misbehaviours.add(instruction)
        return {"ok": True}

    def _open(self, instruction: dict[str, Any]) -> dict[str, Any]:
        kind, cents = (
            instruction.get("kind_of_account", instruction.get("kind")),
            instruction.get("balance_cents", 0),
        )
        if not valid_iban(instruction["iban"]) or type(cents) is not int or cents < 0:
            raise ValueError(f"account {instruction['iban']!r:.40} cannot be opened")
        kind = kind if kind in ("safeguarding", "customer") else "customer"
        self.books.open_account(
            instruction["iban"],
            _clean(instruction["name"], 70),
            kind,
            cents,
            bool(instruction.get("closed", False)),
        )
        return {"ok": True}

    def _close_day(self, _instruction: dict[str, Any]) -> dict[str, Any]:
        """Write the day's statements, then carry out what was put off until the next day."""
        day = self.books.today.isoformat()
        self.reports.close(day)
        self.books.next_day()
        for instruction in self.books.put_off_until_today():
            self._actions[instruction["kind"]](instruction)
        self._book_due()
        return {"ok": True, "closed": day, "today": self.books.today.isoformat()}

    def _write_outgoing(self) -> None:
        rows = self.books.db.execute(
            "SELECT id, name, body FROM outgoing WHERE delivered = 0 AND not_before <= ? "
            "ORDER BY id",
            (self.books.today.isoformat(),),
        ).fetchall()
        for row in rows:
            write_file(self.from_bank / row["name"], row["body"])
            self.books.db.execute("UPDATE outgoing SET delivered = 1 WHERE id = ?", (row["id"],))


def write_file(path: Path, data: bytes) -> None:
    """Write a file atomically: it is absent or complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _clean(text: str, limit: int) -> str:
    """Return a text that fits its field and that XML can hold.

    Raises:
        ValueError: it does not fit.
    """
    if not isinstance(text, str) or len(text) > limit or not text.isprintable():
        raise ValueError(f"not a text of at most {limit} printable characters")
    return text


def _waiting(folder: Path, suffix: str) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == suffix and not path.name.startswith(".") and path.is_file()
    )


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)
