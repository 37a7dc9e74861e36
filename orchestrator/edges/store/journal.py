"""The journal as reports read it: postings with their entries, streamed in the journal's order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, func, select

from orchestrator.core.chart import Account
from orchestrator.core.reports import Movement
from orchestrator.edges.store.tables import LedgerEntry, LedgerPosting, PendingEntry

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
            LedgerEntry.number, LedgerEntry.at, LedgerEntry.kind, LedgerEntry.ref,
            LedgerEntry.source, LedgerPosting.account, LedgerPosting.asset,
            LedgerPosting.amount_minor,
        )
        .join(LedgerPosting, LedgerPosting.entry_id == LedgerEntry.entry_id)
        .order_by(LedgerEntry.number, LedgerPosting.id)
    )  # fmt: skip
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


def balances(session: Session, until: int | None = None) -> dict[tuple[str, str], int]:
    """{(account, asset): balance} of all entries dated up to a time; debit positive."""
    found = (
        select(LedgerPosting.account, LedgerPosting.asset, func.sum(LedgerPosting.amount_minor))
        .group_by(LedgerPosting.account, LedgerPosting.asset)
        .order_by(LedgerPosting.asset, LedgerPosting.account)
    )
    if until is not None:
        found = found.join(LedgerEntry, LedgerEntry.entry_id == LedgerPosting.entry_id)
        found = found.where(LedgerEntry.at <= until)
    return {(account, asset): total for account, asset, total in session.exec(found)}


def pending(session: Session, until: int | None = None) -> dict[tuple[str, str], int]:
    """What the entries of blocks that are not final yet would add to the balances."""
    rows = session.exec(
        select(PendingEntry.at, PendingEntry.postings).where(PendingEntry.state == "pending")
    )
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for at, postings in rows:
        if until is None or at <= until:
            for account, asset, amount in json.loads(postings):
                sums[account, asset] += amount
    return dict(sums)
