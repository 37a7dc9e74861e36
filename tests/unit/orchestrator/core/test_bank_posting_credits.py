"""What a booked credit does, and that order and repetition of lines change nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import ledger
from orchestrator.core.bank_context import CreditReversed
from tests.support.dict_books import AGREEMENT, LINE, SENT, books

CREDIT = replace(LINE, amount_minor=5_000, end_to_end_id="", reference="RF18KNOWN")


@pytest.mark.parametrize(
    ("reference", "account", "agreement"),
    [
        ("RF18KNOWN", ledger.FUNDING, AGREEMENT),
        ("RF18 KNOWN", ledger.FUNDING, AGREEMENT),
        ("RF18OTHER", ledger.UNALLOCATED, None),
        ("", ledger.UNALLOCATED, None),
    ],
)
def test_credit__by_its_reference__is_funding_or_waits_for_a_person(reference, account, agreement):
    posted = books().take(replace(CREDIT, reference=reference))
    assert posted.balances() == SENT | {ledger.SAFEGUARDING: 5_000, account: -5_000}
    assert [(e.agreement, e.cents) for e in posted.effects] == [(agreement, 5_000)]


def test_credit__less_charges__counts_what_arrived():
    posted = books().take(replace(CREDIT, amount_minor=4_900, charges_minor=100))
    assert posted.balances()[ledger.FUNDING] == -4_900 and ledger.CHARGES not in posted.balances()


@pytest.mark.parametrize("reference", ["RF18KNOWN", ""])
def test_credit__taken_back_before_its_mint__leaves_nothing(reference):
    credit = replace(CREDIT, reference=reference)
    back = replace(credit, amount_minor=-5_000, is_reversal=True, bank_reference="B2")
    posted = books().take(credit, back)
    assert posted.balances() == SENT and isinstance(posted.effects[-1], CreditReversed)


def test_credit__taken_back_after_its_mint__is_unexplained_and_touches_no_token():
    posted = books().take(CREDIT)
    credit = posted.effects[-1].credit_id
    posted.entries.append(ledger.minted(credit, ledger.escrow(AGREEMENT), 50_000_000))
    posted.take(replace(CREDIT, amount_minor=-5_000, is_reversal=True, bank_reference="B2"))
    assert posted.balances() == SENT | {ledger.UNEXPLAINED: 5_000}
    assert not [effect for effect in posted.effects if isinstance(effect, CreditReversed)]


@pytest.mark.parametrize(
    "change", [{"counterparty_iban": "DE00"}, {"reference": "RF18OTHER"}, {"amount_minor": -4_999}]
)
def test_credit__reversal_of_another_one__leaves_it_alone(change):
    back = replace(CREDIT, amount_minor=-5_000, is_reversal=True, bank_reference="B2")
    posted = books().take(CREDIT).take(replace(back, **change))
    assert posted.balances()[ledger.FUNDING] == -5_000
    assert posted.balances()[ledger.UNEXPLAINED] > 0


@pytest.mark.parametrize("change", [{"reason": "AC04"}, {"is_reversal": True}])
def test_credit__that_undoes_no_line_of_ours__is_no_funding_by_any_reference(change):
    posted = books().take(replace(CREDIT, **change))
    assert posted.balances() == SENT | {ledger.SAFEGUARDING: 5_000, ledger.UNEXPLAINED: -5_000}
    assert posted.effects == []


def test_line__in_another_currency__posts_nothing():
    posted = books().take(replace(LINE, currency="USD"), replace(CREDIT, currency="USD"))
    assert posted.balances() == SENT and posted.effects == []


def test_line__repeated_in_any_report__posts_once():
    notice = replace(LINE, kind="camt.054", source=b"\1" * 32, path="Ntfctn[1]/Ntry[1]")
    posted = books().take(notice)
    before = list(posted.entries)
    posted.take(notice, LINE)
    posted.take(notice, LINE, replace(LINE, source=b"\2" * 32))
    assert posted.entries == before


MADE = st.fixed_dictionaries(
    {
        "amount_minor": st.sampled_from([-1_234, -766, -2_766, -500, -100, 1_234, 766, 5_000]),
        "end_to_end_id": st.sampled_from(["", "E1", "E2"]),
        "batch": st.sampled_from(["", "P1"]),
        "reason": st.sampled_from(["", "AC04", "AM05"]),
        "is_reversal": st.booleans(),
        "reference": st.sampled_from(["", "RF18KNOWN"]),
        "code": st.sampled_from(["", "PMNT/ICDT/CHRG"]),
        "charges_minor": st.sampled_from([0, 0, 25]),
    }
)


@settings(deadline=None)
@given(st.lists(MADE, max_size=6))
def test_any_lines__in_any_files__balance_and_make_the_bank_account(rows):
    """The safeguarding account is the sum of all lines, each line once."""
    lines = [
        replace(LINE, bank_reference=f"B{n}", path=f"x[{n}]", **row) for n, row in enumerate(rows)
    ]
    posted = books(P1=["E1", "E2", "E3"])
    for line in lines:
        posted.take(line).take(line)
    assert posted.balances().get(ledger.SAFEGUARDING, 0) == sum(li.amount_minor for li in lines)
    sums = defaultdict(int)
    for entry in posted.entries:
        for posting in entry.postings:
            sums[posting.asset] += posting.amount_minor
    assert not any(sums.values())
    assert -2_766 <= posted.balances().get(ledger.IN_TRANSIT, 0) <= 0  # what was ordered at most
    assert -2_766 <= posted.balances().get(ledger.RETURNED, 0) <= 0


@settings(deadline=None)
@given(st.lists(MADE, max_size=4))
def test_any_lines__of_one_file_in_any_order__post_the_same(rows):
    lines = [
        replace(LINE, bank_reference=f"B{n}", path=f"x[{n}]", **row) for n, row in enumerate(rows)
    ]
    orders = [books(P1=["E1", "E2"]).take(*order).entries for order in permutations(lines)]
    assert all(order == orders[0] for order in orders)
