"""When a payee's matured money is released: one order a day by the rail, none below a minimum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.release import (
    DAY_S,
    MARGIN_S,
    PayeeOnChain,
    ReleasePlan,
    Verdict,
    next_day,
    plan_release,
)

TODAY = 20_000
NOON = TODAY * DAY_S + DAY_S // 2
TOMORROW = (TODAY + 1) * DAY_S + MARGIN_S
NORD = PayeeOnChain(True, 0, TODAY - 1, 0, 0)
EURO = 1_000_000


@pytest.mark.parametrize(
    ("payee", "matured", "matured_micro", "verdict"),
    [
        (NORD, 1, 5 * EURO, Verdict.RELEASE),
        (NORD, 1, 1, Verdict.RELEASE),  # below a cent: it becomes withdrawable
        (replace(NORD, withdrawable_micro=10_000), 0, 0, Verdict.RELEASE),
        (replace(NORD, withdrawable_micro=9_999), 0, 0, Verdict.NOTHING),
        (NORD, 1, 0, Verdict.WAIT),  # a payment of zero goes with the next one
        (replace(NORD, withdrawable_micro=10_000), 1, 0, Verdict.RELEASE),
        (replace(NORD, last_day=TODAY), 1, 5 * EURO, Verdict.WAIT),
        (replace(NORD, minimum_micro=5 * EURO), 1, 5 * EURO, Verdict.RELEASE),
        (replace(NORD, minimum_micro=5 * EURO), 1, 5 * EURO - 1, Verdict.WAIT),
        (replace(NORD, minimum_micro=5 * EURO, withdrawable_micro=1), 1, 5 * EURO - 1, "release"),
        # debts do not wait: what is back in the escrow can be charged again
        (replace(NORD, last_day=TODAY, owed_micro=1), 1, EURO, Verdict.RELEASE),
        (replace(NORD, minimum_micro=9 * EURO, owed_micro=1), 1, EURO, Verdict.RELEASE),
        (replace(NORD, has_account=False, owed_micro=1, withdrawable_micro=1), 0, 0, "release"),
        (replace(NORD, last_day=TODAY, owed_micro=1), 0, 0, Verdict.WAIT),
        # without an account it becomes withdrawable, and the payee takes it out
        (replace(NORD, has_account=False, last_day=TODAY), 1, EURO, Verdict.RELEASE),
        (replace(NORD, has_account=False, withdrawable_micro=EURO), 0, 0, Verdict.NOTHING),
    ],
)
def test_plan__of_a_payee_s_money__says_whether_to_release(payee, matured, matured_micro, verdict):
    assert plan_release(payee, matured, matured_micro, NOON).verdict == verdict


def test_attack__twenty_releases_of_one_cent_a_day__the_rest_waits_for_the_next_day():
    """On 0.3.0 a stranger turned 20 cents into 20 bank payouts. Only one order a day is left to
    strangers, also to the rail: it pools what matures after it, and says what it waits for."""
    plan = plan_release(replace(NORD, last_day=TODAY), 19, 190_000, NOON)
    assert (plan.verdict, plan.due_at) == (Verdict.WAIT, TOMORROW)
    assert "waits for tomorrow" in plan.reason and "party release" in plan.reason
    after = plan_release(replace(NORD, last_day=TODAY), 19, 190_000, plan.due_at)
    assert after == ReleasePlan(Verdict.RELEASE)


def test_attack__dust_below_the_payee_s_minimum__is_pooled_until_it_is_enough():
    plan = plan_release(replace(NORD, minimum_micro=10 * EURO + 1), 1, 123_456, NOON)
    assert (plan.due_at, plan.reason) == (
        TOMORROW,
        "waits for the payee's minimum: 0.12 EUR of 10.01 EUR are there",
    )


@pytest.mark.parametrize("behind", [0, MARGIN_S - 1])
def test_plan__at_the_change_of_the_day__waits_until_the_chain_s_clock_has_changed_too(behind):
    """A release that lands on the day before would order nothing, and count as released."""
    yesterday = replace(NORD, last_day=TODAY - 1)
    plan = plan_release(yesterday, 1, EURO, TODAY * DAY_S + behind)
    assert plan.due_at == TODAY * DAY_S + MARGIN_S == next_day(TODAY * DAY_S - 1)
    assert plan_release(yesterday, 1, EURO, plan.due_at).verdict is Verdict.RELEASE
