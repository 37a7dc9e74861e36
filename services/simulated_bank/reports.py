"""Write the bank's reports: notifications as it books, statements when a day ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from services.simulated_bank import messages, mt940
from services.simulated_bank.books import BankAccounts
from services.simulated_bank.misbehaviour import Misbehaviours

_MARK = "E"  # prefix of references that differ from those of the notification


class Reports:
    """Files about the safeguarding accounts, for the customer's inbox."""

    def __init__(self, books: BankAccounts, misbehaviours: Misbehaviours) -> None:
        self.books, self.misbehaviours = books, misbehaviours

    def notify(self, before: int) -> None:
        """Notify the lines booked after line number `before`, one file per currency."""
        for account in self.books.safeguarding():
            currencies: dict[str, list[sqlite3.Row]] = {}
            for line in self.books.lines(account["iban"], after=before):
                currencies.setdefault(line["currency"], []).append(line)
            for lines in currencies.values():
                self._notify(account["iban"], lines)

    def _notify(self, iban: str, lines: Sequence[sqlite3.Row]) -> None:
        if self.misbehaviours.trigger("silence") is not None:
            return
        as_report, number = (
            self.misbehaviours.trigger("camt052") is not None,
            self.books.next_number(),
        )
        body = messages.notification(number, iban, lines, as_report=as_report)
        self.books.deliver("camt.052" if as_report else "camt.054", body, number)

    def close(self, day: str) -> None:
        """Write the day's statements, with euro lines only: the account is kept in euro."""
        for account in self.books.safeguarding():
            lines = [
                line for line in self.books.lines(account["iban"], day) if line["currency"] == "EUR"
            ]
            self._close(account["iban"], day, lines)

    def _close(self, iban: str, day: str, lines: Sequence[sqlite3.Row]) -> None:
        number, trigger = self.books.next_number(), self.misbehaviours.trigger
        if trigger("skip_statement") is not None:
            return
        opening = self.books.balance(iban, before=day)
        mark = _MARK if trigger("other_references") is not None else ""
        if trigger("mt940") is not None:
            kind, body = "MT940", mt940.statement(number, iban, day, opening, lines, mark=mark)
        else:
            kind, body = (
                "camt.053",
                messages.statement(number, iban, day, opening, lines, mark=mark),
            )
        late = trigger("late_statement")
        self.books.deliver(kind, body, number, late["days"] if late else 0)
        if trigger("resend_statement") is not None:
            self.books.deliver(kind, body, self.books.next_number())
        if trigger("renamed_statement") is not None:
            second_number = self.books.next_number()
            name = f"{messages.statement_id(iban, day)}-{second_number}"
            body = messages.statement(
                second_number, iban, day, opening, lines, name=name, mark=mark
            )
            self.books.deliver("camt.053", body, second_number)
