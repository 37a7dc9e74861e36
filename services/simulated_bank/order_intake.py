"""Accept payment orders and book them on their execution date, with planned misbehaviours."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from device_adapters.types import Rejected
from services.simulated_bank import messages
from services.simulated_bank.books import FEES, OTHER_BANKS, BankAccounts, Transfer
from services.simulated_bank.messages import OrderAnswer
from services.simulated_bank.misbehaviour import Misbehaviours
from services.simulated_bank.orders import Initiation, IsoReason, Order, OrderBatch, read_initiation

_COLUMNS = (
    "end_to_end_id, msg_id, batch, one_booking, uetr, debtor, name, iban, cents, "
    "text, reference, execution_date, state"
)
_SUMMED = ("batch_sum", "batch_bare", "batch_details")


class OrderIntake:
    """Payment orders of one bank: taken, answered, and booked on their day."""

    def __init__(self, books: BankAccounts, misbehaviours: Misbehaviours) -> None:
        self.books, self.misbehaviours = books, misbehaviours

    def answer(self, data: bytes, number: int) -> bytes:
        """Take an order file (pain.001) and return the status report (pain.002) about it."""
        try:
            initiation = read_initiation(data)
            self._refuse_repetition(initiation)
        except Rejected as refusal:
            return messages.status_report(number, refusal.raw.decode()[:35], [], refusal.reason)
        answers = [(batch.id, self._accept(initiation.id, batch)) for batch in initiation.batches]
        return messages.status_report(number, initiation.id, answers)

    def _refuse_repetition(self, initiation: Initiation) -> None:
        raw = initiation.id.encode()
        names = [batch.id for batch in initiation.batches]
        if options := self.misbehaviours.trigger("reject_file", initiation.id, *names):
            raise Rejected(options["reason"], "planned misbehaviour", raw)
        inserted = self.books.db.execute(
            "INSERT OR IGNORE INTO messages VALUES (?)", (initiation.id,)
        ).rowcount
        if not inserted:
            raise Rejected(IsoReason.DU01, "message id", raw)

    def _accept(self, msg_id: str, batch: OrderBatch) -> list[OrderAnswer]:
        free, answers = self._free(batch.debtor_iban), []
        for order in batch.orders:
            reason = order.refusal or self._objection(order, free)
            if reason is None and (
                options := self.misbehaviours.trigger("reject_order", order.end_to_end_id)
            ):
                reason = options["reason"]
            if reason is None and free is not None:
                free -= order.cents
                self.books.db.execute(
                    f"INSERT INTO orders ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,'waiting')",
                    (
                        order.end_to_end_id,
                        msg_id,
                        batch.id,
                        int(batch.one_booking),
                        order.uetr,
                        batch.debtor_iban,
                        order.name,
                        order.iban,
                        order.cents,
                        order.text,
                        order.reference,
                        batch.execution_date.isoformat(),
                    ),
                )
            answers.append(OrderAnswer(order.end_to_end_id, reason or ""))
        return answers

    def _free(self, iban: str) -> int | None:
        """Return the cents that waiting orders leave on a safeguarding account; else None."""
        account = self.books.account(iban)
        if account is None or account["kind"] != "safeguarding":
            return None
        waiting = self.books.db.execute(
            "SELECT COALESCE(SUM(cents), 0) FROM orders WHERE debtor = ? AND state = 'waiting'",
            (iban,),
        ).fetchone()[0]
        return self.books.balance(iban) - waiting

    def _objection(self, order: Order, free: int | None) -> IsoReason | None:
        if free is None:
            return IsoReason.AC02
        duplicate = self.books.db.execute(
            "SELECT 1 FROM orders WHERE end_to_end_id = ?", (order.end_to_end_id,)
        ).fetchone()
        if duplicate:
            return IsoReason.DU04
        creditor = self.books.account(order.iban)
        if creditor is not None and creditor["closed"]:
            return IsoReason.AC04
        return IsoReason.AM04 if order.cents > free else None

    def book_due(self) -> None:
        """Book every accepted order that is due; a batch may share one entry."""
        rows = self.books.db.execute(
            "SELECT * FROM orders WHERE state = 'waiting' AND execution_date <= ? ORDER BY rowid",
            (self.books.today.isoformat(),),
        ).fetchall()
        entries: dict[str, tuple[str, str]] = {}  # batch: (its entry, how it is reported)
        charges: list[Transfer] = []
        for row in rows:
            if self._is_put_off(row):
                continue
            if row["batch"] not in entries:
                shape = self.misbehaviours.trigger_first(
                    _SUMMED, row["batch"], row["end_to_end_id"]
                )
                entries[row["batch"]] = (self.books.next_entry(), shape)
            entry, shape = entries[row["batch"]]
            as_one = row["one_booking"] or shape
            first, *more = self._transfers(row, shape)
            self.books.book(first, entry if as_one else self.books.next_entry())
            for transfer in more:
                self.books.book(transfer, self.books.next_entry())
            self._set_state(row, "booked")
            charges += self._afterwards(row)
        for charge in charges:
            self.books.book(charge, self.books.next_entry())

    def _is_put_off(self, row: sqlite3.Row) -> bool:
        if self.misbehaviours.trigger("forget", row["end_to_end_id"], row["batch"]) is not None:
            self._set_state(row, "forgotten")
            return True
        if options := self.misbehaviours.trigger("delay", row["end_to_end_id"], row["batch"]):
            day = self.books.day_after(options["days"]).isoformat()
            self.books.db.execute(
                "UPDATE orders SET execution_date = ? WHERE end_to_end_id = ?",
                (day, row["end_to_end_id"]),
            )
            return True
        return False

    def _transfers(self, row: sqlite3.Row, shape: str) -> list[Transfer]:
        """Return the transfers of an order: one, unless a misbehaviour applies."""
        is_own_account = self.books.account(row["iban"]) is not None
        transfer = Transfer(
            row["debtor"],
            row["iban"] if is_own_account else OTHER_BANKS,
            row["cents"],
            self.books.account(row["debtor"])["name"],
            row["name"],
            row["iban"],
            row["end_to_end_id"],
            row["uetr"],
            row["reference"],
            row["text"],
            row["batch"],
            shape=shape,
        )
        trigger = self.misbehaviours.trigger
        if options := trigger("wrong_amount", row["end_to_end_id"]):
            transfer = replace(transfer, cents=max(1, transfer.cents + options["cents"]))
        if options := trigger("charge_inside", row["end_to_end_id"]):
            transfer = replace(transfer, charges=options["cents"])
        if trigger("split", row["end_to_end_id"]) is not None and transfer.cents > 1:
            half = transfer.cents >> 1
            return [
                replace(transfer, cents=half),
                replace(transfer, cents=transfer.cents - half, charges=0),
            ]
        if trigger("duplicate", row["end_to_end_id"]) is not None:
            return [transfer, transfer]
        return [transfer]

    def _afterwards(self, row: sqlite3.Row) -> list[Transfer]:
        """Plan the return of a booked order, if any; return the charges that follow it."""
        reference = row["end_to_end_id"]
        if options := self.misbehaviours.trigger("return_later", reference):
            self.books.put_off(
                {"kind": "return", "end_to_end_id": reference, "reason": options["reason"]},
                options["days"],
            )
        if options := self.misbehaviours.trigger("charge_line", reference):
            return [
                Transfer(
                    row["debtor"],
                    FEES,
                    options["cents"],
                    creditor_name="Charges",
                    text="Charges",
                    code="CHRG",
                )
            ]
        return []

    def _set_state(self, row: sqlite3.Row, state: str) -> None:
        self.books.db.execute(
            "UPDATE orders SET state = ? WHERE end_to_end_id = ?", (state, row["end_to_end_id"])
        )

    def return_payout(self, end_to_end_id: str, reason: str) -> bool:
        """Return a booked payout, as the payee's bank would; False if no such order is booked."""
        row = self.books.db.execute(
            "SELECT * FROM orders WHERE end_to_end_id = ? AND state = 'booked'", (end_to_end_id,)
        ).fetchone()
        if row is None:
            return False
        is_own_account = self.books.account(row["iban"]) is not None
        self.books.book(
            Transfer(
                row["iban"] if is_own_account else OTHER_BANKS,
                row["debtor"],
                row["cents"],
                row["name"],
                "",
                row["iban"],
                row["end_to_end_id"],
                row["uetr"],
                reason=reason,
            ),
            self.books.next_entry(),
        )
        self._set_state(row, "returned")
        return True
