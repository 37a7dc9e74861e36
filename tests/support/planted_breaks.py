"""Differences to plant into clean books (three_books.py), each with the breaks it must cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from orchestrator.core.reconcile import BreakKind, Mint, PayoutRejection
from tests.support.three_books import DAY, REFERENCE, ThreeBooks, file, intraday, line

K = BreakKind
Plant = Callable[[ThreeBooks], None]
Expected = list[tuple[BreakKind, str]]  # (kind, "open" or "closed")
PLANTS: dict[str, tuple[Plant, Expected]] = {}
NEXT = DAY + timedelta(days=1)


def plant(*expected: tuple[BreakKind, str]) -> Callable[[Plant], Plant]:
    """Register a function that plants a difference, with the breaks it must cause."""

    def register(change: Plant) -> Plant:
        PLANTS[change.__name__] = (change, list(expected))
        return change

    return register


def change_line(books: ThreeBooks, index: int, **facts: object) -> None:
    books.lines[index] = replace(books.lines[index], **facts)


def extra_line(cents: int, **facts: object):
    return line(cents, "Stmt[1]/Ntry[90]", bank_reference="B90", **facts)


def book_again(books: ThreeBooks, index: int, number: int = 91, **facts: object) -> None:
    """Book a line once more, with other facts."""
    books.lines.append(
        replace(
            books.lines[index], bank_reference=f"B{number}", path=f"Stmt[1]/Ntry[{number}]", **facts
        )
    )


@plant((K.MISSING, "open"))
def payout_not_booked(books: ThreeBooks) -> None:
    del books.lines[1]


@plant((K.EXTRA, "open"))
def debit_without_an_order(books: ThreeBooks) -> None:
    books.lines.append(extra_line(-777))


@plant((K.AMOUNT, "open"))
def payout_booked_with_another_amount(books: ThreeBooks) -> None:
    change_line(books, 1, amount_minor=-999)


@plant((K.AMOUNT, "closed"))
def wrong_amount_reversed_and_booked_right(books: ThreeBooks) -> None:
    book_again(books, 1, 91, amount_minor=-999)
    book_again(books, 1, 92, amount_minor=999, is_reversal=True)


@plant((K.AMOUNT, "closed"))
def payout_split_over_two_lines(books: ThreeBooks) -> None:
    change_line(books, 1, amount_minor=-600)
    book_again(books, 1, amount_minor=-400)


@plant((K.AMOUNT, "open"))
def only_one_part_of_a_split_came(books: ThreeBooks) -> None:
    change_line(books, 1, amount_minor=-600)


@plant((K.DUPLICATE, "open"))
def payout_booked_twice(books: ThreeBooks) -> None:
    book_again(books, 1)


@plant((K.DUPLICATE, "closed"))
def payout_booked_twice_and_one_reversed(books: ThreeBooks) -> None:
    book_again(books, 1, 91)
    book_again(books, 1, 92, amount_minor=1_000, is_reversal=True)


@plant((K.DUPLICATE, "closed"))
def statement_sent_again_under_another_id(books: ThreeBooks) -> None:
    books.lines += [replace(item, source=file("copy")) for item in books.lines]
    books.copies = 1


@plant((K.DUPLICATE, "closed"))
def statement_without_references_sent_again(books: ThreeBooks) -> None:
    books.lines = [replace(item, bank_reference="") for item in books.lines]
    books.remint()
    books.lines += [replace(item, source=file("copy")) for item in books.lines]
    books.copies = 1


@plant((K.TIMING, "closed"))
def payout_booked_days_late(books: ThreeBooks) -> None:
    books.payouts[0] = replace(books.payouts[0], due_on=DAY - timedelta(days=2))


@plant((K.TIMING, "closed"))
def statement_after_that_of_a_later_day(books: ThreeBooks) -> None:
    books.received = [200, 100]


@plant((K.STATEMENT_GAP, "open"))
def statement_that_never_came(books: ThreeBooks) -> None:
    """Its payout is neither missing nor matched: the statement of that day is unknown."""
    cents = -books.lines.pop(1).amount_minor
    books.payouts[0] = replace(books.payouts[0], due_on=NEXT)
    books.hidden = -cents


@plant((K.STATEMENT_GAP, "open"))
def statement_that_never_came_of_a_day_that_was_notified(books: ThreeBooks) -> None:
    """The notification explains the gap to the cent, and matches its payout."""
    booked = books.lines.pop(1)
    books.lines.append(intraday(booked, booking_date=NEXT))
    books.payouts[0] = replace(books.payouts[0], due_on=NEXT)
    books.hidden = booked.amount_minor


@plant((K.BATCH_BOOKED, "closed"))
def batch_booked_as_its_sum(books: ThreeBooks) -> None:
    books.lines[1:] = [extra_line(-3_003, batch="PI1")]


@plant((K.BATCH_BOOKED, "open"))
def batch_booked_without_any_reference(books: ThreeBooks) -> None:
    books.lines[1:] = [extra_line(-3_003)]


@plant((K.AMOUNT, "open"))
def batch_booked_with_another_sum(books: ThreeBooks) -> None:
    books.lines[1:] = [extra_line(-3_002, batch="PI1")]


@plant((K.REJECTED, "open"))
def payout_refused(books: ThreeBooks) -> None:
    del books.lines[1]
    books.rejections.append(PayoutRejection(books.payouts[0].end_to_end_id, "AC04"))


@plant((K.REJECTED, "open"))
def payout_refused_and_booked(books: ThreeBooks) -> None:
    books.rejections.append(PayoutRejection(books.payouts[0].end_to_end_id, "AC04"))


@plant((K.REJECTED, "closed"))
def payout_refused_ordered_again_and_booked(books: ThreeBooks) -> None:
    books.payouts[0] = replace(books.payouts[0], earlier=("OLD",))
    books.rejections.append(PayoutRejection("OLD", "AC04"))


@plant((K.RETURNED, "open"))
def payout_came_back(books: ThreeBooks) -> None:
    book_again(books, 1, amount_minor=1_000, reason="AC04")


@plant((K.RETURNED, "closed"))
def payout_came_back_and_was_ordered_again(books: ThreeBooks) -> None:
    books.payouts[0] = replace(books.payouts[0], earlier=("OLD",))
    book_again(books, 1, 91, end_to_end_id="OLD")
    book_again(books, 1, 92, end_to_end_id="OLD", amount_minor=1_000, reason="AC04")


@plant((K.MISSING, "open"), (K.RETURNED, "closed"))
def payout_came_back_and_its_second_order_is_missing(books: ThreeBooks) -> None:
    payout_came_back_and_was_ordered_again(books)
    del books.lines[1]


@plant((K.RETURNED, "open"), (K.CHARGES, "open"))
def payout_came_back_less_a_charge(books: ThreeBooks) -> None:
    book_again(books, 1, amount_minor=900, charges_minor=100, reason="AC04")


@plant((K.CHARGES, "open"))
def charge_taken_inside_a_payout(books: ThreeBooks) -> None:
    change_line(books, 1, amount_minor=-1_025, charges_minor=25)


@plant((K.CHARGES, "open"))
def charge_on_a_line_of_its_own(books: ThreeBooks) -> None:
    books.lines.append(extra_line(-25, code="PMNT/ICDT/CHRG"))


@plant((K.UNMATCHED_FUNDING, "open"))
def credit_without_a_reference(books: ThreeBooks) -> None:
    books.lines.append(extra_line(1_234, text="hello"))


@plant((K.UNMATCHED_FUNDING, "open"))
def credit_for_an_agreement_that_ended(books: ThreeBooks) -> None:
    books.lines.append(extra_line(1_234, reference=REFERENCE))
    books.unallocated = books.ids_of(books.lines[-1])


@plant((K.UNMATCHED_FUNDING, "closed"))
def credit_allocated_by_two_officers(books: ThreeBooks) -> None:
    books.lines.append(extra_line(1_234, text="hello"))
    books.allocated = books.ids_of(books.lines[-1])
    books.mints += [Mint(credit, 12_340_000) for credit in books.allocated]


@plant((K.UNMATCHED_FUNDING, "closed"))
def credit_sent_back_by_two_officers(books: ThreeBooks) -> None:
    books.lines.append(extra_line(1_234, text="hello"))
    [credit] = books.ids_of(books.lines[-1])
    books.payouts.append(
        replace(
            books.payouts[0],
            payout_id=credit,
            end_to_end_id="BACK",
            amount_cents=1_234,
            batch="PI2",
            credit_id=credit,
        )
    )
    books.lines.append(line(-1_234, "Stmt[1]/Ntry[95]", end_to_end_id="BACK", bank_reference="B95"))


@plant((K.RETURNED, "open"))
def credit_taken_back_after_its_mint(books: ThreeBooks) -> None:
    book_again(books, 0, amount_minor=-50_000, is_reversal=True)


@plant((K.RETURNED, "closed"))
def credit_taken_back_before_its_mint(books: ThreeBooks) -> None:
    books.lines.append(extra_line(1_234, reference=REFERENCE))
    book_again(books, -1, amount_minor=-1_234, is_reversal=True)


@plant((K.MINT_WITHOUT_CREDIT, "open"))
def mint_without_a_credit(books: ThreeBooks) -> None:
    books.mints.append(Mint(b"\7" * 32, 5_000_000))


@plant((K.DUPLICATE, "open"))
def credit_minted_twice(books: ThreeBooks) -> None:
    books.mints *= 2


@plant((K.NOT_CONFIRMED, "open"), (K.DUPLICATE, "open"))
def debit_notified_and_left_out_of_its_statement(books: ThreeBooks) -> None:
    books.lines.append(
        intraday(
            books.lines[1],
            bank_reference="B77",
            amount_minor=-1_000,
            end_to_end_id=books.payouts[0].end_to_end_id,
            text="again",
            counterparty_iban="X",
        )
    )


@plant((K.CURRENCY, "open"))
def line_in_dollars(books: ThreeBooks) -> None:
    books.closing = 46_997
    books.lines.append(extra_line(500, currency="USD"))


@plant((K.SUPPLY_MISMATCH, "open"))
def tokens_without_a_log(books: ThreeBooks) -> None:
    books.supply = 500_000_000 - 30_030_000 + 1


@plant((K.SUPPLY_MISMATCH, "open"))
def balance_that_is_not_its_lines(books: ThreeBooks) -> None:
    books.closing = 46_996
