"""What the posting rules of bank lines ask (core/bank_posting.py), answered from the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.core import ledger
from orchestrator.core.bank_posting import (
    CreditBooked,
    OpenPayout,
    Posted,
    UnmintedCredit,
    open_payout,
)
from orchestrator.core.reconcile import StatementLine
from orchestrator.edges.store import (
    Session,
    agreements,
    bank_files,
    fundings,
    payouts,
)
from orchestrator.edges.store import ledger as store_ledger

_WAITS = (ledger.FUNDING, ledger.UNALLOCATED)


@dataclass(frozen=True, slots=True)
class StoreContext:
    """`BankContext` of one session. `note` records what a file's earlier lines posted, and the next
    answer knows it, so that a file is stored in a few statements and not line by line."""

    session: Session
    booked: set[str] = field(default_factory=set)  # those of the ids at hand that were acted on
    entries: dict[str, list[ledger.Entry]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[str, StatementLine] = field(default_factory=dict)  # credit id: its line

    def note(self, line: StatementLine, posted: Posted) -> None:
        for entry in posted.entries:
            self.entries[entry.ref.partition("/")[0]].append(entry)
        for effect in posted.effects:
            if isinstance(effect, CreditBooked):
                self.lines[effect.credit_id] = line

    def is_booked(self, ids: Sequence[str]) -> bool:
        return not self.booked.isdisjoint(ids)

    def payout(self, end_to_end_id: str) -> OpenPayout | None:
        row = payouts.by_reference(self.session, end_to_end_id)
        return self._open(row) if row else None

    def batch(self, batch: str) -> list[OpenPayout]:
        return [self._open(row) for row in payouts.of_batch(self.session, batch)]

    def agreement(self, reference: str, at: int) -> str | None:
        row = agreements.by_reference(self.session, reference)
        if row is None or row.expiry <= at:
            return None
        is_over = store_ledger.is_reclaimed(self.session, row.agreement_id)
        return None if is_over else row.agreement_id

    def credits(self, cents: int) -> Iterator[UnmintedCredit]:
        known = {row.credit_id for row in fundings.of_amount(self.session, cents)}
        for credit in sorted(known | self.lines.keys()):
            waits = self._where(credit, cents)
            line = (
                self.lines.get(credit) or bank_files.line_of(self.session, credit)
                if waits
                else None
            )
            if line is not None:
                yield UnmintedCredit(credit, waits, line.reference, line.counterparty_iban)

    def _open(self, row: payouts.PayoutRow) -> OpenPayout:
        return open_payout(row.payout_id, row.account, self._under(row.payout_id))

    def _where(self, credit: str, cents: int) -> str:
        """The suspense account that holds all of a credit; "" once it holds it no more."""
        totals = ledger.balances(p for entry in self._under(credit) for p in entry.postings)
        return next((a for a in _WAITS if totals.get((a, ledger.EUR)) == -cents), "")

    def _under(self, ref: str) -> list[ledger.Entry]:
        return store_ledger.entries_under(self.session, ref) + self.entries.get(ref, [])
