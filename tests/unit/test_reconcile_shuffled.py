"""Planted differences are all found, by name, in whatever order and form the facts arrive."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from three_books import DAY, Books, intraday

from orchestrator.core.reconcile import BreakKind, StatementLine

PLANTS = {
    BreakKind.MISSING: lambda b, i: b.lines.remove(_of(b, i)),
    BreakKind.AMOUNT: lambda b, i: _swap(b, i, amount_minor=-1),
    BreakKind.DUPLICATE: lambda b, i: b.lines.append(
        replace(_of(b, i), bank_reference=f"X{i}", path=f"Stmt[1]/Ntry[{90 + i}]")),
    BreakKind.RETURNED: lambda b, i: b.lines.append(
        replace(_of(b, i), bank_reference=f"X{i}", path=f"Stmt[1]/Ntry[{90 + i}]",
                amount_minor=-_of(b, i).amount_minor, reason="MD07")),
}


def _of(books: Books, index: int) -> StatementLine:
    wanted = books.payouts[index].end_to_end_id
    return next(item for item in books.lines if item.end_to_end_id == wanted)


def _swap(books: Books, index: int, **facts) -> None:
    old = _of(books, index)
    books.lines[books.lines.index(old)] = replace(old, **facts)


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, *PLANTS]), min_size=8, max_size=8),
       st.sampled_from(["053", "054", "both"]), st.integers(0, 2**32))
def test_reconcile__planted_differences_in_any_order__finds_exactly_those(plan, files, seed):
    books = Books(payouts=len(plan))
    for index, kind in enumerate(plan):
        if kind is not None:
            PLANTS[kind](books, index)
    notified = [intraday(item) for item in books.lines]
    if files == "054":
        books.closing, books.lines = 0, [replace(item, booking_date=DAY + timedelta(days=1))
                                         for item in notified]
    elif files == "both":
        books.lines += notified
    result = books.run(seed)
    assert result == books.run(seed + 1)
    planted = sorted((kind, books.payouts[index].payout_id.hex())
                     for index, kind in enumerate(plan) if kind is not None)
    assert sorted((item.kind, *item.ids) for item in result.breaks) == planted
    assert result.difference_micro == 0
