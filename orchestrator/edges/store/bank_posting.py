"""What the bank's lines are booked against: the entries of a payout or credit, and who waits."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, select

from orchestrator.core.ledger import Entry, Posting, escrow
from orchestrator.core.reconcile import StatementLine
from orchestrator.edges.store.tables import (
    BankLineRow,
    BookingRow,
    FundingRow,
    LedgerEntryRow,
    LedgerPostingRow,
    PayoutRow,
)
from orchestrator.edges.store.transfers import read_line


def entries_under(session: Session, ref: str) -> list[Entry]:
    """Entries whose reference is this id, or begins with it and a slash, in journal order."""
    rows = session.exec(
        select(LedgerEntryRow, LedgerPostingRow)
        .join(LedgerPostingRow, LedgerPostingRow.entry_id == LedgerEntryRow.entry_id)
        .where(LedgerEntryRow.ref >= ref, LedgerEntryRow.ref < ref + "0")  # "0" follows the slash
        .order_by(LedgerEntryRow.number, LedgerPostingRow.id)
    )
    found: dict[str, tuple[LedgerEntryRow, list[Posting]]] = {}
    for row, posting in rows:
        found.setdefault(row.entry_id, (row, []))[1].append(
            Posting(posting.account, posting.asset, posting.amount_minor)
        )
    return [
        Entry(row.entry_id, row.kind, row.ref, tuple(postings), row.at, row.source)
        for row, postings in found.values()
    ]


def is_reclaimed(session: Session, agreement: str) -> bool:
    """Whether the journal says that an agreement's escrow was given back to its payer."""
    return (
        session.exec(
            select(LedgerEntryRow.number)
            .join(LedgerPostingRow, LedgerPostingRow.entry_id == LedgerEntryRow.entry_id)
            .where(
                LedgerPostingRow.account == escrow(agreement), LedgerEntryRow.kind == "reclaimed"
            )
        ).first()
        is not None
    )


def payouts_of_batch(session: Session, batch: str) -> Sequence[PayoutRow]:
    """Payouts last ordered under this PmtInfId, but for those that the bank refused."""
    return session.exec(
        select(PayoutRow)
        .where(PayoutRow.batch == batch, PayoutRow.stage != "rejected")
        .order_by(PayoutRow.payout_id)
    ).all()


def credits_of(session: Session, cents: int) -> Sequence[FundingRow]:
    """Credits of this amount, whatever became of them."""
    return session.exec(
        select(FundingRow).where(FundingRow.cents == cents).order_by(FundingRow.credit_id)
    ).all()


def credits_in(session: Session, stages: Sequence[str]) -> Sequence[FundingRow]:
    return session.exec(
        select(FundingRow).where(FundingRow.stage.in_(stages)).order_by(FundingRow.credit_id)
    ).all()


def line_of(session: Session, line_id: str) -> StatementLine | None:
    """The line that was acted on under this id, as it was reported first."""
    body = session.exec(
        select(BankLineRow.body)
        .join(
            BookingRow,
            (BookingRow.file_hash == BankLineRow.file_hash) & (BookingRow.path == BankLineRow.path),
        )
        .where(BookingRow.line_id == line_id)
    ).first()
    return read_line(body) if body else None
