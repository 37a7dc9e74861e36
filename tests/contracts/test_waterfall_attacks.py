"""Attacks on a waterfall, and random runs that compare it with Python, step by step.

attacks: a holder that calls again, one that refuses tokens, one that says it is a rail
random: tokens come and holders take in any order; nothing is lost, and each part is Python's
"""

from __future__ import annotations

import random

import pytest

from tests.support.contracts.contract_rail import EURO
from tests.support.contracts.waterfalls import create, prepared, send, terms_of

TAKE_AGAIN, PAY_OUT, PULL, REFUSE = 1, 2, 3, 4
REENTRANT = "ReentrancyGuardReentrantCall"


@pytest.fixture
def rail(contracts):
    return prepared(contracts)


@pytest.fixture
def calling(rail):
    """A waterfall over a token that calls whoever gets it, with two contracts as holders."""
    rail.calling = rail.deploy("CallingToken")
    factory = rail.deploy("Waterfalls", rail.rail, rail.calling)
    rail.bad, rail.good = rail.deploy("Holder"), rail.deploy("Holder")
    terms = terms_of({rail.bad: 5_000, rail.good: 5_000})
    rail.waterfall = create(rail, terms, factory)
    rail.calling.mint(rail.waterfall, 1_000, sender=rail.payer)
    return rail


@pytest.mark.parametrize("mood", [TAKE_AGAIN, PAY_OUT, PULL])
def test_attack__holder_calls_again_while_it_is_paid__reverts(calling, mood):
    calling.bad.set(mood, sender=calling.payer)
    refused = calling.refusal(calling.bad.take, calling.waterfall, sender=calling.payer)
    assert refused == REENTRANT
    calling.good.take(calling.waterfall, sender=calling.payer)
    assert calling.calling.balanceOf(calling.good) == 500


def test_attack__holder_refuses_tokens__delays_nobody(calling):
    calling.bad.set(REFUSE, sender=calling.payer)
    assert calling.refusal(calling.bad.take, calling.waterfall, sender=calling.payer) == "Refused"
    calling.good.take(calling.waterfall, sender=calling.payer)
    calling.calling.mint(calling.waterfall, 100, sender=calling.payer)
    calling.good.take(calling.waterfall, sender=calling.payer)
    assert calling.calling.balanceOf(calling.good) == 550
    assert calling.waterfall.owedTo(calling.bad) == 550


def test_attack__what_is_no_rail__brings_nothing_and_takes_nothing(calling):
    waterfall = calling.waterfall
    calling.bad.set(TAKE_AGAIN, sender=calling.payer)
    assert calling.refusal(waterfall.pull, calling.bad, sender=calling.payer) == REENTRANT
    waterfall.pull(calling.good, sender=calling.payer)
    assert calling.calling.balanceOf(waterfall) == 1_000 and waterfall.taken() == 0


def test_attack__stranger_calls_the_code_of_all_waterfalls__finds_nothing(rail):
    code = rail.at("Waterfall", rail.waterfalls.implementation())
    send(rail, code, EURO)
    for person in (rail.payee, rail.stranger):
        assert rail.refusal(code.take, sender=person) != ""


@pytest.mark.parametrize("seed", range(5))
def test_random__a_thousand_steps_in_any_order__equal_python_and_lose_nothing(rail, seed):
    dice = random.Random(seed)
    count = dice.randint(1, 16)
    driver = rail.deploy("ManySteps", count)
    holders = [driver.holders(index) for index in range(count)]
    terms = _random_terms(dice, holders)
    waterfall = create(rail, terms)
    rail.mint(10**12, to=driver)
    received, taken = 0, dict.fromkeys(holders, 0)
    for _ in range(5):
        steps = [dice.choice([0, 0, dice.randint(1, count)]) for _ in range(200)]
        most = dice.choice([3, 10_000, 10**9])
        amounts = [dice.randint(0, most) for _ in steps]
        receipt = driver.run(rail.token, waterfall, steps, amounts, sender=rail.payer)
        [result] = [log.taken for log in receipt.events if log.event_name == "StepsDone"]
        for step, amount, paid in zip(steps, amounts, result, strict=True):
            if step == 0:
                received += amount
                continue
            holder = holders[step - 1]
            assert paid == terms.earned(received).get(holder, 0) - taken[holder]
            taken[holder] += paid
    for holder in holders:
        assert rail.token.balanceOf(holder) == taken[holder] == waterfall.takenBy(holder).amount
        assert waterfall.owedTo(holder) == terms.earned(received)[holder] - taken[holder]
    assert waterfall.received() == received
    assert rail.token.balanceOf(waterfall) == received - sum(taken.values())
    rest = received - sum(terms.earned(received).values())
    assert 0 <= rest < count + 1


def _random_terms(dice, holders):
    cuts = sorted(dice.sample(range(1, 10_000), len(holders) - 1))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    if dice.random() < 0.3:
        return terms_of(dict(zip(holders, shares, strict=True)))
    limit = dice.choice([1, 10_001, 10**9, 10**11])
    senior = dice.choice(holders)
    return terms_of(dict(zip(holders, shares, strict=True)), senior, dice.randint(1, 10_000), limit)
