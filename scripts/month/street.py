"""The simulated bank as the month needs it: standing orders by the hundred, and tricks on demand.

What it does wrong it does in its own books first, which stay balanced and tell the truth.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from scripts.month import days
from scripts.simulated_bank.bank import SimulatedBank, write_file
from scripts.simulated_bank.books import OTHER_BANKS, Transfer

# what becomes of one order that is due: its bookings, or none yet
Trick = Callable[[sqlite3.Row], list[Transfer] | None]


class BankScript(SimulatedBank):
    """The bank, and what people tell it. tricks: payee's IBAN -> what happens to its next order."""

    tricks: dict[str, Trick]

    def __init__(self, *given: Any) -> None:
        self.tricks = {}
        super().__init__(*given)

    def tell(self, wish: dict[str, Any]) -> dict[str, Any]:
        """One instruction, as `scripts.run_bank` hands it over; raises where the bank says no."""
        number = len(list((self.instructions / "done").glob("*.json")))
        write_file(self.instructions / f"{number:06}.json", json.dumps(wish).encode())
        self.step()
        result = self.instructions / "done" / f"{number:06}.result"
        answer = json.loads(result.read_bytes())
        if not answer["ok"]:
            raise RuntimeError(f"the bank refused {wish}: {answer}")
        return answer

    def standing_orders(self, payments: Sequence[tuple[str, int, str]]) -> None:
        """(payer's IBAN, cents, reference) each, booked overnight and notified in one file."""
        before = self.books.last_line()
        with self.books.transaction():
            for payer, cents, reference in payments:
                answer = self._pay({"from": payer, "amount_cents": cents, "reference": reference})
                if not answer["ok"]:
                    raise RuntimeError(f"standing order of {payer}: {answer}")
            self._notify(before)
        self._write_outgoing()

    def shut(self, iban: str, closed: bool) -> None:
        """Closes a customer's account, or opens it again."""
        name = self.books.account(iban)["name"]
        self.tell({"kind": "open", "iban": iban, "name": name, "closed": closed})

    def take_out(self, cents: int, text: str) -> None:
        """A debit of the safeguarding account that nobody ordered."""
        own = self.books.safeguarding()[0]
        self._book_now(
            [Transfer(own["iban"], OTHER_BANKS, cents, own["name"], "Unbekannt", text=text)]
        )

    def close_day(self) -> None:
        """The day's statements; then the next day on which TARGET is open."""
        self.tell({"kind": "close_day"})
        while not days.is_open(self.books.today):
            self.books.next_day()

    # --- inside

    def _book_now(self, transfers: list[Transfer]) -> None:
        before = self.books.last_line()
        with self.books.transaction():
            for transfer in transfers:
                self.books.book(transfer, f"EN{self.books.next_number():09d}")
            self._notify(before)
        self._write_outgoing()

    def _book_due(self) -> None:
        rows = self.books.db.execute(
            "SELECT * FROM orders WHERE state = 'waiting' AND execution_date <= ? ORDER BY rowid",
            (self.books.today.isoformat(),),
        ).fetchall()
        for row in rows:
            trick = self.tricks.pop(row["iban"], None)
            for transfer in (trick(row) or []) if trick else []:
                self.books.book(transfer, f"EN{self.books.next_number():09d}")
                self._mark(row, "booked")
        super()._book_due()

    def _mark(self, row: sqlite3.Row, state: str) -> None:
        self.books.db.execute(
            "UPDATE orders SET state = ? WHERE end_to_end_id = ?", (state, row["end_to_end_id"])
        )

    # --- tricks

    def transfer(self, row: sqlite3.Row, cents: int) -> Transfer:
        """The booking of an order, with another amount if need be."""
        return Transfer(
            row["debtor"],
            row["iban"],
            cents,
            "proofrail",
            row["name"],
            row["iban"],
            row["end_to_end_id"],
            row["uetr"],
            row["reference"],
            row["text"],
            row["batch"],
        )

    def twice(self, row: sqlite3.Row) -> list[Transfer]:
        return [self.transfer(row, row["cents"])] * 2

    def a_cent_more(self, row: sqlite3.Row) -> list[Transfer]:
        return [self.transfer(row, row["cents"] + 1)]

    def forget(self, row: sqlite3.Row) -> None:
        """Accepted, and never booked."""
        self._mark(row, "lost")
