"""The journal as reports read it: postings with their entries, streamed in the journal's order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, select

from orchestrator.core.chart import Account
from orchestrator.core.ledger import balances
from orchestrator.core.reports import Movement
from orchestrator.edges.store import pending as not_final
from orchestrator.edges.store.tables import LedgerEntry, LedgerPosting

_AT_ONCE = 2_000  # rows that one fetch holds


def movements(
    session: Session,
    account: str | None = None,
    row: Account | None = None,
    until: int | None = None,
) -> Iterator[Movement]:
    """Postings in journal order: all of them, one account's, or those of a row of the chart.

    until: only those of entries dated up to this time (Unix seconds).
    """
    found = (
        select(
            LedgerEntry.number,
            LedgerEntry.at,
            LedgerEntry.kind,
            LedgerEntry.ref,
            LedgerEntry.source,
            LedgerPosting.account,
            LedgerPosting.asset,
            LedgerPosting.amount_minor,
        )
        .join(LedgerPosting, LedgerPosting.entry_id == LedgerEntry.entry_id)
        .order_by(LedgerEntry.number, LedgerPosting.id)
    )
    if account is not None:
        found = found.where(LedgerPosting.account == account)
    if row is not None:
        found = found.where(_in(row))
    if until is not None:
        found = found.where(LedgerEntry.at <= until)
    for values in session.exec(found.execution_options(yield_per=_AT_ONCE)):
        yield Movement(*values)


def _in(row: Account) -> Any:
    if row.has_details:
        return LedgerPosting.account.startswith(row.pattern[:-1], autoescape=True)
    return LedgerPosting.account == row.pattern


def pending(session: Session, until: int | None = None) -> dict[tuple[str, str], int]:
    """What the entries of blocks that are not final yet would add to the balances."""
    return balances(
        posting
        for row, item in not_final.entries(session)
        if until is None or row.at <= until
        for posting in item.postings
    )
