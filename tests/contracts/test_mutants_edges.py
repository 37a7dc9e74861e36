"""The last moment and the largest amount that a rule allows, and one beyond.

mandate
└── given bond, window, start and end at their bounds: it should open, and one beyond it should not
dispute
├── given the last second before the release: it may begin, and be retracted for free
└── given the last second for a ruling: it should not expire yet
settlement
└── given a time around a quarter of the window: it should release at the next one
device
└── given the earliest and latest times of an assignment or a theft: it should be taken
"""

from __future__ import annotations

import pytest

from tests.support.contracts.contract_rail import DAY, DEVICE, EURO, MORE

GATEWAY = MORE[1]
RULING_TIME = 30 * DAY

BOUNDS = {  # what -> (field, within, beyond); times are seconds from now
    "largest bond": ("bond", 100 * EURO, 100 * EURO + 1, "BondOutOfRange"),
    "smallest bond": ("bond", 1, 0, "BondOutOfRange"),
    "longest window": ("window", 90 * DAY, 90 * DAY + 1, "WindowTooLong"),
    "soonest end": ("expiry", 1, 0, "MandateExpired"),
    "earliest start": ("start", -400 * DAY, -400 * DAY - 1, "StartOutOfRange"),
    "latest start": ("start", 90 * DAY, 90 * DAY + 1, "StartOutOfRange"),
}


@pytest.mark.parametrize("what", BOUNDS)
def test_mandate__at_a_bound__opens_and_not_beyond(contracts, what):
    field, *values, refusal = BOUNDS[what]
    now = contracts.now
    plain = {"start": now - 20 * DAY, "expiry": now + 90 * DAY}
    for value, expected in zip(values, ("", refusal), strict=True):
        changed = value + now if field in plain else value
        mandate = contracts.mandate(device=MORE[0], **{**plain, field: changed})
        opening = contracts.opening(mandate)
        assert contracts.refusal(contracts.rail.open, *opening, sender=contracts.payer) == expected


def test_dispute__in_the_last_second__is_taken_and_at_the_release_no_more(contracts):
    settlement = contracts.settle(contracts.claim())
    contracts.mint(EURO)
    contracts.token.approve(contracts.disputes, EURO, sender=contracts.payer)
    for time, expected in ((-1, ""), (0, "WindowOver")):
        contracts.node.mine_at(settlement.release_at + time)
        call = (contracts.disputes.dispute, *settlement.dispute())
        assert contracts.refusal(*call, sender=contracts.payer) == expected


@pytest.mark.parametrize(("late", "returned"), [(-1, True), (0, False)])
def test_retract__around_the_release__is_free_before_it(contracts, late, returned):
    settlement = contracts.settle(contracts.claim())
    payment = contracts.dispute(settlement)
    before = contracts.token.balanceOf(contracts.payer)
    contracts.node.mine_at(settlement.release_at + late - 1)
    contracts.disputes.retract(payment, sender=contracts.payer)
    assert contracts.now == settlement.release_at + late
    gained = contracts.token.balanceOf(contracts.payer) - before
    assert gained == (EURO if returned else 0)


def test_expire__in_the_last_second_for_a_ruling__is_too_early(contracts):
    payment = contracts.dispute(contracts.settle(contracts.claim()))
    deadline = contracts.now + RULING_TIME
    for time, expected in ((0, "NotExpired"), (1, "")):
        contracts.node.mine_at(deadline + time)
        call = (contracts.disputes.expire, payment)
        assert contracts.refusal(*call, sender=contracts.stranger) == expected


@pytest.mark.parametrize("bond", [2 * EURO, EURO])
def test_dispute__of_a_payment_around_the_bond__takes_the_smaller_of_both(contracts, bond):
    """A payment of 1.50 euro: its bond is never more than that."""
    agreement = contracts.open(contracts.mandate(device=MORE[0], bond=bond))
    contracts.mint(10 * EURO, agreement)
    settlement = contracts.settle(contracts.claim(agreement, kwh=5))
    contracts.mint(bond)
    contracts.token.approve(contracts.disputes, bond, sender=contracts.payer)
    contracts.disputes.dispute(*settlement.dispute(), sender=contracts.payer)
    taken = contracts.disputes.disputeOf(settlement.outcomes[0][0])[1]
    assert taken == min(bond, settlement.amounts[0]) == min(bond, 3 * EURO // 2)


@pytest.mark.parametrize(("seconds", "quarters"), [(-1, 0), (0, 0), (1, 1)])
def test_release__around_a_quarter_of_the_window__is_the_next_one(contracts, seconds, quarters):
    quarter = DAY // 4
    time = (contracts.now // quarter + 2) * quarter
    contracts.node.mine_at(time + seconds - 1)
    settlement = contracts.settle(contracts.claim())
    assert contracts.now == time + seconds
    assert settlement.release_at == time + DAY + quarters * quarter


def test_assignment__in_90_days__is_the_latest_one(alone):
    now = alone.now
    for since, expected in (
        *((now, ""), (now - 1, "AssignmentTimesInvalid")),
        *((now + 90 * DAY, ""), (now + 90 * DAY + 1, "AssignmentTimesInvalid")),
    ):
        call = (alone.registry.assign, DEVICE, alone.owner, GATEWAY, since, 0, b"")
        assert alone.refusal(*call, sender=alone.owner) == expected
    for until, expected in ((now + 1, ""), (now, "AssignmentTimesInvalid")):
        call = (alone.registry.assign, DEVICE, alone.owner, GATEWAY, now, until, b"")
        assert alone.refusal(*call, sender=alone.owner) == expected


def test_theft__declared_again__moves_back_by_a_second_at_least(alone):
    declare, since = alone.registry.declareCompromised, alone.now - DAY
    for time, expected in ((alone.now, ""), (alone.now + 1, "CompromiseDateInvalid")):
        assert alone.refusal(declare, DEVICE, time, sender=alone.owner) == expected
    declare(DEVICE, since, sender=alone.owner)
    for time, expected in ((since, "CompromiseDateInvalid"), (since - 1, "")):
        assert alone.refusal(declare, DEVICE, time, sender=alone.owner) == expected
    for time, expected in ((-7 * DAY, ""), (-7 * DAY - 1, "CompromiseNeedsRuling")):
        call = (declare, DEVICE, alone.now + time)
        assert alone.refusal(*call, sender=alone.owner) == expected


def test_key__that_ends__signs_until_the_second_before(alone):
    new, end = MORE[7], alone.now + DAY
    key = alone.key.p256(4_321)
    for end_, expected in ((alone.now, "KeyExpiryInvalid"), (alone.now + 1, "")):
        call = (alone.registry.enrol, *alone.enrolment(b"\7" * 32, key, expires_at=end_))
        assert alone.refusal(*call, sender=alone.registrar) == expected
    alone.enrol(b"\7" * 32, key, expires_at=end)
    enrolled = alone.now
    assert not alone.registry.activeAt(b"\7" * 32, enrolled - 1)
    assert alone.registry.activeAt(b"\7" * 32, enrolled)
    assert alone.registry.activeAt(b"\7" * 32, end - 1)
    assert not alone.registry.activeAt(b"\7" * 32, end)
    assert alone.registry.activeAt(new, end)
