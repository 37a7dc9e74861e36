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
from tests.support.contracts.delivery_contract import (
    CASE_DUE,
    DAY,
    HOUR,
    DeliveryContract,
    owed,
)

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
def delivery(fork):
    return DeliveryContract(fork)


@pytest.fixture(scope="module")
def recipient(delivery):
    return delivery.recipient()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in CASES])
def test_price__worked_case__amount_or_refusal_as_written(recipient, case):
    shift = recipient.due - CASE_DUE
    terms = product.decode_terms(product.parse_terms(case["terms"]))
    terms = terms._replace(due_at=terms.due_at + shift, deadline=terms.deadline + shift)
    consignment = recipient.open(terms)
    total = 0
    for claim in case["claims"]:
        facts = consignment.facts(claim["facts"], shift=shift)
        amount, refusal = consignment.state(facts, claim.get("limit", 2**47 - 1))
        assert (amount, refusal) == (claim.get("amount", 0), claim.get("refusal", "")), claim
        total += amount
    assert total == case.get("total", total)
    assert (
        recipient.delivery.fork.ask(consignment.contract, "stateOf", consignment.agreement)[3]
        == total
    )


def test_price__random_statements_and_withdrawals__charged_is_what_stands(recipient):
    """The sum of all amounts is what the standing statements are worth, in any order; it
    never leaves 0 to the price; and no amount gives back more than was charged."""
    for seed in range(4):
        chance = random.Random(seed)
        price = chance.choice((7, 999, 1_000_000_007, 2**47 - 1))
        more = CONDITIONS if seed % 2 else {}
        terms = recipient.delivery.terms(
            recipient.due, price=price, quantity=chance.choice((1, 3, 100)), **more
        )
        consignment = recipient.open(terms)
        standing, total = {}, 0
        for step in range(14):
            facts = _random(consignment, chance, f"{seed}/{step % 9}")
            amount, refusal = consignment.state(facts)
            assert refusal == ""
            if facts.withdrawn:
                standing.pop(facts.event_hash, None)
            else:
                standing.setdefault(facts.event_hash, facts)
            total += amount
            assert 0 <= total <= price and total == owed(terms, standing)


def test_price__same_statements_in_any_order__same_total(recipient):
    chance = random.Random(5)
    terms = recipient.delivery.terms(recipient.due, **CONDITIONS)
    statements = [
        _random(recipient.open(terms), chance, str(n))._replace(withdrawn=False) for n in range(5)
    ]
    totals = set()
    for _ in range(3):
        consignment = recipient.open(terms)
        chance.shuffle(statements)
        fresh = [recipient.sign(f"{consignment.agreement.hex()}/{n}") for n in range(5)]
        signed = [
            facts._replace(digest=d, r=r, s=s)
            for facts, (d, r, s) in zip(statements, fresh, strict=True)
        ]
        totals.add(sum(consignment.state(facts)[0] for facts in signed))
    assert len(totals) == 1


def _random(consignment, chance, name):
    """A statement of that name, or its withdrawal: one name always says the same."""
    terms, due = consignment.terms, consignment.recipient.due
    fixed = random.Random(name)
    received = fixed.randrange(terms.quantity + 1) if fixed.random() < 0.7 else 0
    accepted = fixed.randrange(terms.quantity + 1) if fixed.random() < 0.5 else 0
    fields = {"event_hash": name, "received": received, "accepted": accepted}
    if received:
        fields["delivered_at"] = due + fixed.choice((-DAY, 0, 1, HOUR, 5 * HOUR + 1, 3 * DAY))
    if accepted:
        fields["accepted_at"] = due + fixed.randrange(3 * DAY)
    if fixed.random() < 0.3:
        fields["picked_up_at"] = due - 2 * DAY
    if fixed.random() < 0.5:
        low = fixed.randrange(100, 700)
        fields |= {"sensed": 1, "min_centi_c": low, "max_centi_c": low + fixed.randrange(400)}
    if fixed.random() < 0.5:
        shock = fixed.randrange(3_000, 7_000)
        fields |= {"sensed": fields.get("sensed", 0) | 2, "max_milli_g": shock}
    return consignment.facts({**fields, "withdrawn": chance.random() < 0.35})


@pytest.mark.parametrize("position", range(15))
def test_price__word_beyond_its_type__refused_and_nothing_reverts(recipient, position):
    consignment = recipient.open()
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
def test_open__terms_that_make_no_sense__refused_here_as_off_chain(recipient, wrong):
    terms = recipient.delivery.terms(recipient.due, **{**CONDITIONS, **wrong})
    raw = product.encode_terms(terms)
    assert _refusal(recipient, raw) == "TermsMalformed"
    with pytest.raises(Rejected):
        product.decode_terms(raw)


def test_open__recipient_who_carries__refused(recipient):
    raw = product.encode_terms(recipient.delivery.terms(recipient.due, carrier=recipient.device))
    assert _refusal(recipient, raw) == "TermsMalformed"


@pytest.mark.parametrize("position", range(18))
def test_open__word_beyond_its_type__refused_by_name(recipient, position):
    raw = bytearray(product.encode_terms(recipient.delivery.terms(recipient.due, **CONDITIONS)))
    assert _refusal(recipient, bytes(raw)) == ""
    if position > 2:
        raw[position * 32] ^= 0x40
    assert _refusal(recipient, bytes(raw[:-32] if position < 3 else raw)) == "TermsMalformed"


def test_open_and_price__from_anybody_but_the_rail__refused(recipient):
    fork, consignment = recipient.delivery.fork, recipient.open()
    raw = product.encode_terms(consignment.terms)
    for function, arguments in (
        ("open", (b"\1" * 32, recipient.device, 0, raw)),
        ("refunded", (b"\1" * 32, 1)),
        ("skipped", (b"\1" * 32, 0)),
        ("price", ([0], 0, b"")),
    ):
        refusal = fork.refusal(
            recipient.delivery.contract, function, *arguments, sender=recipient.delivery.owner
        )
        assert refusal == "NotTheRail"


def _refusal(recipient, raw: bytes) -> str:
    delivery = recipient.delivery
    call = "open", delivery.contract.address, b"\1" * 32, recipient.device, 0, raw
    return delivery.fork.refusal(delivery.rail, *call, sender=delivery.owner)
