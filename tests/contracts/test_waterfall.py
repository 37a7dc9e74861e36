"""A payee that divides what it earns: senior first, the rest by fixed shares, each holder pulls.

create
├── given terms: the address should be the one that was foretold, once, and anyone may create
└── given bad terms: it should revert by name, and Python refuses the same
take
├── it should take in what the rail has, and pay what Python computes, to the minor unit
├── given a senior: it should come first, up to its limit
├── given a stranger, or nothing new: it should revert NothingToTake
└── given what is below a minor unit: it should wait and never be lost
payOut: whole cents to the holder's bank account; a stranger once a day, from the minimum on
debts: the rail keeps what the waterfall owes, also after holders took their parts
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest
from web3 import Web3

from device_adapters.types import Rejected
from orchestrator.core.waterfall import NOBODY, checked
from tests.support.contracts.contract_rail import ACCOUNT, DAY, EURO, NONE
from tests.support.contracts.waterfalls import (
    create,
    earn,
    halves,
    prepared,
    send,
    settle,
    terms_of,
)


@pytest.fixture
def rail(contracts):
    return prepared(contracts)


# --- creation


def test_create__anyone__is_at_the_address_that_was_foretold(rail):
    terms = terms_of({rail.payee: 2_500, rail.owner: 7_500}, rail.payer, 1_000, 5 * EURO)
    foretold = rail.waterfalls.addressOf(terms.as_tuple())
    receipt = rail.waterfalls.create(terms.as_tuple(), sender=rail.stranger)
    waterfall = rail.at("Waterfall", foretold)
    [event] = receipt.events
    assert (event.event_name, event.waterfall) == ("WaterfallCreated", foretold)
    assert tuple(waterfall.terms()) == terms.as_tuple()
    assert waterfall.rail() == rail.rail.address and waterfall.token() == rail.token.address
    assert rail.waterfalls.rail() == rail.rail.address
    again = rail.refusal_args(rail.waterfalls.create, terms.as_tuple(), sender=rail.payer)
    assert again == ("WaterfallExists", (foretold.lower(),))


def test_create__another_label__is_another_waterfall(rail):
    terms = terms_of({rail.payee: 10_000})
    other = replace(terms, label=b"\6" * 32)
    assert create(rail, terms).address != create(rail, other).address


def test_create__sixteen_holders__is_the_most(rail):
    people = {Web3.to_checksum_address(f"0x{n:040x}"): 625 for n in range(100, 116)}
    waterfall = create(rail, terms_of(people))
    send(rail, waterfall, 1_600)
    assert [waterfall.owedTo(person) for person in people] == [100] * 16
    more = (b"\1" * 32, NOBODY, 0, 0, [f"0x{n:040x}" for n in range(1, 18)], [588] * 16 + [592])
    refused = rail.refusal_args(rail.waterfalls.create, more, sender=rail.payer)
    assert refused == ("HoldersInvalid", (17, 17))


A, B = "0x" + "a" * 40, "0x" + "b" * 40
BAD_TERMS = {
    "nobody": ("HoldersInvalid", (NOBODY, 0, 0, [], [])),
    "one share missing": ("HoldersInvalid", (NOBODY, 0, 0, [A, B], [10_000])),
    "listed twice": ("HolderInvalid", (NOBODY, 0, 0, [A, A], [5_000, 5_000])),
    "not ascending": ("HolderInvalid", (NOBODY, 0, 0, [B, A], [5_000, 5_000])),
    "the zero address": ("HolderInvalid", (NOBODY, 0, 0, [NOBODY, A], [5_000, 5_000])),
    "a share of zero": ("SharesInvalid", (NOBODY, 0, 0, [A, B], [0, 10_000])),
    "shares below all": ("SharesInvalid", (NOBODY, 0, 0, [A, B], [5_000, 4_999])),
    "shares above all": ("SharesInvalid", (NOBODY, 0, 0, [A, B], [5_000, 5_001])),
    "a limit without a senior": ("SeniorInvalid", (NOBODY, 0, 1, [A], [10_000])),
    "a share without a senior": ("SeniorInvalid", (NOBODY, 1, 0, [A], [10_000])),
    "a senior without a limit": ("SeniorInvalid", (B, 1, 0, [A], [10_000])),
    "a senior without a share": ("SeniorInvalid", (B, 0, 1, [A], [10_000])),
    "a senior of more than all": ("SeniorInvalid", (B, 10_001, 1, [A], [10_000])),
}


@pytest.mark.parametrize("case", BAD_TERMS)
def test_create__bad_terms__reverts_by_name_and_python_refuses_the_same(rail, case):
    error, (*senior, holders, shares) = BAD_TERMS[case]
    content = (b"\1" * 32, *senior, holders, shares)
    assert rail.refusal(rail.waterfalls.create, content, sender=rail.payer) == error
    if case in ("one share missing", "not ascending"):
        return  # Python pairs and sorts them
    terms = replace(
        terms_of({A: 10_000}),
        holders=tuple(zip(holders, shares, strict=True)),
        senior=senior[0],
        senior_share=senior[1],
        senior_limit=senior[2],
    )
    with pytest.raises(Rejected):
        checked(terms)


# --- worked splits


def test_take__money_of_the_rail__comes_in_and_is_divided(rail):
    waterfall = create(rail, terms_of({rail.payee: 2_500, rail.owner: 7_500}))
    earn(rail, waterfall, 3_000_001, 1_000_002)
    assert waterfall.waiting() == 4_000_003 and waterfall.received() == 0
    receipt = waterfall.take(sender=rail.payee)
    assert rail.token.balanceOf(rail.payee) == 1_000_000  # a quarter of 4,000,003, rounded down
    [event] = [log for log in receipt.events if log.event_name == "Taken"]
    assert (event.holder, event.amount) == (rail.payee, 1_000_000)
    assert (waterfall.waiting(), waterfall.received(), waterfall.taken()) == (
        0,
        4_000_003,
        1_000_000,
    )
    assert waterfall.owedTo(rail.owner) == 3_000_002
    waterfall.take(sender=rail.owner)
    assert rail.token.balanceOf(waterfall) == 1  # waits: it is a part of two minor units
    send(rail, waterfall, 1)
    assert [waterfall.owedTo(holder) for holder in (rail.payee, rail.owner)] == [1, 1]
    rail.assert_conserved()


def test_take__senior_with_a_limit__is_served_first_and_only_up_to_it(rail):
    shares = {rail.payee: 4_000, rail.owner: 6_000}
    waterfall = create(rail, terms_of(shares, rail.payer, 2_000, 3 * EURO))
    send(rail, waterfall, 10 * EURO)
    people = (rail.payer, rail.payee, rail.owner)
    assert [waterfall.owedTo(p) for p in people] == [2 * EURO, 3_200_000, 4_800_000]
    waterfall.take(sender=rail.payer)
    send(rail, waterfall, 10 * EURO)  # the limit is reached within it
    assert [waterfall.owedTo(p) for p in people] == [EURO, 6_800_000, 10_200_000]
    waterfall.take(sender=rail.payer)
    send(rail, waterfall, 10 * EURO)
    assert [waterfall.owedTo(p) for p in people] == [0, 10_800_000, 16_200_000]
    assert waterfall.takenBy(rail.payer).amount == 3 * EURO


def test_take__senior_of_everything__leaves_the_rest_to_come(rail):
    waterfall = create(rail, terms_of({rail.payee: 10_000}, rail.owner, 10_000, EURO))
    send(rail, waterfall, EURO)
    assert [waterfall.owedTo(p) for p in (rail.owner, rail.payee)] == [EURO, 0]
    send(rail, waterfall, 5)
    assert [waterfall.owedTo(p) for p in (rail.owner, rail.payee)] == [EURO, 5]


def test_take__senior_that_is_a_holder_too__gets_both_parts(rail):
    shares = {rail.payee: 5_000, rail.owner: 5_000}
    waterfall = create(rail, terms_of(shares, rail.owner, 1_000, EURO))
    send(rail, waterfall, 10 * EURO)
    assert waterfall.owedTo(rail.owner) == EURO + 4_500_000


def test_take__stranger_or_nothing_new__reverts(rail):
    waterfall = halves(rail)
    send(rail, waterfall, 100)
    for person in (rail.stranger, rail.payer, rail.steward):
        refused = rail.refusal_args(waterfall.take, sender=person)
        assert refused == ("NothingToTake", (person.lower(),))
    waterfall.take(sender=rail.payee)
    assert rail.refusal(waterfall.take, sender=rail.payee) == "NothingToTake"
    assert rail.refusal(waterfall.take, sender=rail.owner) == ""


def test_take__dust__is_never_lost(rail):
    thirds = {rail.payee: 3_333, rail.owner: 3_333, rail.stranger: 3_334}
    waterfall = create(rail, terms_of(thirds))
    for _ in range(20):
        send(rail, waterfall, 1)
    owed = [waterfall.owedTo(person) for person in thirds]
    assert owed == [6, 6, 6]
    send(rail, waterfall, 9_980)
    assert [waterfall.owedTo(person) for person in thirds] == [3_333, 3_333, 3_334]


def test_take__donation_before_creation__is_income(rail):
    terms = terms_of({rail.payee: 10_000})
    send(rail, rail.waterfalls.addressOf(terms.as_tuple()), 7)
    waterfall = create(rail, terms)
    assert waterfall.owedTo(rail.payee) == 7


def test_pull__anyone__brings_in_what_the_rail_has(rail):
    waterfall = halves(rail)
    earn(rail, waterfall, EURO)
    waterfall.pull(rail.rail, sender=rail.stranger)
    assert (waterfall.received(), waterfall.waiting()) == (EURO, 0)
    waterfall.pull(rail.rail, sender=rail.stranger)  # nothing more
    assert waterfall.received() == EURO


def test_pull__later_rail__pays_the_same_waterfall(rail):
    waterfall, moved = halves(rail), copy(rail)
    moved.rail = moved.deploy_rail(rail.committee, rail.registry)
    moved.registry.watch(moved.rail, sender=rail.steward)
    moved.plain = moved.add_product("PlainProduct", 0)
    earn(moved, waterfall, EURO)
    assert waterfall.waiting() == 0
    waterfall.pull(moved.rail, sender=rail.stranger)
    assert waterfall.owedTo(rail.payee) == EURO // 2


# --- to the bank


def test_pay_out__bank_account__redeems_whole_cents_and_keeps_the_rest(rail):
    waterfall = halves(rail)
    earn(rail, waterfall, 2 * EURO + 246)
    rail.rail.setPayoutAccount(ACCOUNT, 0, sender=rail.payee)
    receipt = waterfall.payOut(rail.payee, sender=rail.payee)
    [redeemed] = [log for log in receipt.events if log.event_name == "Redeemed"]
    assert (redeemed.holder, redeemed.beneficiary) == (waterfall.address, rail.payee)
    assert (bytes(redeemed.account), redeemed.cents) == (bytes(ACCOUNT), 100)
    [paid] = [log for log in receipt.events if log.event_name == "PaidOut"]
    assert (paid.holder, paid.order, paid.amount) == (rail.payee, redeemed.order, EURO)
    assert waterfall.owedTo(rail.payee) == 123
    assert rail.refusal(waterfall.payOut, rail.payee, sender=rail.payee) == "NothingToTake"
    waterfall.take(sender=rail.payee)
    assert rail.token.balanceOf(rail.payee) == 123


def test_pay_out__no_account__reverts(rail):
    waterfall = halves(rail)
    send(rail, waterfall, EURO)
    refused = rail.refusal_args(waterfall.payOut, rail.owner, sender=rail.owner)
    assert refused == ("AccountMissing", (rail.owner.lower(),))


def test_pay_out__stranger__once_a_day_from_the_minimum_on(rail):
    waterfall = halves(rail)
    rail.rail.setPayoutAccount(ACCOUNT, EURO, sender=rail.payee)
    send(rail, waterfall, 2 * EURO - 2)
    assert rail.refusal(waterfall.payOut, rail.payee, sender=rail.stranger) == "PayoutLimited"
    assert rail.refusal(waterfall.payOut, rail.payee, sender=rail.payee) == ""
    send(rail, waterfall, 2)
    waterfall.payOut(rail.payee, sender=rail.stranger)
    send(rail, waterfall, 2 * EURO)
    assert rail.refusal(waterfall.payOut, rail.payee, sender=rail.stranger) == "PayoutLimited"
    rail.wait(DAY)
    assert rail.refusal(waterfall.payOut, rail.payee, sender=rail.stranger) == ""
    rail.rail.setPayoutAccount(NONE, 0, sender=rail.payee)  # who takes tokens is left alone
    assert rail.refusal(waterfall.payOut, rail.payee, sender=rail.stranger) == "AccountMissing"


# --- debts


def test_debt__of_the_waterfall__is_paid_by_its_next_income_first(rail):
    waterfall = halves(rail)
    agreement = earn(rail, waterfall, 4 * EURO)
    waterfall.take(sender=rail.payee)
    settle(rail, waterfall, agreement, 2, -EURO)  # a correction, after one holder took its part
    assert rail.rail.owed(waterfall) == EURO
    waterfall.take(sender=rail.owner)  # what is here was earned and stays so
    assert [rail.token.balanceOf(p) for p in (rail.payee, rail.owner)] == [2 * EURO] * 2
    settle(rail, waterfall, agreement, 3, 3 * EURO)
    assert (rail.rail.owed(waterfall), waterfall.waiting()) == (0, 2 * EURO)
    waterfall.take(sender=rail.payee)
    assert rail.token.balanceOf(rail.payee) == 3 * EURO
    assert waterfall.owedTo(rail.owner) == EURO
    rail.assert_conserved()


def test_debt__larger_than_what_is_released__lets_nothing_in(rail):
    waterfall = halves(rail)
    agreement = earn(rail, waterfall, 4 * EURO)
    settle(rail, waterfall, agreement, 2, -4 * EURO)
    assert waterfall.waiting() == 0
    assert rail.refusal(waterfall.take, sender=rail.payee) == "NothingToTake"
    rail.rail.release(waterfall, [], sender=rail.stranger)
    assert rail.rail.owed(waterfall) == 0 and waterfall.received() == 0


def test_gas__take_and_pay_out__stay_within_what_the_page_says(rail, record_property):
    people = [rail.payee, rail.owner, rail.payer]
    waterfall = create(rail, terms_of(dict(zip(people, (2_000, 3_000, 5_000), strict=True))))
    earn(rail, waterfall, EURO, EURO)
    rail.rail.setPayoutAccount(ACCOUNT, 0, sender=rail.owner)
    first = waterfall.take(sender=rail.payee).gas_used
    send(rail, waterfall, EURO)
    figures = {
        "take, with money of the rail": first,
        "take again": waterfall.take(sender=rail.payee).gas_used,
        "pay out": waterfall.payOut(rail.owner, sender=rail.owner).gas_used,
    }
    print(figures)
    record_property("gas", figures)
    assert max(figures.values()) < 200_000
