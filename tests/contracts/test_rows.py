"""Rows: all of an agreement that a settlement changes, in one word, and the notes in it.

the word
├── each setter should change its own bits and no others, each getter should read its own
└── given a value that has too many bits: it should panic, so callers check before
notes: a product should get back with each quote what it said last, also over skips
"""

from __future__ import annotations

import random

import pytest
from eth_abi import encode

from tests.support.contracts.contract_rail import EURO, MORE
from tests.support.contracts.row_words import (
    FISCAL,
    LAST_MONEY,
    LAST_SEQUENCE,
    NUMBERS,
    PARTS,
    part,
    put,
)
from tests.support.contracts.settled import skipping

READ = [name for name in PARTS if name != "period"]
SETTERS = {
    "withSequence": "sequence",
    "withCounter": "counter",
    "withNote": "note",
    "withEscrow": "escrow",
    "withSpent": "spent",
    "withExpiryDay": "expiryDay",
}
PANIC = "execution reverted: panic: assertion failed (0x01)"
ROUNDS = 40


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


def test_charged__moves_escrow_to_spent__or_is_no_row(library, dice):
    for word in words(dice):
        escrow, spent = part(word, "escrow"), part(word, "spent")
        for cap in (LAST_MONEY, dice.randint(spent, LAST_MONEY), spent):
            most = min(escrow, cap - spent)
            for amount in {0, most, dice.randint(0, most)}:
                expected = put(word, escrow=escrow - amount, spent=spent + amount)
                assert library.charged(word, amount, cap) == expected
            for amount in (most + 1, LAST_MONEY + 1, (1 << 256) - 1):
                assert library.charged(word, amount, cap) == 0
        if spent:
            assert library.charged(word, 0, spent - 1) == 0


def test_ready__claims_that_nothing_speaks_against__and_no_others(library, dice):
    """Each number as it has to be, then one of them at fault."""
    for word in words(dice):
        word = put(word, status=1, sequence=dice.randrange(LAST_SEQUENCE), expiryDay=20_000)
        word = put(word, counter=dice.randrange(NUMBERS - 1))
        sequence, counter = part(word, "sequence") + 1, part(word, "counter")
        first = dice.randint(counter + 1, NUMBERS - 1)
        last = dice.randint(first, NUMBERS - 1)
        assert library.isReady(word, sequence, first, last, 19_999)
        assert library.isReady(word, sequence, counter + 1, counter + 1, 0)
        assert library.isReady(word, sequence, first, FISCAL + last, 19_999)
        for status in (0, 2, 3):
            assert not library.isReady(put(word, status=status), sequence, first, last, 19_999)
        for other in (0, sequence - 1, sequence + 1, sequence + (1 << 24), (1 << 32) - 1):
            assert not library.isReady(word, other, first, last, 19_999)
        assert not library.isReady(word, sequence, counter, last, 19_999)
        assert not library.isReady(word, sequence, 0, last, 19_999)
        assert not library.isReady(word, sequence, last + 1, last, 19_999)
        assert not library.isReady(word, sequence, first, NUMBERS, 19_999)
        assert not library.isReady(word, sequence, first, FISCAL + NUMBERS, 19_999)
        for day in (20_000, 20_001, 1 << 20):
            assert not library.isReady(word, sequence, first, last, day)
        spent = put(word, sequence=LAST_SEQUENCE)
        assert not library.isReady(spent, LAST_SEQUENCE + 1, first, last, 19_999)


@pytest.mark.parametrize(
    ("kept", "sequence", "expected"),
    [
        *((0, 1, True), (7, 8, True), (7, 7, False), (7, 9, False)),
        *((LAST_SEQUENCE - 1, LAST_SEQUENCE, True), (LAST_SEQUENCE, LAST_SEQUENCE + 1, False)),
    ],
)
def test_precedes__the_next_sequence__up_to_the_last_one(library, kept, sequence, expected):
    assert library.precedes(put(0, sequence=kept), sequence) is expected


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
