"""Proof of reserves at every statement: what is planted is seen at the right one, not before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.reconcile import (
    BankFacts,
    ChainFacts,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    Redemption,
    StatementBalances,
    distinct,
    reconcile,
)
from orchestrator.core.reconcile.reserves import end_of
from tests.support.rail_copy import RailCopy
from tests.support.small_rail import has_anvil
from tests.support.three_books import ACCOUNT, AGREEMENT, DAY, REFERENCE, file, line

DAYS = [DAY + timedelta(days=number) for number in range(4)]
PAYOUT = b"\x21" * 32


def on(index: int, cents: int, **facts):
    """A line of the statement of a day."""
    return line(
        cents,
        f"Stmt[1]/Ntry[{index}]",
        booking_date=DAYS[index],
        source=file(f"S{index}"),
        bank_reference=f"R{index}",
        **facts,
    )


class FourDays:
    """Funded on day 0; a payout redeemed on day 1 and booked on day 2; nothing on day 3."""

    def __init__(self) -> None:
        self.lines = [on(0, 10_000, reference=REFERENCE), on(2, -4_000, end_to_end_id="E")]
        credit = distinct(self.lines[:1])[0].ids[0]
        self.mints = [Mint(credit, 100_000_000, end_of(DAYS[0]) - 60)]
        self.redemptions = [Redemption(PAYOUT, 40_000_000, end_of(DAYS[1]) - 60)]
        self.closings = [10_000, 10_000, 6_000, 6_000]

    def reserves(self):
        opening, balances = 0, []
        for index, closing in enumerate(self.closings):
            balances.append(
                StatementBalances(
                    ACCOUNT, f"S{index}", DAYS[index], opening, closing, source=file(f"S{index}")
                )
            )
            opening = closing
        supply = sum(m.amount_micro for m in self.mints)
        supply -= sum(r.amount_micro for r in self.redemptions)
        result = reconcile(
            ChainFacts(supply, self.redemptions, self.mints),
            Ledger(
                [LedgerPayout(PAYOUT, "E", 4_000, "DE1", due_on=DAYS[2])],
                [LedgerFunding(m.credit_id, m.amount_micro // 10_000) for m in self.mints],
                {REFERENCE: AGREEMENT},
            ),
            BankFacts(ACCOUNT, self.lines, balances),
        )
        return [
            (
                [(i.name, i.amount_micro) for i in reserve.items],
                reserve.difference_micro,
                reserve.unbacked_micro,
            )
            for reserve in result.reserves
        ]


FLYING = ([("payout_in_flight", -40_000_000)], 0, 0)
NONE = ([], 0, 0)


def test_reserves__sound_month__hold_at_each_statement_and_name_what_is_under_way():
    assert FourDays().reserves() == [NONE, FLYING, NONE, NONE]


def test_reserves__unbacked_mint__is_named_from_its_day_on():
    month = FourDays()
    month.mints.append(Mint(b"\7" * 32, 5_000_000, end_of(DAYS[1]) - 1))
    unbacked = ("mint_without_credit", 5_000_000)
    assert month.reserves() == [
        NONE,
        ([unbacked, *FLYING[0]], 0, 5_000_000),
        ([unbacked], 0, 5_000_000),
        ([unbacked], 0, 5_000_000),
    ]


def test_reserves__minted_in_the_last_second_of_a_day_or_the_first_of_the_next__differ():
    month = FourDays()
    month.mints[0] = replace(month.mints[0], at=end_of(DAYS[0]))
    assert month.reserves()[0] == ([("credit_not_minted", -100_000_000)], 0, 0)


def test_reserves__minted_on_a_notification_before_its_statement__are_named_so():
    month = FourDays()
    month.lines[0] = replace(month.lines[0], booking_date=DAYS[1], source=file("S1"))
    month.closings[0] = 0
    month.mints = [replace(month.mints[0], credit_id=distinct(month.lines[:1])[0].ids[0])]
    assert month.reserves()[:2] == [([("minted_before_statement", 100_000_000)], 0, 0), FLYING]


def test_reserves__line_missing_from_its_statement__differ_from_there_on():
    month = FourDays()
    month.lines.pop()
    flying = [("missing", -40_000_000)]
    assert month.reserves() == [
        NONE,
        (flying, 0, 0),
        (flying, 40_000_000, 0),
        (flying, 40_000_000, 0),
    ]


def test_reserves__balance_that_lies__differ_at_that_statement_only():
    """The next one opens where it closed, so the lie shows as a line that nobody has seen."""
    month = FourDays()
    month.closings[3] = 5_999
    assert [difference for _, difference, _ in month.reserves()] == [0, 0, 0, 10_000]


def test_reserves__payout_booked_twice_and_reversed_later__were_short_in_between():
    month = FourDays()
    month.lines += [
        on(2, -4_000, end_to_end_id="E"),
        on(3, 4_000, end_to_end_id="E", is_reversal=True),
    ]
    month.lines[2] = replace(month.lines[2], bank_reference="R9", path="Stmt[1]/Ntry[9]")
    month.closings[2] = 2_000
    short = ([("duplicate", 40_000_000)], 0, 40_000_000)
    assert month.reserves() == [NONE, FLYING, short, NONE]


@pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
def test_reserves__of_a_rail_with_history__name_block_and_journal_head_of_each_statement(tmp_path):
    copy = RailCopy(tmp_path / "home")
    view = copy.json_of("reserves")
    assert view["holds"] and len(view["statements"]) == 2
    for statement in view["statements"]:
        number, digest = statement["journal"]["number"], statement["journal"]["hash"]
        assert copy.value(f"SELECT hash FROM ledgerentry WHERE number = {number}") == digest
        block = copy.value(f"SELECT hash FROM block WHERE number = {statement['block']['number']}")
        assert block == statement["block"]["hash"]
        assert int(statement["balance_cents"]) * 10_000 == statement["supply_micro"]
    copy.sql(
        "UPDATE bankstatement SET closing_minor = closing_minor - 1 WHERE day = (SELECT "
        "MAX(day) FROM bankstatement)"
    )
    lied = copy.json_of("reserves", code=1)
    assert [statement["difference_micro"] for statement in lied["statements"]] == [0, 10_000]
