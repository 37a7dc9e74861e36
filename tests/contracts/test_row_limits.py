"""What a row cannot hold: caps by period, escrow next to what may come back, last values.

caps: periods are whole days from 1970; given a rest of 256 periods: less may be charged, never more
escrow: what comes back of charges should fit next to the most that can be funded
last values: sequences and counters that a row cannot hold are refused by name
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi import encode
from web3 import Web3

from tests.support.contracts.contract_rail import DAY, EURO, MORE
from tests.support.contracts.row_words import FISCAL, LAST_MONEY, LAST_SEQUENCE, NUMBERS, put
from tests.support.contracts.settled import group_of, plain_facts, skipping


def plain(contracts, **changes):
    """Open a funded agreement on a product that answers what the facts say."""
    product = contracts.add_product("PlainProduct", 0)
    wanted = {"product": product.address, "device": MORE[0], **changes}
    agreement = contracts.open(contracts.mandate(**wanted))
    contracts.mint(1_000 * EURO, agreement)
    return product, agreement


def charge(contracts, product, agreement, sequence, amount):
    """Settle a claim of so much; return its refusal and what it might have charged."""
    row = contracts.claim(agreement, sequence, facts=plain_facts(amount))
    settlement = contracts.settle(row, product=product)
    (quoted,) = [log for log in settlement.receipt.events if log.event_name == "Quoted"]
    return settlement.named[0], quoted.limit


@pytest.mark.parametrize("days", [1, 7, 30, 365])
def test_cap__at_the_end_of_a_period__holds_to_its_last_second(contracts, days):
    cap = 4 * EURO
    expiry = contracts.now + 800 * DAY
    product, mine = plain(contracts, cap=cap, period_days=days, expiry=expiry)
    turn = (contracts.now // (days * DAY) + 1) * days * DAY
    contracts.node.mine_at(turn - 3)
    assert charge(contracts, product, mine, 1, 3 * EURO) == ("None", cap)  # at turn - 2
    assert charge(contracts, product, mine, 2, 3 * EURO) == ("CapExceeded", EURO)
    assert contracts.now == turn - 1
    assert charge(contracts, product, mine, 2, 3 * EURO) == ("None", cap)
    assert contracts.now == turn
    assert charge(contracts, product, mine, 3, 3 * EURO) == ("CapExceeded", EURO)
    contracts.node.mine_at(turn + days * DAY - 2)
    assert charge(contracts, product, mine, 3, 3 * EURO) == ("CapExceeded", EURO)


@pytest.mark.parametrize("rest", [1, 255, 256, 257, 511, 512])
def test_cap__after_a_rest__charges_less_after_256_periods_and_never_more(contracts, rest):
    cap = 4 * EURO
    expiry = contracts.now + 800 * DAY
    product, mine = plain(contracts, cap=cap, period_days=1, expiry=expiry)
    contracts.node.mine_at((contracts.now // DAY + 1) * DAY)
    assert charge(contracts, product, mine, 1, 3 * EURO) == ("None", cap)
    contracts.wait(rest * DAY)
    left = EURO if rest % 256 == 0 else cap
    assert charge(contracts, product, mine, 2, 5 * EURO) == ("CapExceeded", left)
    assert charge(contracts, product, mine, 2, left) == ("None", left)
    contracts.wait(DAY)
    assert charge(contracts, product, mine, 3, cap) == ("None", cap)


# --- escrow


def rich(contracts):
    """An agreement that charged all of the most that can be funded, and is full again."""
    product, mine = plain(contracts, cap=(1 << 48) - 1, window=DAY)
    most = contracts.rail.MAX_ESCROW()
    contracts.mint(most - 1_000 * EURO, mine)
    row = contracts.claim(mine, facts=plain_facts(most))
    settlement = contracts.settle(row, product=product)
    assert settlement.amounts == [most] and contracts.rail.agreementState(mine)[2] == 0
    contracts.mint(most, mine)
    refused = contracts.refusal(
        contracts.token.mintToEscrow,
        contracts.credit(),
        contracts.rail,
        mine,
        1,
        sender=contracts.minter,
    )
    assert refused == "AmountTooLarge"
    return product, mine, most, settlement


def test_escrow__full__still_takes_a_refund(contracts):
    _, mine, most, settlement = rich(contracts)
    payment = contracts.dispute(settlement)
    contracts.disputes.concede(payment, sender=contracts.payee)
    assert contracts.rail.agreementState(mine)[2] == 2 * most
    contracts.assert_conserved()


def test_escrow__full__still_takes_paid_debts(contracts):
    product, mine, most, settlement = rich(contracts)
    owing = contracts.claim(mine, 2, facts=plain_facts(-most))
    assert contracts.settle(owing, product=product).amounts == [-most]
    contracts.node.mine_at(settlement.release_at)
    contracts.rail.release(contracts.payee, [settlement.release_at], sender=contracts.stranger)
    assert contracts.rail.owed(contracts.payee) == 0
    assert contracts.rail.agreementState(mine)[2] == 2 * most
    contracts.assert_conserved()


def test_attack__all_that_was_charged_comes_back__fits_after_any_funding(contracts):
    """Attack: a refund that does not fit would stop its dispute, or all releases of a payee."""
    product, mine, most, first = rich(contracts)
    row = contracts.claim(mine, 2, facts=plain_facts(most))
    second = contracts.settle(row, product=product)
    assert second.amounts == [most]

    def refusal(amount):
        minted = (contracts.credit(), contracts.rail, mine, amount)
        return contracts.refusal(contracts.token.mintToEscrow, *minted, sender=contracts.minter)

    assert [refusal(amount) for amount in (1, 2, most)] == ["", "AmountTooLarge", "AmountTooLarge"]
    contracts.mint(1, mine)
    for settlement in (first, second):
        payment = contracts.dispute(settlement)
        contracts.disputes.concede(payment, sender=contracts.payee)
    assert contracts.rail.agreementState(mine)[2] == LAST_MONEY
    row = contracts.claim(mine, 3, facts=plain_facts(LAST_MONEY - most), last_counter=50)
    contracts.node.mine_at(contracts.now + 30 * DAY)  # the cap is free again
    assert contracts.settle(row, product=product).amounts == [LAST_MONEY - most]
    assert [refusal(amount) for amount in (1, most)] == ["AmountTooLarge"] * 2
    contracts.assert_conserved()


# --- last values


def stored(contracts, agreement, product):
    """Return where the row of an agreement lies on chain."""
    group = encode(
        ["address", "(address,uint48,uint16,uint32,uint8,uint256)"],
        [product.address, tuple(group_of(agreement))],
    )
    for slot in range(64):
        outer = Web3.keccak(Web3.keccak(group) + slot.to_bytes(32))
        place = Web3.to_hex(Web3.keccak(agreement + outer))
        if int(contracts.node.rpc("eth_getStorageAt", contracts.rail.address, place, "latest"), 16):
            return place
    raise AssertionError("the rail has no row of this agreement")


def test_sequence__at_its_last_value__is_refused_by_name(contracts):
    product, mine = plain(contracts)
    place, rail = stored(contracts, mine, product), contracts.rail
    read = contracts.node.rpc("eth_getStorageAt", rail.address, place, "latest")
    word = put(int(read, 16), sequence=LAST_SEQUENCE - 1)
    contracts.node.rpc("anvil_setStorageAt", rail.address, place, f"0x{word:064x}")
    row = contracts.claim(mine, facts=plain_facts(5))
    last = replace(row, sequence=LAST_SEQUENCE)
    assert contracts.settle(last, product=product).named == ["None"]
    assert rail.agreementState(mine)[:2] == (LAST_SEQUENCE, row.last_counter)
    for sequence in (0, 1, LAST_SEQUENCE, LAST_SEQUENCE + 1, (1 << 32) - 1):
        counters = {"first_counter": 30, "last_counter": 30}
        beyond = replace(row, sequence=sequence, **counters)
        assert contracts.settle(beyond, product=product).named == ["SequenceUnexpected"]
        skip = skipping(contracts, mine, sequence, 30)
        assert contracts.refusal(rail.skip, *skip, sender=contracts.stranger) == "SkipInvalid"


# name: first counter of the agreement, last counter of a claim, how it is answered
COUNTERS = {
    "last number": (10, NUMBERS - 1, "None"),
    "beyond the numbers": (10, NUMBERS, "CountersMalformed"),
    "below the fiscal stream": (10, FISCAL - 1, "CountersMalformed"),
    "first of the fiscal stream": (10, FISCAL, "None"),
    "last fiscal number": (FISCAL, FISCAL + NUMBERS - 1, "None"),
    "beyond the fiscal numbers": (FISCAL, FISCAL + NUMBERS, "CountersMalformed"),
    "the highest of the wire": (FISCAL, 2 * FISCAL - 1, "CountersMalformed"),
}


@pytest.mark.parametrize("case", COUNTERS)
def test_counter__as_far_as_a_row_holds_it__is_taken_and_else_refused_by_name(contracts, case):
    begin, last, answer = COUNTERS[case]
    product, mine = plain(contracts, first_counter=begin)
    counters = {"first_counter": begin + 1, "last_counter": last}
    row = replace(contracts.claim(mine, facts=plain_facts(5)), **counters)
    skip = skipping(contracts, mine, 1, last)
    refused = contracts.refusal(contracts.rail.skip, *skip, sender=contracts.stranger)
    assert refused == ("" if answer == "None" else "SkipInvalid")
    assert contracts.settle(row, product=product).named == [answer]
    state = contracts.rail.agreementState(mine)
    assert state[1] == (last if answer == "None" else begin)
    counters = {"first_counter": last, "last_counter": last}
    again = replace(row, sequence=state[0] + 1, **counters)
    repeated = "CountersReplayed" if answer == "None" else "CountersMalformed"
    assert contracts.settle(again, product=product).named == [repeated]


@pytest.mark.parametrize(
    ("counter", "refusal"),
    [
        (NUMBERS - 1, ""),
        (NUMBERS, "CounterTooLarge"),
        (FISCAL - 1, "CounterTooLarge"),
        (FISCAL, ""),
        (FISCAL + NUMBERS - 1, ""),
        (FISCAL + NUMBERS, "CounterTooLarge"),
        (2 * FISCAL - 1, "CounterTooLarge"),
    ],
)
def test_open__first_counter_that_a_row_cannot_hold__reverts(contracts, counter, refusal):
    opening = contracts.opening(contracts.mandate(device=MORE[0], first_counter=counter))
    assert contracts.refusal(contracts.rail.open, *opening, sender=contracts.stranger) == refusal
