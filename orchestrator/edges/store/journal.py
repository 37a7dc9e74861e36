"""The journal as reports read it: postings with their entries, streamed in the journal's order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, select

from orchestrator.core.chart import LedgerAccount
from orchestrator.core.ledger import balances
from orchestrator.core.reports import LedgerMovement
from orchestrator.edges.store import pending as not_final
from orchestrator.edges.store.tables import LedgerEntryRow, LedgerPostingRow

_AT_ONCE = 2_000  # rows that one fetch holds


def movements(
    session: Session,
    account: str | None = None,
    row: LedgerAccount | None = None,
    until: int | None = None,
) -> Iterator[LedgerMovement]:
    """Postings in journal order: all of them, one account's, or those of a row of the chart.

    until: only those of entries dated up to this time (Unix seconds).
    """
    found = (
        select(
            LedgerEntryRow.number,
            LedgerEntryRow.at,
            LedgerEntryRow.kind,
            LedgerEntryRow.ref,
            LedgerEntryRow.source,
            LedgerPostingRow.account,
            LedgerPostingRow.asset,
            LedgerPostingRow.amount_minor,
        )
        .join(LedgerPostingRow, LedgerPostingRow.entry_id == LedgerEntryRow.entry_id)
        .order_by(LedgerEntryRow.number, LedgerPostingRow.id)
    )
    if account is not None:
        found = found.where(LedgerPostingRow.account == account)
    if row is not None:
        found = found.where(_in(row))
    if until is not None:
        found = found.where(LedgerEntryRow.at <= until)
    for values in session.exec(found.execution_options(yield_per=_AT_ONCE)):
        yield LedgerMovement(*values)


def _in(row: LedgerAccount) -> Any:
    if row.has_details:
        return LedgerPostingRow.account.startswith(row.pattern[:-1], autoescape=True)
    return LedgerPostingRow.account == row.pattern


def pending(session: Session, until: int | None = None) -> dict[tuple[str, str], int]:
    """What the entries of blocks that are not final yet would add to the balances."""
    return balances(
        posting
        for row, item in not_final.entries(session)
        if until is None or row.at <= until
        for posting in item.postings
    )
