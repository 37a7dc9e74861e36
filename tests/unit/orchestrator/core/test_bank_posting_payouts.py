"""What a booked line does to payouts: whole, in parts, as a batch, twice, back, with charges."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core import ledger
from orchestrator.core.bank_context import PayoutMoved
from orchestrator.core.bank_posting import booked_at
from tests.support.dict_books import DAY, LINE, NORD, ONE, REST, SENT, books


def test_payout__whole_debit__is_booked_under_its_own_reference():
    posted = books().take(LINE)
    assert posted.balances() == {ledger.IN_TRANSIT: REST, ledger.SAFEGUARDING: -1_234}
    assert (posted.entries[-1].kind, posted.entries[-1].ref) == ("payout_booked", ONE)
    assert posted.stages() == ["booked"]


def test_entry__of_a_line__names_its_file_and_the_day_it_was_booked():
    entry = books().take(LINE).entries[-1]
    assert entry.source == "file:" + "07" * 32
    assert entry.at == booked_at(LINE) == 1_795_132_800  # 2026-11-20T00:00:00Z


def test_payout__split_over_lines__is_booked_with_the_last_of_them():
    parts = [
        replace(LINE, amount_minor=cents, bank_reference=ref)
        for cents, ref in ((-1_000, "B1"), (-200, "B2"), (-34, "B3"))
    ]
    posted = books().take(*parts)
    assert posted.balances() == {ledger.IN_TRANSIT: REST, ledger.SAFEGUARDING: -1_234}
    assert posted.stages() == ["part_booked", "part_booked", "booked"]


@pytest.mark.parametrize("cents", [-1_235, -2_468])
def test_payout__debit_beyond_what_is_open__is_unexplained_whole(cents):
    posted = books().take(replace(LINE, amount_minor=cents))
    assert posted.balances() == SENT | {ledger.SAFEGUARDING: cents, ledger.UNEXPLAINED: -cents}
    assert posted.stages() == []


def test_payout__booked_twice_and_one_reversed__is_paid_once():
    twice = replace(LINE, bank_reference="B2")
    undone = replace(LINE, bank_reference="A0", amount_minor=1_234, is_reversal=True)
    posted = books().take(LINE, twice)
    assert posted.balances()[ledger.UNEXPLAINED] == 1_234
    posted.take(undone)
    assert posted.balances() == {ledger.IN_TRANSIT: REST, ledger.SAFEGUARDING: -1_234}
    together = books().take(undone, twice, LINE)  # in one file, with any references
    assert together.balances() == posted.balances()


def test_payout__came_back__is_owed_to_its_payee_again():
    back = replace(LINE, amount_minor=1_234, bank_reference="B2", reason="AC04")
    posted = books().take(LINE).take(back)
    assert posted.balances() == {ledger.IN_TRANSIT: REST, ledger.RETURNED: -1_234}
    assert posted.effects[-1] == PayoutMoved(ONE, "returned", posted.effects[-1].line_id, "AC04")


@pytest.mark.parametrize("cents", [1_235, 1_234])
def test_payout__comes_back_beyond_what_it_was_for__is_unexplained(cents):
    """It can be ordered again: nobody is to be paid twice because a bank returned twice."""
    back = replace(LINE, amount_minor=1_234, bank_reference="B2", reason="AC04")
    more = replace(back, amount_minor=cents, bank_reference="B3")
    posted = books().take(LINE, back).take(more)
    assert posted.balances()[ledger.RETURNED] == -1_234
    assert posted.balances()[ledger.UNEXPLAINED] == -cents


def test_payout__return_reported_before_its_debit__ends_the_same():
    back = replace(
        LINE,
        amount_minor=1_234,
        bank_reference="B2",
        reason="AC04",
        booking_date=DAY + timedelta(days=2),
    )
    late, usual = books().take(back).take(LINE), books().take(LINE).take(back)
    assert late.balances() == usual.balances() and late.stages()[-1] == usual.stages()[-1]


def test_payout__ordered_again_after_its_return__is_booked_a_second_time():
    posted = books().take(
        LINE, replace(LINE, amount_minor=1_234, bank_reference="B2", reason="AC04")
    )
    posted.entries.append(ledger.reordered(ledger.part_of(ONE, "approval"), 1_234))
    posted.orders["E1b"] = posted.orders["E1"]
    posted.take(replace(LINE, end_to_end_id="E1b", bank_reference="B3"))
    assert posted.balances() == {ledger.IN_TRANSIT: REST, ledger.SAFEGUARDING: -1_234}
    assert posted.stages()[-1] == "booked"


def test_charges__inside_a_payout__are_the_rails_and_not_the_payees():
    posted = books().take(replace(LINE, amount_minor=-1_259, charges_minor=25))
    assert posted.balances() == {
        ledger.IN_TRANSIT: REST,
        ledger.SAFEGUARDING: -1_259,
        ledger.CHARGES: 25,
    }
    back = replace(LINE, bank_reference="B2", amount_minor=1_209, charges_minor=25, reason="AC04")
    assert posted.take(back).balances() == {
        ledger.IN_TRANSIT: REST,
        ledger.SAFEGUARDING: -50,
        ledger.CHARGES: 50,
        ledger.RETURNED: -1_234,
    }


@pytest.mark.parametrize("code", ["PMNT/ICDT/CHRG", "ACMT/MDOP/FEES", "COMM"])
def test_charges__a_line_of_their_own__are_an_expense_also_when_given_back(code):
    charge = replace(LINE, amount_minor=-90, code=code)
    posted = books().take(charge)
    assert posted.balances() == SENT | {ledger.SAFEGUARDING: -90, ledger.CHARGES: 90}
    posted.take(replace(charge, amount_minor=90, bank_reference="B2"))
    assert posted.balances() == SENT


BATCH = replace(LINE, end_to_end_id="", batch="P1", amount_minor=-2_766, counterparty_iban="")


def test_batch__one_sum_without_references__books_all_that_is_open_of_it():
    posted = books(P1=["E1", "E2", "E3"]).take(BATCH)
    assert posted.balances() == {ledger.SAFEGUARDING: -2_766}
    assert posted.stages() == ["booked"] * 3
    open_rest = (
        books(P1=["E1", "E2", "E3"])
        .take(LINE)
        .take(replace(BATCH, amount_minor=REST, bank_reference="B2"))
    )
    assert open_rest.balances() == {ledger.SAFEGUARDING: -2_766}


def test_batch__details_without_end_to_end_id__find_payouts_by_account_and_amount():
    details = [
        replace(
            BATCH,
            amount_minor=cents,
            counterparty_iban=NORD,
            path=f"x[{n}]",
            bank_reference=f"B{n}",
        )
        for n, cents in enumerate((-766, -1_234, -766))
    ]
    posted = books(P1=["E1", "E2", "E3"]).take(*details)
    assert posted.balances() == {ledger.SAFEGUARDING: -2_766}
    assert posted.stages() == ["booked"] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": -2_000},
        {"batch": "P9"},
        {"batch": ""},
        {"is_reversal": True},
        {"amount_minor": -766, "counterparty_iban": "DE00"},
    ],
)
def test_batch__sum_that_fits_nothing__is_unexplained(change):
    line = replace(BATCH, **change)
    posted = books(P1=["E1", "E2", "E3"]).take(line)
    assert posted.balances() == SENT | {
        ledger.SAFEGUARDING: line.amount_minor,
        ledger.UNEXPLAINED: -line.amount_minor,
    }
