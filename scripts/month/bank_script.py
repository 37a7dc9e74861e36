"""The simulated bank of the month: many standing orders at once, and wrong bookings on demand.

A wrong booking is made in the bank's own books first; they stay balanced and correct.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from scripts.month import days
from services.simulated_bank.bank import SimulatedBank, write_file
from services.simulated_bank.books import OTHER_BANKS, Transfer

# returns the bookings of one due order, or None if there are none
Misbooking = Callable[[sqlite3.Row], list[Transfer] | None]


class BankScript(SimulatedBank):
    """The simulated bank in this process, with its customers' instructions.

    Attributes:
        misbookings: payee's IBAN -> how the bank books its next order.
    """

    misbookings: dict[str, Misbooking]

    def __init__(self, *arguments: Any) -> None:
        self.misbookings = {}
        super().__init__(*arguments)

    def instruct(self, instruction: dict[str, Any]) -> dict[str, Any]:
        """Carry out one instruction, as if `services.bank` had sent it.

        Raises:
            RuntimeError: the bank refuses it.
        """
        number = len(list((self.instructions / "done").glob("*.json")))
        write_file(self.instructions / f"{number:06}.json", json.dumps(instruction).encode())
        self.step()
        result = self.instructions / "done" / f"{number:06}.result"
        answer = json.loads(result.read_bytes())
        if not answer["ok"]:
            raise RuntimeError(f"the bank refused {instruction}: {answer}")
        return answer

    def standing_orders(self, payments: Sequence[tuple[str, int, str]]) -> None:
        """Book payments overnight and notify them in one file.

        Args:
            payments: (payer's IBAN, cents, reference) of each.
        """
        before = self.books.last_line()
        with self.books.transaction():
            for payer, cents, reference in payments:
                answer = self._pay({"from": payer, "amount_cents": cents, "reference": reference})
                if not answer["ok"]:
                    raise RuntimeError(f"standing order of {payer}: {answer}")
            self._notify(before)
        self._write_outgoing()

    def set_closed(self, iban: str, closed: bool) -> None:
        """Close a customer's account, or open it again."""
        name = self.books.account(iban)["name"]
        self.instruct({"kind": "open", "iban": iban, "name": name, "closed": closed})

    def debit(self, cents: int, text: str) -> None:
        """Debit the safeguarding account without an order."""
        account = self.books.safeguarding()[0]
        self._book_now(
            [Transfer(account["iban"], OTHER_BANKS, cents, account["name"], "Unbekannt", text=text)]
        )

    def close_day(self) -> None:
        """Write the day's statements and go to the next day on which TARGET is open."""
        self.instruct({"kind": "close_day"})
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
            misbooking = self.misbookings.pop(row["iban"], None)
            for transfer in (misbooking(row) or []) if misbooking else []:
                self.books.book(transfer, f"EN{self.books.next_number():09d}")
                self._mark(row, "booked")
        super()._book_due()

    def _mark(self, row: sqlite3.Row, state: str) -> None:
        self.books.db.execute(
            "UPDATE orders SET state = ? WHERE end_to_end_id = ?", (state, row["end_to_end_id"])
        )

    # --- wrong bookings

    def transfer(self, row: sqlite3.Row, cents: int) -> Transfer:
        """Return the booking of an order with this amount."""
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

    def book_twice(self, row: sqlite3.Row) -> list[Transfer]:
        """Book an order twice."""
        return [self.transfer(row, row["cents"])] * 2

    def book_a_cent_more(self, row: sqlite3.Row) -> list[Transfer]:
        """Book an order with one cent too many."""
        return [self.transfer(row, row["cents"] + 1)]

    def forget(self, row: sqlite3.Row) -> None:
        """Accept an order and never book it."""
        self._mark(row, "lost")
