"""ProofOfDelivery before its worked cases, and before random statements and withdrawals.

Each runs on both hardforks: the recipient's signature is checked by precompile and by fallback.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from device_adapters.types import Rejected
from orchestrator.products.proof_of_delivery import product
from tests.support.contracts.dock import CASE_DUE, DAY, HOUR, Yard, owed

CASES = json.loads((Path(product.__file__).parent / "cases.json").read_text())["prices"]
CONDITIONS = {
    "sensor": b"\7" * 32,
    "min_centi_c": 200,
    "max_centi_c": 800,
    "breach_bps": 1_000,
    "shock_milli_g": 5_000,
    "shock_bps": 1_500,
    "breach_max_bps": 2_500,
}


@pytest.fixture(scope="module")
def yard(fork):
    return Yard(fork)


@pytest.fixture(scope="module")
def dock(yard):
    return yard.dock()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in CASES])
def test_price__worked_case__amount_or_refusal_as_written(dock, case):
    shift = dock.due - CASE_DUE
    terms = product.decode_terms(product.read_terms(case["terms"]))
    terms = terms._replace(due_at=terms.due_at + shift, deadline=terms.deadline + shift)
    consignment = dock.open(terms)
    total = 0
    for claim in case["claims"]:
        facts = consignment.facts(claim["facts"], shift=shift)
        amount, refusal = consignment.state(facts, claim.get("limit", 2**47 - 1))
        assert (amount, refusal) == (claim.get("amount", 0), claim.get("refusal", "")), claim
        total += amount
    assert total == case.get("total", total)
    assert dock.yard.fork.ask(consignment.contract, "stateOf", consignment.agreement)[3] == total


def test_price__random_statements_and_withdrawals__charged_is_what_stands(dock):
    """The sum of all amounts is what the standing statements are worth, whatever came between; it
    never leaves 0 to the price; and no amount gives back more than was charged."""
    for seed in range(4):
        chance = random.Random(seed)
        price = chance.choice((7, 999, 1_000_000_007, 2**47 - 1))
        more = CONDITIONS if seed % 2 else {}
        terms = dock.yard.terms(dock.due, price=price, quantity=chance.choice((1, 3, 100)), **more)
        consignment = dock.open(terms)
        standing, total = {}, 0
        for step in range(14):
            facts = _random(consignment, chance, f"{seed}/{step % 9}")
            amount, refusal = consignment.state(facts)
            assert refusal == ""
            if facts.withdrawn:
                standing.pop(facts.statement, None)
            else:
                standing.setdefault(facts.statement, facts)
            total += amount
            assert 0 <= total <= price and total == owed(terms, standing)


def test_price__same_statements_in_any_order__same_total(dock):
    chance = random.Random(5)
    terms = dock.yard.terms(dock.due, **CONDITIONS)
    said = [_random(dock.open(terms), chance, str(n))._replace(withdrawn=False) for n in range(5)]
    totals = set()
    for _ in range(3):
        consignment = dock.open(terms)
        chance.shuffle(said)
        fresh = [dock.sign(f"{consignment.agreement.hex()}/{n}") for n in range(5)]
        signed = [
            one._replace(digest=d, r=r, s=s) for one, (d, r, s) in zip(said, fresh, strict=True)
        ]
        totals.add(sum(consignment.state(one)[0] for one in signed))
    assert len(totals) == 1


def _random(consignment, chance, name):
    """A statement of that name, or its withdrawal: one name always says the same."""
    terms, due = consignment.terms, consignment.dock.due
    fixed = random.Random(name)
    received = fixed.randrange(terms.quantity + 1) if fixed.random() < 0.7 else 0
    accepted = fixed.randrange(terms.quantity + 1) if fixed.random() < 0.5 else 0
    said = {"statement": name, "received": received, "accepted": accepted}
    if received:
        said["delivered_at"] = due + fixed.choice((-DAY, 0, 1, HOUR, 5 * HOUR + 1, 3 * DAY))
    if accepted:
        said["accepted_at"] = due + fixed.randrange(3 * DAY)
    if fixed.random() < 0.3:
        said["picked_up_at"] = due - 2 * DAY
    if fixed.random() < 0.5:
        low = fixed.randrange(100, 700)
        said |= {"sensed": 1, "min_centi_c": low, "max_centi_c": low + fixed.randrange(400)}
    if fixed.random() < 0.5:
        shock = fixed.randrange(3_000, 7_000)
        said |= {"sensed": said.get("sensed", 0) | 2, "max_milli_g": shock}
    return consignment.facts({**said, "withdrawn": chance.random() < 0.35})


@pytest.mark.parametrize("position", range(15))
def test_price__word_beyond_its_type__refused_and_nothing_reverts(dock, position):
    consignment = dock.open()
    raw = bytearray(product.encode_facts(consignment.facts({"received": 1, "delivered_at": 1})))
    raw[position * 32 : position * 32 + 32] = b"\xff" * 31 + b"\xfe"  # -2 in a signed word
    amount, refusal = consignment.ask(bytes(raw))
    assert amount == 0
    if position < 11:
        assert refusal == "FactsMalformed"
    assert consignment.ask(bytes(raw[:-1])) == (0, "FactsMalformed")
    assert consignment.ask(bytes(raw) + b"\0") == (0, "FactsMalformed")


@pytest.mark.parametrize(
    "wrong",
    [
        {"consignment": bytes(32)},
        {"carrier": bytes(32)},
        {"price": 0},
        {"price": 2**47},
        {"quantity": 0},
        {"picked_up_bps": 2_001},
        {"due_at": 0},
        {"deadline": 1},
        {"late_bps_per_hour": 0},
        {"late_max_bps": 10_001},
        {"min_centi_c": 801},
        {"breach_bps": 0},
        {"shock_bps": 0},
        {"shock_milli_g": 0},
        {"breach_max_bps": 0},
        {"breach_max_bps": 10_001},
        {"sensor": bytes(32)},
        {"carrier": b"\7" * 32},
    ],
    ids=str,
)
def test_open__terms_that_make_no_sense__refused_here_as_off_chain(dock, wrong):
    terms = dock.yard.terms(dock.due, **{**CONDITIONS, **wrong})
    raw = product.encode_terms(terms)
    assert _refusal(dock, raw) == "TermsMalformed"
    with pytest.raises(Rejected):
        product.decode_terms(raw)


def test_open__recipient_who_carries__refused(dock):
    raw = product.encode_terms(dock.yard.terms(dock.due, carrier=dock.device))
    assert _refusal(dock, raw) == "TermsMalformed"


@pytest.mark.parametrize("position", range(18))
def test_open__word_beyond_its_type__refused_by_name(dock, position):
    raw = bytearray(product.encode_terms(dock.yard.terms(dock.due, **CONDITIONS)))
    assert _refusal(dock, bytes(raw)) == ""
    if position > 2:
        raw[position * 32] ^= 0x40
    assert _refusal(dock, bytes(raw[:-32] if position < 3 else raw)) == "TermsMalformed"


def test_open_and_price__from_anybody_but_the_rail__refused(dock):
    fork, consignment = dock.yard.fork, dock.open()
    raw = product.encode_terms(consignment.terms)
    quote = (
        consignment.agreement,
        dock.device,
        1,
        False,
        product.encode_facts(consignment.facts({})),
    )
    for function, arguments in (("open", (b"\1" * 32, dock.device, raw)), ("price", ([quote],))):
        said = fork.refusal(dock.yard.contract, function, *arguments, sender=dock.yard.owner)
        assert said == "NotTheRail"


def _refusal(dock, raw: bytes) -> str:
    return dock.yard.fork.refusal(
        dock.yard.contract, "open", b"\1" * 32, dock.device, raw, sender=dock.yard.rail
    )
