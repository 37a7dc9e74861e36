"""Rows: all of an agreement that a settlement changes, in one word, and where its parts end.

the word
├── each setter should change its own bits and no others, each getter should read its own
└── given a value that has too many bits: it should panic, so callers check before
notes: a product should get back with each quote what it said last, also over skips
caps: periods are whole days from 1970; given a rest of 256 periods: less may be charged, never more
escrow: what comes back of charges should fit beside the most that can be funded
last values: sequences and counters that a row cannot hold are refused by name
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from eth_abi import encode
from web3 import Web3

from tests.support.contracts.contract_rail import DAY, EURO, MORE
from tests.support.contracts.settled import group_of, plain_facts, skipping

# name of a part: its lowest bit, its bits (libraries/Rows.sol)
PARTS = {
    "status": (254, 2),
    "steady": (253, 1),
    "sequence": (229, 24),
    "counter": (192, 37),
    "note": (112, 80),
    "escrow": (68, 44),
    "spent": (24, 44),
    "period": (16, 8),
    "expiryDay": (0, 16),
}
READ = [name for name in PARTS if name != "period"]
SETTERS = {
    "withSequence": "sequence",
    "withCounter": "counter",
    "withNote": "note",
    "withEscrow": "escrow",
    "withSpent": "spent",
    "withExpiryDay": "expiryDay",
}
FISCAL = 1 << 39  # the stream of a counter
NUMBERS = 1 << 36
LAST_SEQUENCE, LAST_MONEY = (1 << 24) - 1, (1 << 44) - 1
PANIC = "execution reverted: panic: assertion failed (0x01)"
ROUNDS = 40


def kept(word: int, name: str) -> int:
    shift, bits = PARTS[name]
    return word >> shift & ((1 << bits) - 1)


def put(word: int, **values: int) -> int:
    """Return the word with these parts replaced; counters as devices count them."""
    for name, value in values.items():
        shift, bits = PARTS[name]
        if name == "counter":
            value = value // FISCAL * NUMBERS + value % FISCAL
        assert value >> bits == 0
        word = word & ~(((1 << bits) - 1) << shift) | value << shift
    return word


def part(word: int, name: str) -> int:
    value = kept(word, name)
    return value // NUMBERS * FISCAL + value % NUMBERS if name == "counter" else value


@pytest.fixture(scope="module")
def library(deployed):
    return deployed.deploy("RowParts")


@pytest.fixture
def dice():
    return random.Random(20_260)


def words(dice):
    return [0, (1 << 256) - 1, *(dice.getrandbits(256) for _ in range(ROUNDS))]


def value_of(dice, name):
    if name == "counter":
        return dice.choice((0, FISCAL)) + dice.randrange(NUMBERS)
    return dice.randrange(1 << PARTS[name][1])


def test_parts__lie_side_by_side_and_fill_the_word():
    taken = sorted((shift, shift + bits) for shift, bits in PARTS.values())
    assert [end for _, end in taken] == [*(begin for begin, _ in taken[1:]), 256]
    assert taken[0][0] == 0


def test_getters__any_word__read_their_own_bits(library, dice):
    for word in words(dice):
        assert library.parts(word) == [part(word, name) for name in READ]
        assert tuple(library.stands(word)) == (word != 0, part(word, "status") == 1)


@pytest.mark.parametrize("setter", SETTERS)
def test_setters__any_word_and_value__change_their_own_bits_alone(library, dice, setter):
    name = SETTERS[setter]
    for word in words(dice):
        value = value_of(dice, name)
        assert library.method(setter)(word, value) == put(word, **{name: value})


@pytest.mark.parametrize(
    ("setter", "value"),
    [
        ("withSequence", LAST_SEQUENCE + 1),
        ("withCounter", NUMBERS),
        ("withCounter", FISCAL - 1),
        ("withCounter", FISCAL + NUMBERS),
        ("withCounter", 2 * FISCAL),
        ("withEscrow", LAST_MONEY + 1),
        ("withSpent", LAST_MONEY + 1),
        ("withExpiryDay", 1 << 16),
    ],
)
def test_setters__value_of_too_many_bits__panic(contracts, library, setter, value):
    method, sender = library.method(setter), contracts.stranger
    assert contracts.refusal(method, 0, value, sender=sender) == PANIC


def test_fresh__is_live_with_nothing_spent(library, dice):
    for steady in (False, True):
        counter, period, day = value_of(dice, "counter"), 20_617, value_of(dice, "expiryDay")
        note = value_of(dice, "note")
        expected = put(0, status=1, steady=steady, counter=counter, note=note)
        expected = put(expected, period=period % 256, expiryDay=day)
        assert library.fresh(counter, period, day, steady, note) == expected


def test_ends__of_agreement_and_of_steadiness__change_one_part(library, dice):
    for word in words(dice):
        assert library.closed(word) == put(word, status=2)
        assert library.unsteady(word) == put(word, steady=0)


def test_period__of_another_number__has_nothing_spent(library, dice):
    for word in words(dice):
        now = part(word, "period") + 256 * dice.randrange(100)
        assert library.inPeriod(word, now) == word
        other = now + dice.randrange(1, 256)
        assert library.inPeriod(word, other) == put(word, spent=0, period=other % 256)


def test_claimed__counter_never_falls(library, dice):
    for word in words(dice):
        sequence, counter, note = (value_of(dice, n) for n in ("sequence", "counter", "note"))
        most = max(counter, part(word, "counter"))
        expected = put(word, sequence=sequence, counter=most, note=note)
        assert library.claimed(word, sequence, counter, note) == expected


def test_charged__moves_escrow_to_spent_or_panics(contracts, library, dice):
    def refusal(word, amount):
        return contracts.refusal(library.charged, word, amount, sender=contracts.stranger)

    for word in words(dice):
        escrow, spent = part(word, "escrow"), part(word, "spent")
        most = min(escrow, LAST_MONEY - spent)
        for amount in {0, most, dice.randint(0, most)}:
            expected = put(word, escrow=escrow - amount, spent=spent + amount)
            assert library.charged(word, amount) == expected
        assert refusal(word, most + 1) == PANIC


# --- notes


def noting(contracts, notes):
    """Open an agreement with each of these notes; return product and sorted agreements."""
    product = contracts.add_product("NotingProduct")
    first = {}
    for note, device in zip(notes, MORE, strict=False):
        terms = encode(["uint80"], [note])
        mandate = contracts.mandate(product=product.address, device=device, terms=terms)
        first[contracts.open(mandate)] = note
        contracts.mint(10 * EURO, mandate.agreement_id())
    return product, dict(sorted(first.items()))


def heard(receipt):
    logs = [log for log in receipt.events if log.event_name == "NoteHeard"]
    return {bytes(log.agreement): log.note for log in logs}


def test_notes__of_each_agreement__come_back_with_each_quote(contracts, dice):
    product, notes = noting(contracts, [0, (1 << 80) - 1, value_of(dice, "note")])
    for sequence in range(1, 5):
        following = {agreement: value_of(dice, "note") for agreement in notes}
        claims = [
            contracts.claim(agreement, sequence, facts=encode(["int48", "uint80"], [5, note]))
            for agreement, note in following.items()
        ]
        settlement = contracts.settle(*claims, product=product)
        assert settlement.named == ["None"] * 3
        assert heard(settlement.receipt) == notes
        notes = following
        assert {a: contracts.rail.noteOf(a).note for a in notes} == notes
    contracts.assert_conserved()


def test_notes__over_skips_and_refusals__are_what_the_product_said_last(contracts):
    product, notes = noting(contracts, [7])
    (mine,) = notes
    every, flipped = (1 << 80) - 1, (1 << 80) - 1 - 7

    def settle(sequence, amount, note):
        row = contracts.claim(mine, sequence, facts=encode(["int48", "uint80"], [amount, note]))
        settlement = contracts.settle(row, product=product)
        return settlement.named[0], heard(settlement.receipt)[mine]

    def skip(sequence, last):
        arguments = skipping(contracts, mine, sequence, last)
        return heard(contracts.rail.skip(*arguments, sender=contracts.stranger))

    assert settle(1, 99 * EURO, 12) == ("EscrowShort", 7)
    assert contracts.rail.noteOf(mine).note == 7  # what a refusal says is not kept
    assert skip(1, 19) == {mine: 7}
    assert contracts.rail.noteOf(mine).note == flipped
    assert skip(2, 19) == {}  # it passes over no counters
    assert settle(3, EURO, every) == ("None", flipped)
    assert settle(4, -EURO, 3) == ("None", every)
    assert contracts.rail.noteOf(mine).note == 3


# --- caps and periods


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
