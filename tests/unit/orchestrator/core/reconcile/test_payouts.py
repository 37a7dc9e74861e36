"""Every planted difference is found by its own name, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.reconcile import BreakKind, Mint, PayoutRejection, StatementBalances
from tests.support.three_books import ACCOUNT, DAY, REFERENCE, ThreeBooks, line


def kinds(books: ThreeBooks) -> list[BreakKind]:
    result = books.run()
    assert result.difference_micro == 0 or BreakKind.SUPPLY_MISMATCH in {
        item.kind for item in result.breaks
    }
    return [item.kind for item in result.breaks]


def test_reconcile__consistent_books__everything_matches_and_is_explained():
    result = ThreeBooks().run()
    assert result.breaks == () == result.in_flight and result.difference_micro == 0
    assert [item.rule for item in result.matches].count("end_to_end_id") == 3
    assert {item.rule for item in result.matches} == {"end_to_end_id", "mint"}
    assert all(item.explanation and item.lines for item in result.matches)
    assert result.balance_cents * 10_000 == result.supply_micro


def test_reconcile__due_payout_not_on_statement__is_missing():
    books = ThreeBooks()
    gone = books.lines.pop(2)
    (difference,) = books.run().breaks
    assert difference.kind == BreakKind.MISSING and difference.expected_minor == 1_001
    assert (
        difference.ids == (books.payouts[1].payout_id.hex(),)
        and "never order again" in difference.action
    )
    assert gone.end_to_end_id == books.payouts[1].end_to_end_id


@pytest.mark.parametrize("due", [None, DAY + timedelta(days=1)])
def test_reconcile__payout_not_due__is_a_named_item_and_no_break(due):
    books = ThreeBooks()
    del books.lines[1]
    books.payouts[0] = replace(books.payouts[0], due_on=due)
    result = books.run()
    assert result.breaks == () and result.difference_micro == 0
    assert [(i.name, i.amount_micro) for i in result.in_flight] == [
        ("payout_in_flight", -10_000_000)
    ]


def test_reconcile__booked_with_another_amount__is_amount():
    books = ThreeBooks()
    books.lines[1] = replace(books.lines[1], amount_minor=-999)
    (difference,) = books.run().breaks
    assert (difference.kind, difference.expected_minor, difference.found_minor) == (
        BreakKind.AMOUNT,
        1000,
        999,
    )


def test_reconcile__second_booking_reversed__matches_and_says_so():
    books = ThreeBooks()
    twin = replace(books.lines[1], bank_reference="B9", path="Stmt[1]/Ntry[9]")
    back = replace(
        twin, amount_minor=1_000, is_reversal=True, bank_reference="B10", path="Stmt[1]/Ntry[10]"
    )
    books.lines += [twin, back]
    result = books.run()
    assert result.breaks == ()
    assert [m for m in result.matches if "reversed" in m.explanation and len(m.lines) == 3]


def test_reconcile__repetition_refused__does_not_undo_the_booking():
    books = ThreeBooks()
    books.rejections.append(PayoutRejection(books.payouts[0].end_to_end_id, "DU01"))
    assert kinds(books) == []
    books.rejections.append(PayoutRejection(books.payouts[0].end_to_end_id, "AC04"))
    assert kinds(books) == [BreakKind.REJECTED]


def test_reconcile__came_back_less_a_fee__is_returned_and_the_fee_is_named():
    books = ThreeBooks()
    books.lines.append(
        replace(
            books.lines[1],
            amount_minor=900,
            reason="AC04",
            bank_reference="B9",
            path="Stmt[1]/Ntry[9]",
        )
    )
    result = books.run()
    assert [item.kind for item in result.breaks] == [BreakKind.RETURNED]
    assert result.in_flight[0].amount_micro == -900 * 10_000 and result.difference_micro == 0


def test_reconcile__batch_line_without_end_to_end_ids__matches_by_batch_and_sum():
    books = ThreeBooks()
    books.lines[1:] = [line(-3_003, "Stmt[1]/Ntry[2]", batch="PI1", bank_reference="B1")]
    result = books.run()
    assert result.breaks == ()
    assert [len(item.ids) for item in result.matches if item.rule == "batch"] == [3]


def test_reconcile__batch_line_without_the_refused_payout__matches_the_others():
    books = ThreeBooks()
    books.lines[1:] = [line(-2_003, "Stmt[1]/Ntry[2]", batch="PI1", bank_reference="B1")]
    books.rejections.append(PayoutRejection(books.payouts[0].end_to_end_id, "AC04"))
    assert kinds(books) == [BreakKind.REJECTED]
    assert [len(item.ids) for item in books.run().matches if item.rule == "batch"] == [2]


def test_reconcile__batch_line_with_another_sum__is_one_amount_break():
    books = ThreeBooks()
    books.lines[1:] = [line(-3_002, "Stmt[1]/Ntry[2]", batch="PI1", bank_reference="B1")]
    assert kinds(books) == [BreakKind.AMOUNT]


def test_reconcile__line_without_any_id__matches_only_when_unique():
    books = ThreeBooks()
    books.lines[1] = replace(books.lines[1], end_to_end_id="", batch="")
    assert [m.rule for m in books.run().matches].count("account_and_amount") == 1
    books.lines.append(replace(books.lines[1], path="Stmt[1]/Ntry[9]", bank_reference="B9"))
    assert kinds(books) == [BreakKind.EXTRA] * 2 + [BreakKind.MISSING]


def test_reconcile__redemption_unknown_to_ledger__ledger_differs_from_chain():
    books = ThreeBooks()
    books.payouts.pop()
    books.lines.pop()
    assert kinds(books) == [BreakKind.LEDGER_DIFFERS_FROM_CHAIN]


def test_reconcile__ledger_amount_differs__ledger_differs_from_chain():
    books = ThreeBooks()
    books.redemptions[0] = replace(books.redemptions[0], amount_micro=9_990_000)
    assert kinds(books) == [BreakKind.LEDGER_DIFFERS_FROM_CHAIN]


def test_reconcile__credit_without_known_reference__is_unmatched_funding():
    books = ThreeBooks()
    books.lines.append(line(1_234, "Stmt[1]/Ntry[9]", bank_reference="B9", text="hello"))
    assert kinds(books) == [BreakKind.UNMATCHED_FUNDING]


def test_reconcile__credit_waiting_for_its_mint__is_a_named_item():
    books = ThreeBooks()
    books.lines.append(
        line(1_234, "Stmt[1]/Ntry[9]", bank_reference="B9", text=f"power {REFERENCE.lower()}")
    )
    result = books.run()
    assert result.breaks == () and result.difference_micro == 0
    assert [item.name for item in result.in_flight] == ["credit_not_minted"]


def test_reconcile__mint_without_credit__is_named():
    books = ThreeBooks()
    books.mints.append(Mint(b"\7" * 32, 5_000_000))
    assert kinds(books) == [BreakKind.MINT_WITHOUT_CREDIT]


def test_reconcile__minted_twice_or_wrongly__is_duplicate_or_amount():
    twice, wrong = ThreeBooks(), ThreeBooks()
    twice.mints *= 2
    assert kinds(twice) == [BreakKind.DUPLICATE]
    wrong.mints[0] = replace(wrong.mints[0], amount_micro=500_000_001)
    assert BreakKind.AMOUNT in kinds(wrong)


@pytest.mark.parametrize("extra", [1, -1, 10_000])
def test_reconcile__supply_off_by_one_minor_unit__is_supply_mismatch(extra):
    books = ThreeBooks()
    books.supply = 500_000_000 - 30_030_000 + extra
    (difference,) = books.run().breaks
    assert difference.kind == BreakKind.SUPPLY_MISMATCH and difference.asset == "tEUR/6"
    assert difference.found_minor - difference.expected_minor == extra


def test_reconcile__statement_balance_without_its_lines__is_supply_mismatch():
    books = ThreeBooks()
    books.closing = 50_000 - 3_003 + 1
    assert kinds(books) == [BreakKind.SUPPLY_MISMATCH]


def test_reconcile__statement_does_not_open_where_the_last_closed__is_statement_gap():
    later = StatementBalances(ACCOUNT, "S2", DAY + timedelta(days=3), 46_996, 46_996)
    result = ThreeBooks().run(days=(later, StatementBalances(ACCOUNT, "S1", DAY, 0, 46_997)))
    assert [item.kind for item in result.breaks] == [BreakKind.STATEMENT_GAP]
    assert [(i.name, i.amount_micro) for i in result.in_flight] == [("statement_gap", 10_000)]


def test_reconcile__money_before_the_first_line__is_named_as_opening_balance():
    books = ThreeBooks()
    books.opening = 100
    result = books.run()
    assert result.breaks == () and result.in_flight[0].name == "opening_balance"


def test_reconcile__foreign_currency_line__is_named_and_leaves_the_euro_alone():
    books = ThreeBooks()
    books.closing = 46_997
    books.lines.append(line(5_00, "Stmt[2]/Ntry[1]", currency="USD"))
    assert kinds(books) == [BreakKind.CURRENCY]


def test_reconcile__line_of_another_account__is_not_ours():
    books = ThreeBooks()
    books.closing = 46_997
    books.lines.append(line(5_00, "Stmt[2]/Ntry[1]", account="DE99"))
    assert kinds(books) == []


def test_reconcile__debit_nobody_ordered__is_extra():
    books = ThreeBooks()
    books.lines.append(line(-7_77, "Stmt[1]/Ntry[9]", bank_reference="FEE"))
    assert kinds(books) == [BreakKind.EXTRA]


def test_reconcile__refused_by_bank__is_rejected():
    books = ThreeBooks()
    del books.lines[1]
    books.rejections.append(PayoutRejection(books.payouts[0].end_to_end_id, "AC04"))
    assert kinds(books) == [BreakKind.REJECTED]
