"""Attacks on agreements that are charged by reports, each by its name, at the contract.

What stops an attack off chain is in tests/unit/orchestrator/products/test_index_attacks.py, and
what a quorum without the device can do in test_index_seal.py.
"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from oracles.types import Claim
from orchestrator.core.batch_bytes import batch_argument
from orchestrator.products.index.tariff import (
    IndexFacts,
    IndexTerms,
    Metric,
    TariffCurve,
    encode_facts,
    encode_terms,
)
from tests.support.contracts.contract_rail import DAY, DEVICE, EURO
from tests.support.contracts.index_contract import IndexContract
from tests.support.contracts.settled import group_of

LIMIT = 2**47 - 1
STEADY = bytes(32)  # no device in the quote
OVERLAP = {"": 0, "TimeAhead": 4, "PeriodUnexpected": 3}
CURVE = TariffCurve(0, ((0, 0), (1_000, 10 * EURO)), rises=True)
TERMS = IndexTerms("policy:1", (Metric("metres", 0, 1_000),), (CURVE,), 8 * EURO, 3_600, 40 * DAY)


@pytest.fixture(scope="module")
def index(deployed):
    return IndexContract(deployed, "UsagePremium")


def _facts(begin: int, end: int, metres: int) -> bytes:
    return encode_facts(IndexFacts(begin, end, 10_000, 1, (metres,)))


def test_attack__a_day_is_sold_in_two_periods__only_the_first_is_charged(index):
    """Every overlap: by a second at either end, within it, around it."""
    agreement, start = index.open(encode_terms(TERMS)), index.since
    index.settle(agreement, [(_facts(start + DAY, start + 3 * DAY, 500), LIMIT)], device=STEADY)
    sold = [(3, 4, 0), (3 * DAY - 1, 4 * DAY, 1), (DAY, 2 * DAY, 1), (DAY, 3 * DAY + 1, 1)]
    claims = [
        (_facts(start + begin, start + end, 500), LIMIT) for begin, end, bad in sold if bad
    ] + [(_facts(start, start + DAY, 500), LIMIT)]
    answers = index.answers(agreement, claims, device=STEADY)
    assert answers == [(0, OVERLAP["PeriodUnexpected"])] * len(claims)
    follows = [(_facts(start + 3 * DAY, start + 4 * DAY, 500), LIMIT)]
    assert index.answers(agreement, follows, device=STEADY) == [(5 * EURO, 0)]


def test_attack__a_period_is_stated_again_and_again__never_costs_more_than_its_last_word(index):
    """Restating telescopes: all amounts of a period sum to what its last report comes to."""
    agreement, start, chance = index.open(encode_terms(TERMS)), index.since, random.Random(3)
    metres = [0, 1_000, 0, 1_000, *(chance.randint(0, 1_000) for _ in range(20)), 0]
    claims = [(_facts(start, start + DAY, each), LIMIT) for each in metres]
    answers = index.answers(agreement, claims, device=STEADY)
    worth = [min(each * EURO // 100, 8 * EURO) for each in metres]
    assert answers == [(0, 0), *((after - before, 0) for before, after in pairwise(worth))]
    assert sum(amount for amount, _ in answers) == 0


def test_attack__numbers_beyond_all_reason__cost_the_ceiling_and_never_less_than_the_floor(index):
    wide = TERMS._replace(metrics=(Metric("metres", -(2**63), 2**63 - 1),), floor=EURO)
    agreement, start = index.open(encode_terms(wide)), index.since
    numbers = (-(2**63), -1, 0, 99, 100, 799, 800, 2**63 - 1)
    claims = [
        (_facts(start + n * DAY, start + (n + 1) * DAY, x), LIMIT) for n, x in enumerate(numbers)
    ]
    answers = index.answers(agreement, claims, device=STEADY)
    assert [amount for amount, _ in answers] == [
        *[EURO] * 5,
        7_990_000,
        8 * EURO,
        8 * EURO,
    ]


def test_attack__facts_of_any_bytes__are_refused_by_name_and_stop_nobody_else(index):
    agreement, start, chance = index.open(encode_terms(TERMS)), index.since, random.Random(4)
    good = _facts(start, start + DAY, 100)
    noise = [chance.randbytes(chance.choice((0, 1, 12, 19, 20, 21, 124, 300))) for _ in range(60)]
    noise += [good[:n] for n in range(len(good))]
    claims = [(raw, LIMIT) for raw in noise] + [(good, LIMIT)]
    *refused, last = index.answers(agreement, claims, device=STEADY)
    assert last == (EURO, 0)
    assert {refusal for _, refusal in refused} <= set(range(2, 8))


def test_attack__a_tariff_that_overflows__opens_no_agreement(index):
    """Eight factors of the most there is cannot overflow; one unit more is refused."""
    most = TariffCurve(0, ((0, 1_000_000),), factor=True)
    added = TariffCurve(0, ((0, 2**47 - 1),))
    terms = TERMS._replace(curves=(added, *[most] * 7), base=2**47 - 1, ceiling=2**44 - 1)
    agreement, start = index.open(encode_terms(terms)), index.since
    claim = [(_facts(start, start + DAY, 1), LIMIT)]
    assert index.answers(agreement, claim, device=STEADY) == [(2**44 - 1, 0)]
    raw = encode_terms(terms)
    more = raw.replace((1_000_000).to_bytes(6, "big"), (1_000_001).to_bytes(6, "big"), 1)
    assert index.refusal("open", b"\1" * 32, DEVICE, 0, more) == "TermsMalformed"


def test_attack__second_phone_signs_for_the_policy__is_not_the_agreement_s_device(index):
    """One device for a policy: terms that ask for another's signature open nothing."""
    raw = encode_terms(TERMS._replace(signer="EVSE-1"))
    assert index.refusal("open", b"\1" * 32, DEVICE, 0, raw) == ""
    other = encode_terms(TERMS._replace(signer="phone-2"))
    assert index.refusal("open", b"\1" * 32, DEVICE, 0, other) == "TermsMalformed"


# --- on a whole rail


def test_attack__claim_is_priced_by_another_tariff__reverts_by_name(contracts):
    """A baseline that flatters: whoever sends the claim names the tariff of another agreement."""
    leaf = contracts.add_product("EnergySavings")
    dear = TERMS._replace(base=EURO)
    mine, other = (
        contracts.open(contracts.mandate(product=leaf.address, terms=encode_terms(terms)))
        for terms in (TERMS, dear)
    )
    contracts.mint(20 * EURO, mine)
    begin = contracts.now - 10 * DAY
    claim = Claim(mine, 1, 11, 12, b"\1" * 32, _facts(begin, begin + DAY, 100))
    batch = contracts.batch(claim, product=leaf)
    signatures = contracts.attest(batch)

    def sent(group):
        wanted = batch_argument(batch.product, batch.claims, [group])
        return contracts.refusal(
            contracts.rail.settle, wanted, signatures, sender=contracts.stranger
        )

    assert group_of(mine).shared != group_of(other).shared
    assert sent(group_of(mine)._replace(shared=group_of(other).shared)) == "GroupInvalid"
    assert sent(group_of(mine)) == ""


def test_attack__refund_and_restatement_of_one_period__give_its_money_back_once(contracts):
    leaf = contracts.add_product("UsagePremium")
    mine = contracts.open(contracts.mandate(product=leaf.address, terms=encode_terms(TERMS)))
    contracts.mint(20 * EURO, mine)
    first = contracts.now - 10 * DAY

    def claim(sequence: int, day: int, metres: int) -> Claim:
        facts = _facts(first + day * DAY, first + (day + 1) * DAY, metres)
        return Claim(mine, sequence, 10 + sequence, 10 + sequence, b"\1" * 32, facts)

    contracts.settle(claim(1, 0, 600), product=leaf)  # else the rail has nothing more to give back
    paid = contracts.settle(claim(2, 1, 500), product=leaf)
    contracts.disputes.concede(contracts.dispute(paid), sender=contracts.payee)
    again = contracts.settle(claim(3, 1, 0), product=leaf)
    assert (paid.amounts, again.amounts) == ([5 * EURO], [0])
    assert contracts.rail.owed(contracts.payee) == 0
    contracts.assert_conserved()
