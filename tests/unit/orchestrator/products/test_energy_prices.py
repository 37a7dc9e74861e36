"""Prices of metered energy: how they are typed, shown and packed; which one a claim counts at."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Rejected
from oracles.types import ClaimReason
from orchestrator.products.metered_energy import gaps, product
from orchestrator.products.metered_energy.product import (
    BandStep,
    DatedPrice,
    EnergyFacts,
    EnergyTerms,
    ReadingKind,
    TariffBand,
)
from tests.support.meter_streams import IMPORT_NUMBER, SOME_DAY, event

LIMIT = 2**48 - 1
PLAIN = {"price": "0.30", "fuse": "22000"}
NEW_YEAR = 1_798_758_000  # 2027-01-01T00:00+01:00
DATED = "0.30, 0.34 from 2027-01-01T00:00+01:00, 0.29 from 2027-04-01T00:00+02:00"
BANDED = "2: 0.28; 1: 0.34, 0.36 from 2027-01-01T00:00+01:00"


def test_parse_terms__dated_prices__are_kept_and_shown_in_order_of_time():
    raw = product.parse_terms(PLAIN | {"price": DATED})
    terms = product.decode_terms(raw)
    assert terms.prices == (
        DatedPrice(0, 300_000),
        DatedPrice(NEW_YEAR, 340_000),
        DatedPrice(NEW_YEAR + 90 * 86_400 - 3_600, 290_000),
    )
    assert product.format_terms(raw)["price"] == (
        "0.3 EUR/kWh, 0.34 EUR/kWh from 2026-12-31T23:00:00Z, "
        "0.29 EUR/kWh from 2027-03-31T22:00:00Z"
    )
    prices = [terms.price_at(at) for at in (0, NEW_YEAR - 1, NEW_YEAR, 2**32)]
    assert prices == [300_000, 300_000, 340_000, 290_000]


def test_parse_terms__tariff_registers__have_prices_and_starts_of_their_own():
    words = PLAIN | {"price": BANDED, "start": "1: 12.5", "continuous": "yes"}
    raw = product.parse_terms(words | {"started": "2026-12-01T00:00Z"})
    terms = product.decode_terms(raw)
    assert (terms.band, terms.start_register, terms.price_per_kwh) == (1, 12_500_000, 340_000)
    assert terms.later_prices == (DatedPrice(NEW_YEAR, 360_000),)
    assert terms.more_bands == (TariffBand(2, 0, (DatedPrice(0, 280_000),)),)
    view = product.format_terms(raw)
    assert view["price"] == (
        "1: 0.34 EUR/kWh, 0.36 EUR/kWh from 2026-12-31T23:00:00Z; 2: 0.28 EUR/kWh"
    )
    assert (view["start"], view["started"]) == ("1: 12.5 kWh; 2: 0 kWh", "2026-12-01T00:00:00Z")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"price": "0.30 from 2027-01-01T00:00Z"}, "leave out its date"),
        ({"price": "0.30, 0.34"}, "order of time"),
        ({"price": "0.30, 0.34 from 2027-01-01"}, "without its zone"),
        ({"price": "0.30, 0.34 from tomorrow"}, "not a time"),
        ({"price": "0.30, 0.34 from 2107-01-01T00:00Z"}, "does not fit"),
        ({"price": "4294.967296"}, "at most 4294.967295 EUR/kWh"),
        ({"price": ""}, "price"),
        ({"price": "1: 0.3; 1: 0.4", "continuous": "yes"}, "a band twice"),
        ({"price": "0: 0.3; 1: 0.4", "continuous": "yes"}, "band 0 is the total"),
        ({"price": "1: 0.3; 2: 0.4"}, "need continuous terms"),
        ({"price": "256: 0.3", "continuous": "yes"}, "price"),
        ({"price": "; ".join(f"{n}: 0.3" for n in range(1, 6)), "continuous": "yes"}, "4 tariff"),
        (
            {"price": "0.3" + "".join(f", 0.3 from {y}-01-01T00:00Z" for y in range(2030, 2038))},
            "8",
        ),
        ({"start": "2: 5"}, "band 2, which has no price"),
        ({"started": "2027-01-01"}, "without its zone"),
    ],
)
def test_parse_terms__prices_that_make_no_sense__are_rejected_by_name(changes, named):
    with pytest.raises(Rejected) as refused:
        product.parse_terms(PLAIN | changes)
    assert refused.value.reason is ClaimReason.FACTS_MALFORMED
    assert named in refused.value.detail


def test_format_price__of_a_claim__is_the_price_at_its_begin_in_each_band():
    dated = product.parse_terms(PLAIN | {"price": DATED})
    facts = EnergyFacts(0, 1, 1, NEW_YEAR - 1, NEW_YEAR + 900, register=IMPORT_NUMBER)
    assert product.format_price(dated, product.encode_facts(facts)) == "0.3 EUR/kWh"
    later = product.encode_facts(facts._replace(from_time=NEW_YEAR))
    assert product.format_price(dated, later) == "0.34 EUR/kWh"
    banded = product.parse_terms(PLAIN | {"price": BANDED, "continuous": "yes"})
    assert product.format_price(banded, later) == "1: 0.36 EUR/kWh; 2: 0.28 EUR/kWh"


@given(
    st.lists(st.integers(1, 255), min_size=2, max_size=4, unique=True),
    st.integers(-(2**63), 2**63 - 1),
)
def test_facts__of_several_bands__come_back_as_they_were_and_are_shown(bands, energy):
    first, *more = sorted(bands)
    steps = tuple(BandStep(IMPORT_NUMBER | n << 8, n, 2**64 - 1, energy) for n in more)
    facts = EnergyFacts(0, 1, energy, 5, 2**32 - 1, 0, IMPORT_NUMBER | first << 8, steps)
    raw = product.encode_facts(facts)
    assert product.decode_facts(raw) == facts
    assert len(product.format_facts(raw)["obis"].split("; ")) == len(bands)


@pytest.mark.parametrize("length", [0, 9, 10, 39, 41, 69, 71])
def test_decode_facts__of_another_length__is_rejected(length):
    with pytest.raises(Rejected):
        product.decode_facts((b"\3" * 200)[:length])


@given(st.lists(st.integers(0, 10**6), max_size=60), st.integers(0, 10**7))
def test_price__any_split_of_the_same_energy__costs_the_same(pieces, price):
    raw = product.encode_terms(EnergyTerms(price, 2**32 - 1))
    state, total, register = product.open(raw), 0, 0
    for number, piece in enumerate(pieces):
        facts = EnergyFacts(
            register, register + piece, piece, number, number + 1, register=IMPORT_NUMBER
        )
        amount, refusal = product.price(state, raw, product.encode_facts(facts), LIMIT)
        assert not refusal
        state = product.advance(state, raw, product.encode_facts(facts))
        total, register = total + amount, register + piece
    assert total == sum(pieces) * price // 1_000_000


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**48),
    st.booleans(),
)
def test_price__claims_in_a_row__telescope_to_what_the_first_and_last_register_are_worth(
    steps, price, first, known
):
    """The sum is floor(last x price) - floor(first x price), with or without a start register.

    An agreement that goes on at the register where another one ended therefore charges what one
    agreement would have charged.
    """
    start = first if known else 0
    raw = product.encode_terms(EnergyTerms(price, 2**32 - 1, True, start_register=start))
    state, total, register, ahead = product.open(raw), 0, first, 0
    for rise, estimated in [*steps, (0, False)]:  # the last reading corrects the last estimate
        kind = ReadingKind.ESTIMATED if estimated else ReadingKind.ACTUAL
        last = register + rise
        facts = product.encode_facts(
            EnergyFacts(register, last, rise - ahead, 0, 0, kind, IMPORT_NUMBER)
        )
        amount, refusal = product.price(state, raw, facts, LIMIT)
        assert not refusal, product.REFUSALS[refusal]
        state, total = product.advance(state, raw, facts), total + amount
        register, ahead = (register, rise) if estimated else (last, 0)
    assert total == register * price // 1_000_000 - first * price // 1_000_000
    assert state.bands[0].remainder == register * price % 1_000_000


def test_complete__a_record_after_the_date__is_not_part_of_the_run_before_it():
    terms = product.encode_terms(
        EnergyTerms(300_000, 22_000, True, later_prices=(DatedPrice(SOME_DAY + 1_000, 1),))
    )
    events = [event(n, ("", n * 1_000, SOME_DAY + 400 * n)) for n in range(1, 6)]
    assert [product.complete(terms, None, events[:n]) for n in range(1, 6)] == [1, 2, 3, 3, 3]
    assert product.complete(terms, events[2], events[3:]) == 2
    assert product.complete(terms, events[1], events[2:]) == 1  # the step over the date is old


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9))
def test_open_gaps__after_any_claims__are_those_that_a_set_of_counters_leaves(seed):
    """A late claim fits an open gap exactly where no claim took its counters, newest gaps first."""
    chance, taken, top, claims = random.Random(seed), set(), 0, []
    for _ in range(chance.randrange(1, 30)):
        open_now = gaps.open_gaps(0, claims)
        if open_now and chance.random() < 0.5:
            low, high = chance.choice(open_now)
            first = chance.randint(low, high)
            last = chance.randint(first, high)
        else:
            first = top + chance.randrange(1, 5)
            last = top = first + chance.randrange(3)
        assert taken.isdisjoint(range(first, last + 1))
        taken |= set(range(first, last + 1))
        claims.append((first, last))
    found = gaps.open_gaps(0, claims)
    assert len(found) <= gaps.MOST_GAPS and found == sorted(found)
    for low, high in found:
        assert taken.isdisjoint(range(low, high + 1))
        assert (low == 1 or low - 1 in taken) and high + 1 in taken
    if found:  # claims above a counter are enough to know the gaps above it
        above = found[-1][0] - 1
        assert gaps.open_gaps(above, [c for c in claims if c[1] > above])[-1] == found[-1]


def test_open_gaps__a_claim_that_no_gap_holds__is_not_taken():
    assert gaps.without([(5, 9)], 4, 6) is None
    assert gaps.without([(5, 9)], 5, 9) == []
    assert gaps.without([(5, 9), (20, 22)], 7, 7) == [(5, 6), (8, 9), (20, 22)]
