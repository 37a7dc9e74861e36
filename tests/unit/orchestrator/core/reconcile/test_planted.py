"""Each difference planted in clean books is found by name, open or explained; nothing else is."""

from __future__ import annotations

import pytest

from orchestrator.core.reconcile import BreakKind, StatementBalances
from tests.support.planted_breaks import K
from tests.support.planted_chain_breaks import ALL
from tests.support.three_books import ACCOUNT, DAY, ThreeBooks


def test_planted__are__every_kind_of_the_list():
    named = {kind for _, kinds in ALL.values() for kind, _ in kinds}
    assert named == set(BreakKind) and len(ALL) >= 25


@pytest.mark.parametrize("name", ALL)
def test_reconcile__one_difference_planted__finds_it_and_no_other(name):
    change, named = ALL[name]
    books = ThreeBooks()
    change(books)
    result = books.run()
    kinds = [(item.kind, "open") for item in result.breaks]
    kinds += [(item.kind, "closed") for item in result.closed]
    assert sorted(kinds) == sorted(named)
    assert all(item.owner and item.action for item in (*result.breaks, *result.closed))
    # what has a name is no mismatch
    assert (result.difference_micro != 0) == ((K.SUPPLY_MISMATCH, "open") in named)
    for seed in range(1, 4):
        assert books.run(seed) == result


def test_reconcile__clean_books__name_nothing_open_or_closed():
    result = ThreeBooks().run()
    assert (result.breaks, result.closed, result.in_flight) == ((), (), ())


def test_balances__of_one_day__are_read_in_the_order_in_which_they_chain():
    days = (
        StatementBalances(ACCOUNT, "A", DAY, 50_000, 46_997),
        StatementBalances(ACCOUNT, "B", DAY, 0, 50_000),
    )
    assert ThreeBooks().run(days=days).breaks == ()
