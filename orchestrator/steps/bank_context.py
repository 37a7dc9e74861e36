"""What the posting rules of bank lines ask (core/bank_books.py), answered from the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core import ledger
from orchestrator.core.bank_books import OpenCredit, OpenPayout, open_payout
from orchestrator.edges.store import Session, agreements, bank_books, transfers

_WAITS = (ledger.FUNDING, ledger.UNALLOCATED)


@dataclass(frozen=True, slots=True)
class StoreContext:
    """`bank_books.Context` of one session; what it posts meanwhile, the next answer knows."""

    session: Session

    def is_booked(self, ids: Sequence[str]) -> bool:
        return transfers.is_booked(self.session, ids)

    def payout(self, end_to_end_id: str) -> OpenPayout | None:
        row = transfers.payout_by_reference(self.session, end_to_end_id)
        return self._open(row) if row else None

    def batch(self, batch: str) -> list[OpenPayout]:
        return [self._open(row) for row in bank_books.payouts_of_batch(self.session, batch)]

    def agreement(self, reference: str, at: int) -> str | None:
        row = agreements.by_reference(self.session, reference)
        if row is None or row.expiry <= at:
            return None
        is_over = bank_books.is_reclaimed(self.session, row.agreement_id)
        return None if is_over else row.agreement_id

    def credits(self, cents: int) -> Iterator[OpenCredit]:
        for row in bank_books.credits_of(self.session, cents):
            waits = self._where(row.credit_id, cents)
            line = bank_books.line_of(self.session, row.credit_id) if waits else None
            if line is not None:
                yield OpenCredit(row.credit_id, waits, line.reference, line.counterparty_iban)

    def _open(self, row: transfers.Payout) -> OpenPayout:
        entries = bank_books.entries_under(self.session, row.payout_id)
        return open_payout(row.payout_id, row.account, entries)

    def _where(self, credit: str, cents: int) -> str:
        """The suspense account that holds all of a credit; "" once it holds it no more."""
        entries = bank_books.entries_under(self.session, credit)
        totals = ledger.balances(p for entry in entries for p in entry.postings)
        return next((a for a in _WAITS if totals.get((a, ledger.EUR)) == -cents), "")
