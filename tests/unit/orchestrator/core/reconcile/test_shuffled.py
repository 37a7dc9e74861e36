"""Planted differences are all found, by name, in any order and form of the facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.reconcile import BreakKind, PayoutRejection, StatementLine
from orchestrator.core.reconcile.coverage import coverage, repeated
from tests.support.three_books import DAY, ThreeBooks, file, intraday


def _of(books: ThreeBooks, index: int) -> StatementLine:
    wanted = books.payouts[index].end_to_end_id
    return next(item for item in books.lines if item.end_to_end_id == wanted)


def _swap(books: ThreeBooks, index: int, **facts) -> None:
    old = _of(books, index)
    books.lines[books.lines.index(old)] = replace(old, **facts)


def _more(books: ThreeBooks, index: int, mark: str, **facts) -> None:
    books.lines.append(
        replace(
            _of(books, index),
            bank_reference=f"{mark}{index}",
            path=f"Stmt[1]/Ntry[{ord(mark)}{index}]",
            **facts,
        )
    )


def _split(books: ThreeBooks, index: int) -> None:
    whole = _of(books, index).amount_minor
    _more(books, index, "X", amount_minor=whole + 300)
    _swap(books, index, amount_minor=-300)


def _charge(books: ThreeBooks, index: int) -> None:
    _swap(books, index, amount_minor=_of(books, index).amount_minor - 5, charges_minor=5)


def _late(books: ThreeBooks, index: int) -> None:
    books.payouts[index] = replace(books.payouts[index], due_on=DAY - timedelta(days=1))


def _reverse(books: ThreeBooks, index: int) -> None:
    _more(books, index, "X")
    _more(books, index, "Y", amount_minor=-_of(books, index).amount_minor, is_reversal=True)


def _reorder(books: ThreeBooks, index: int) -> None:
    name = f"OLD{index}"
    books.payouts[index] = replace(books.payouts[index], earlier=(name,))
    _more(books, index, "X", end_to_end_id=name)
    _more(
        books,
        index,
        "Y",
        end_to_end_id=name,
        reason="AC04",
        amount_minor=-_of(books, index).amount_minor,
    )


def _refuse(books: ThreeBooks, index: int) -> None:
    books.lines.remove(_of(books, index))
    books.rejections.append(PayoutRejection(books.payouts[index].end_to_end_id, "AC04"))


# what to do to a payout, what it is named, and whether later lines explain it
PLANTS = {
    "missing": (lambda b, i: b.lines.remove(_of(b, i)), BreakKind.MISSING, False),
    "amount": (lambda b, i: _swap(b, i, amount_minor=-1), BreakKind.AMOUNT, False),
    "duplicate": (lambda b, i: _more(b, i, "X"), BreakKind.DUPLICATE, False),
    "reversed": (_reverse, BreakKind.DUPLICATE, True),
    "returned": (
        lambda b, i: _more(b, i, "X", amount_minor=-_of(b, i).amount_minor, reason="MD07"),
        BreakKind.RETURNED,
        False,
    ),
    "ordered again": (_reorder, BreakKind.RETURNED, True),
    "refused": (_refuse, BreakKind.REJECTED, False),
    "split": (_split, BreakKind.AMOUNT, True),
    "charges": (_charge, BreakKind.CHARGES, False),
    "late": (_late, BreakKind.TIMING, True),
}


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([None, *PLANTS]), min_size=8, max_size=8),
    st.sampled_from(["053", "054", "052", "both", "all"]),
    st.integers(0, 2**32),
)
def test_reconcile__planted_differences_in_any_order__finds_exactly_those(plan, files, seed):
    books = ThreeBooks(payouts=len(plan))
    for index, what in enumerate(plan):
        if what is not None:
            PLANTS[what][0](books, index)
    notified = [intraday(item) for item in books.lines]
    early = [replace(item, kind="camt.052", source=file("052")) for item in notified]
    if files in ("054", "052"):  # nothing else yet: that day's statement is still to come
        only = notified if files == "054" else early
        books.lines = only
        books.remint()
        result, again = books.run(seed, days=()), books.run(seed + 1, days=())
        plan = [None if what == "missing" else what for what in plan]  # not due to be seen yet
    else:
        books.lines += {"053": [], "both": notified, "all": notified + early}[files]
        result, again = books.run(seed), books.run(seed + 1)
    assert result == again
    for items, explained in ((result.breaks, False), (result.closed, True)):
        planted = sorted(
            (PLANTS[what][1], books.payouts[index].payout_id.hex())
            for index, what in enumerate(plan)
            if what is not None and PLANTS[what][2] == explained
        )
        assert sorted((item.kind, *item.ids) for item in items) == planted
    assert result.difference_micro == 0
    assert all(reserve.difference_micro == 0 for reserve in result.reserves)


@settings(deadline=None)
@given(st.permutations([0, 1, 2, 3]), st.booleans(), st.integers(0, 2**32))
def test_batch__booked_as_a_sum_or_by_parts_in_any_order__is_one_match(order, named, seed):
    """named: the line names the batch; else only its sum does, and a person decides."""
    books = ThreeBooks(payouts=4)
    whole = sum(item.amount_minor for item in books.lines[1:])
    books.payouts = [books.payouts[index] for index in order]
    books.lines[1:] = [
        replace(
            books.lines[1],
            amount_minor=whole,
            end_to_end_id="",
            batch="PI1" if named else "",
            counterparty_iban="",
        )
    ]
    result = books.run(seed)
    [difference] = result.closed if named else result.breaks
    assert difference.kind is BreakKind.BATCH_BOOKED and len(difference.ids) == 4
    assert result.difference_micro == 0 and result == ThreeBooks.run(books, seed + 1)


@settings(deadline=None)
@given(st.permutations(range(6)), st.integers(0, 5))
def test_statements__in_any_order__chain_the_same_and_show_the_same_gap(order, lost):
    books, days = ThreeBooks(), []
    for number in range(6):
        at = DAY + timedelta(days=number)
        days.append(
            replace(
                books._balances()[0],
                statement=f"S{number}",
                day=at,
                opening_minor=number * 10,
                closing_minor=number * 10 + 10,
            )
        )
    kept = [days[number] for number in order if number != lost]
    cover = coverage(kept, 0)
    assert [link.statement for link in cover.statements] == [
        f"S{number}" for number in range(6) if number != lost
    ]
    hidden = {lost: (lost * 10, lost * 10 + 10)} if lost < 5 else {}
    assert cover.gaps == hidden
    assert repeated(kept, books.lines) == []
    for number in range(6):
        assert cover.answers_for(DAY + timedelta(days=number)) == (number != lost)
