"""Maintenance escrow: a reading before, an order that sends a work order, a reading under load."""

from __future__ import annotations

import json

import pytest

from device_adapters.types import Rejected, device_id
from oracles.rules import runs
from oracles.types import Agreement
from orchestrator.core.effect import EffectKind
from orchestrator.products import products
from orchestrator.products.index.tariff import IndexFacts
from tests.support.effect_double import effects_of

RULES = products()["maintenance_escrow"]
START, HOUR = 1_798_761_600, 3_600
WORDS = {
    "about": "asset:pump-3",
    "metrics": "velocity 0..1000000; hours 0..10000; done 0..1",
    "times": "velocity falling: 2300=100%, 4500=60%, 7100=0%; hours falling: 48=100%, 96=50%; "
    "done rising: 0=0%, 1=100%",
    "base": "640.00",
    "ceiling": "640.00",
    "period": "1..9000000 seconds",
    "alarm": "4500",
    "load": "7000",
}
ALARM, ORDER = {"velocity": 6_200, "load": 8_000}, {"order": 1}
IDLE, GOOD = {"velocity": 900, "load": 500}, {"velocity": 2_300, "load": 7_000}


def _claims(*metrics: dict[str, int]) -> list[tuple[int, list[int], int, list[dict]]]:
    """Return (last counter, metrics, micro-euro, work orders) of each claim from hourly reports."""
    terms = RULES.parse_terms(WORDS)
    events = [
        RULES.case_event(
            {
                "counter": n,
                "from": START + (n - 1) * HOUR,
                "to": START + n * HOUR,
                "metrics": values,
                "subject": WORDS["about"],
            }
        )
        for n, values in enumerate(metrics, 1)
    ]
    agreement = Agreement(
        agreement=b"\x0b" * 32,
        device="D-1",
        device_id=device_id("D-1"),
        product=RULES.NAME,
        terms=terms,
        start=START,
        expires_at=START + 10**7,
        first_counter=0,
        subject=RULES.subject(terms),
    )
    claims, last, anchor, state = [], 0, None, RULES.open(terms)
    while run := runs(agreement, RULES, last, anchor, events).run:
        facts = RULES.derive(terms, anchor, run, {})
        amount, refusal = RULES.price(state, terms, facts, 10**9)
        assert not refusal
        state, last, anchor = RULES.advance(state, terms, facts), run[-1].counter, run[-1]
        stated = list(RULES.decode_facts(facts).metrics)
        claims.append((last, stated, amount, _orders(terms, facts, amount)))
    return claims


def _orders(terms: bytes, facts: bytes, amount: int) -> list[dict]:
    first, again = (effects_of(RULES, terms, facts, amount) for _ in range(2))
    assert first == again  # a rebuild makes the same bytes, under the same id
    assert all(effect.kind == EffectKind.WORK_ORDER for effect in first)
    return [json.loads(effect.message)["data"]["content"] for effect in first]


def test_repair__ordered_behind_an_alarm__sends_one_work_order_and_is_paid_under_load():
    order, repair = _claims(ALARM, ORDER, IDLE, IDLE, GOOD)
    assert order[:3] == (2, [6_200, 0, 0], 0)
    [content] = order[3]
    assert content["about"] == "asset:pump-3" and content["ordered_at"] == START + 2 * HOUR
    assert repair == (5, [2_300, 3, 1], 640_000_000, [])


def test_order__without_an_alarm_before_it__sends_no_work_order():
    assert _claims({"velocity": 4_499, "load": 8_000}, ORDER, GOOD) == []


def test_reading__while_the_asset_idles__is_not_the_repair():
    assert len(_claims(ALARM, ORDER, IDLE)) == 1


def test_order__made_again_before_the_reading__sends_no_second_work_order():
    claims = _claims(ALARM, ORDER, ORDER, {**GOOD, "order": 1}, GOOD)
    assert [len(orders) for *_, orders in claims] == [1, 0]
    assert claims[1][:2] == (5, [2_300, 3, 1])


def test_repair__of_the_next_alarm__is_ordered_again():
    claims = _claims(ALARM, ORDER, {**ALARM, "velocity": 7_000}, ALARM, ORDER, GOOD)
    assert [len(orders) for *_, orders in claims] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"times": WORDS["times"].replace("0=0%, 1=100%", "0=1%, 1=100%")},
        {"times": WORDS["times"].replace("; done rising: 0=0%, 1=100%", "")},
        {"floor": "1.00"},
        {"period": "1..3000 hours"},
    ],
)
def test_terms__in_which_an_order_would_cost_something__are_refused(change):
    with pytest.raises(Rejected, match="an order costs nothing"):
        RULES.parse_terms(WORDS | change)


def test_terms__without_orders_of_their_own__pay_order_and_repair_as_one_claim():
    terms = RULES.parse_terms(
        WORDS
        | {
            "metrics": "velocity 0..1000000; hours 0..10000",
            "times": WORDS["times"].replace("; done rising: 0=0%, 1=100%", ""),
        }
    )
    facts = RULES.encode_facts(IndexFacts(START, START + HOUR, 10_000, 1, (2_300, 20)))
    assert _orders(terms, facts, 640_000_000) == []
