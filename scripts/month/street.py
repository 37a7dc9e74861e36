"""The simulated bank as the month needs it: standing orders by the hundred, TARGET's days."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from scripts.month import days
from scripts.simulated_bank.bank import Bank, write_file


class Street(Bank):
    """The bank, and what people tell it."""

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

    def close_day(self) -> None:
        """The day's statements; then the next day on which TARGET is open."""
        self.tell({"kind": "close_day"})
        while not days.is_open(self.books.today):
            self.books.next_day()
