"""The plan's own arithmetic gives the amounts that were worked out when products were designed."""

from __future__ import annotations

import pytest

from scripts.month.plan import PlannedShare
from scripts.month.trades.branch import saved_micro
from scripts.month.trades.car import DrivenWeek
from scripts.month.trades.field import cover_micro
from scripts.month.trades.machine import fee_micro
from scripts.month.trades.pump import repair_micro


@pytest.mark.parametrize(
    ("worked", "micro"),
    [
        pytest.param(lambda: DrivenWeek(1_240_000, 1_200, 3).premium_micro, 51_613_520, id="car"),
        pytest.param(lambda: DrivenWeek(0, 0, 0).premium_micro, 10_200_000, id="car parked"),
        pytest.param(lambda: fee_micro(9_993, 30), 180_000_000, id="machine"),
        pytest.param(lambda: fee_micro(9_820, 400), 124_704_000, id="machine down"),
        pytest.param(lambda: saved_micro(31_000, 0, 1_020_000), 40_432_000, id="branch"),
        pytest.param(lambda: saved_micro(31_000, 0, 1_500_000), 0, id="branch that wasted"),
        pytest.param(lambda: cover_micro(840), 240_000_000, id="dry field"),
        pytest.param(lambda: cover_micro(1_310), 0, id="wet field"),
        pytest.param(lambda: repair_micro(3_100, 20), 546_880_000, id="pump"),
        pytest.param(lambda: repair_micro(8_000, 20), 0, id="pump that still shakes"),
    ],
)
def test_worked_value__of_each_trade__is_that_of_the_design(worked, micro):
    assert worked() == micro


def test_shares__at_any_income__are_no_more_than_it_and_leave_less_than_a_unit_each():
    for came_in in (0, 1, 9_999, 24_999_999, 25_000_000, 25_000_001, 124_500_000):
        share = PlannedShare("0x1", ("0xa", "0xb", "0xc"), came_in)
        lender, *_ = share.parts().values()
        assert lender == min(came_in // 5, 5_000_000)
        assert 0 <= came_in - sum(share.parts().values()) < len(share.holders)
