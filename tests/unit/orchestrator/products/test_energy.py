"""Metered energy at its limits: everything admitted is priced, and rounding never drifts."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Assurance, Event, Rejected
from oracles import rules
from oracles.types import ClaimReason
from orchestrator.products.metered_energy import product
from orchestrator.products.metered_energy.product import DatedPrice, EnergyFacts, EnergyTerms
from tests.support.meter_streams import IMPORT_NUMBER, SOME_DAY, agreement, event

LIMIT = 2**48 - 1
FUSE = 3_600  # a thousand mWh each second
ROUND = 3_000_000  # a register that goes round quickly
terms = st.builds(
    lambda price, continuous, start, rollover, later: EnergyTerms(
        price,
        FUSE,
        continuous,
        start,
        rollover,
        version=later[0],
        later_prices=tuple(DatedPrice(SOME_DAY + at, 10**5 * at) for at in sorted(later[1])),
    ),
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([0, 1_000_000]),
    st.sampled_from([0, ROUND]),
    st.one_of(
        st.sampled_from([(1, ()), (2, ()), (3, ())]),
        st.tuples(st.just(3), st.sets(st.integers(0, 1_500), max_size=7)),
    ),
)


def _greedy(chance: random.Random, energy_terms: EnergyTerms, sessions: bool) -> list[Event]:
    """Return a stream that takes what the fuse allows at every step, with and without the grace."""
    register, seconds, events, in_session = energy_terms.start_register, SOME_DAY, [], False
    actual = (register, seconds)
    for counter in range(1, chance.randrange(2, 25)):
        readings = []
        special = "" if sessions else chance.choice(("", "", "S", "X", "GX"))
        if special == "S":
            readings.append(("", *actual, "G"))
            later = actual[1] + chance.randrange(0, 600)
            most = 1_000 * (later - actual[1] + chance.choice((0, 60, 61)))
            readings.append(("", _round(energy_terms, actual[0] + most), later, "S"))
        for _ in range(chance.choice((1, 1, 2)) if special in ("", "GX") else 0):
            passed = chance.randrange(0, 90)
            seconds += passed
            register += 1_000 * (passed + chance.choice((0, 0, 59, 60, 61)))
            mark = chance.choice("CE" if in_session else "B") if sessions else ""
            in_session = mark in ("B", "C") and sessions
            readings.append((mark, _round(energy_terms, register), seconds))
        if "X" in special:
            register, seconds = chance.randrange(1_000), seconds + chance.randrange(90)
            readings.append(("", register, seconds, "X"))
        if special != "S":
            actual = (_round(energy_terms, register), seconds)
        events.append(event(counter, *readings))
    return events


def _round(energy_terms: EnergyTerms, register: int) -> int:
    return register % energy_terms.rollover_at if energy_terms.rollover_at else register


class ExpectedClaim(NamedTuple):
    """One claim of a stream: the run, its facts, its amount."""

    run: tuple[Event, ...]
    facts: EnergyFacts
    amount: int


def _settled(raw: bytes, events: list[Event], lost=rules.EVERYTHING):
    """Return the priced claims of a stream, what was dropped, and what waits."""
    deal, state, claimed, anchor = agreement(terms=raw), product.open(raw), 0, None
    claims, dropped = [], {}
    while True:
        stream = rules.runs(deal, product, claimed, anchor, events, lost)
        dropped |= {verdict.event.counter: verdict.reason for verdict in stream.dropped}
        if not stream.run:
            return claims, dropped, stream.waiting
        claim = rules.derive_claim(deal, product, len(claims) + 1, anchor, stream.run)
        amount, refusal = product.price(state, raw, claim.facts, LIMIT)
        assert not refusal, (product.REFUSALS[refusal], product.decode_facts(claim.facts))
        state, anchor = product.advance(state, raw, claim.facts), stream.run[-1]
        claimed = anchor.counter
        assert all(band.total >= 0 for band in state.bands)
        claims.append(ExpectedClaim(stream.run, product.decode_facts(claim.facts), amount))


@settings(max_examples=600, deadline=None)
@given(terms, st.integers(0, 10**9), st.booleans())
def test_admitted__a_stream_at_the_fuse__every_claim_is_priced_and_none_is_stuck(
    energy_terms, seed, sessions
):
    raw, chance = product.encode_terms(energy_terms), random.Random(seed)
    claims, _, waiting = _settled(raw, _greedy(chance, energy_terms, sessions))
    exact = sum(
        claim.facts.energy * energy_terms.price_at(claim.facts.from_time) for claim in claims
    )
    rest = _begins_with(energy_terms, claims)
    assert sum(claim.amount for claim in claims) == (rest + exact) // 1_000_000
    marks = [event.facts["readings"][-1]["mark"] for event in waiting]
    assert not marks or marks[-1] in ("B", "C"), "only an open session may wait"


def _begins_with(energy_terms: EnergyTerms, claims: list[ExpectedClaim]) -> int:
    """Return what the register leaves over of a minor unit (millionths) where charging begins."""
    if energy_terms.version < 3 or not claims:
        return 0
    register, price = energy_terms.start_register, energy_terms.price_per_kwh
    if not register:
        first = claims[0].facts
        register, price = first.from_register, energy_terms.price_at(first.from_time)
    elif energy_terms.later_prices:
        return 0  # no price is known yet
    return register * price % 1_000_000


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 899), st.booleans()), min_size=1, max_size=40))
def test_estimates__between_actual_readings__sum_up_to_what_the_meter_showed(steps):
    """The sum is the rise between the actual readings, regardless of the estimates in between."""
    raw = product.encode_terms(EnergyTerms(300_000, FUSE, True))
    register, at, events = 5_000, SOME_DAY, [event(1, ("", 5_000, SOME_DAY))]
    for counter, (rise, estimated) in enumerate(steps, start=2):
        if estimated:
            guess = ("", register + rise * 1_000, at + 900 * counter, "S")
            events.append(event(counter, ("", register, at, "G"), guess))
        else:
            register, at = register + rise * 1_000, SOME_DAY + 900 * 50 + 900 * counter
            events.append(event(counter, ("", register, at)))
    events.append(event(len(events) + 1, ("", register, at + 10**6)))
    claims, dropped, _ = _settled(raw, events)
    assert not dropped
    assert sum(claim.facts.energy for claim in claims) == register - 5_000


def test_complete__two_sessions_that_share_one_grace__become_two_claims():
    """Each fits the fuse by itself; together they would use the contract's minute twice."""
    raw = product.encode_terms(EnergyTerms(300_000, FUSE))
    first = event(1, ("B", 0, SOME_DAY), ("E", 60_000, SOME_DAY))
    second = event(2, ("B", 60_000, SOME_DAY), ("E", 120_000, SOME_DAY))
    assert product.admit(raw, None, first) is None and product.admit(raw, first, second) is None
    assert product.complete(raw, None, [first, second]) == 1
    assert product.complete(raw, first, [second]) == 1


def test_admit__the_grace__is_not_granted_again_within_a_session():
    raw = product.encode_terms(EnergyTerms(300_000, FUSE))
    begin = event(1, ("B", 0, SOME_DAY))
    first = event(2, ("C", 60_000, SOME_DAY))
    second = event(3, ("E", 60_001, SOME_DAY))
    assert product.admit(raw, begin, first) is None
    refusal = product.admit(raw, first, second)
    assert refusal is not None and refusal[0] is ClaimReason.IMPLAUSIBLE_READING


def test_admit__a_record_that_ends_one_session_and_begins_another__is_not_billable():
    raw = product.encode_terms(EnergyTerms(300_000, FUSE))
    two = event(1, ("B", 0, SOME_DAY), ("E", 5, SOME_DAY), ("B", 5, SOME_DAY))
    refusal = product.admit(raw, None, two)
    assert refusal is not None and refusal[0] is ClaimReason.NOT_BILLABLE


def test_admit__continuous_with_a_start_register__the_first_step_counts_from_there():
    raw = product.encode_terms(EnergyTerms(300_000, FUSE, True, 1_000))
    assert product.admit(raw, None, event(1, ("", 61_000, SOME_DAY))) is None
    over = product.admit(raw, None, event(1, ("", 61_001, SOME_DAY)))
    under = product.admit(raw, None, event(1, ("", 999, SOME_DAY)))
    assert over is not None and over[0] is ClaimReason.IMPLAUSIBLE_READING
    assert under is not None and under[0] is ClaimReason.REGISTER_BACKWARDS


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), min_size=2, max_size=25))
def test_late__sessions_lost_and_found_and_sent_again__never_exceed_what_the_register_showed(steps):
    """Each late session is offered twice, as a hostile quorum might: the limit holds."""
    raw = product.encode_terms(EnergyTerms(1_000_000, 2**32 - 1, start_register=1))
    sessions, register = [], 1
    for counter, (energy, lost) in enumerate(steps, start=1):
        at = SOME_DAY + counter * 7_200
        session = event(counter, ("B", register, at), ("E", register + energy, at + 60))
        sessions.append((session, lost))
        register += energy + 1
    state, paid, anchor = product.open(raw), 0, None
    for session in (session for session, lost in sessions if not lost):
        facts = product.derive(raw, anchor, [session], {})
        amount, refusal = product.price(state, raw, facts, LIMIT)
        assert not refusal
        state, anchor, paid = product.advance(state, raw, facts), session, paid + amount
    shown = state.bands[0].register - 1  # a micro-euro for each milliwatt-hour
    reached = [s for s, lost in sessions if lost and anchor and s.counter < anchor.counter]
    once = paid + sum(
        session.facts["readings"][1]["register"] - session.facts["readings"][0]["register"]
        for session in reached
    )
    for turn, session in enumerate([*reached, *reached]):
        facts = product.derive(raw, None, [session], {}, True)
        amount, refusal = product.price(state, raw, facts, LIMIT, True)
        assert not refusal and amount >= 0
        state, paid = product.advance(state, raw, facts, True), paid + amount
        if turn + 1 == len(reached):
            assert paid == once  # every session in full, the first time
    assert paid <= max(shown, 0)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ({"price": "0.30"}, "fuse"),
        ({"fuse": "22000"}, "price"),
        ({"price": "0.30", "fuse": "22 kW"}, "fuse"),
        ({"price": "0.30", "fuse": "0"}, "fuse"),
        ({"price": "0.3000001", "fuse": "22000"}, "price"),
        ({"price": "-1", "fuse": "22000"}, "price"),
        ({"price": "1e3", "fuse": "22000"}, "price"),
        ({"price": "0.30", "fuse": "22000", "continuous": "maybe"}, "continuous"),
        ({"price": "0.30", "fuse": "22000", "start": ""}, "start"),
        ({"price": "0.30", "fuse": "22000", "start": "5", "rollover": "5"}, "rollover"),
        ({"price": "0.30", "fuse": "22000", "colour": "red"}, "colour"),
        ({"price": "0.30", "fuse": "22000", "export": "maybe"}, "export"),
        ({"price": "0.30", "fuse": "22000", "assurance": "bank"}, "assurance"),
    ],
)
def test_parse_terms__a_word_that_is_wrong__is_named(words, wrong):
    with pytest.raises(Rejected) as refused:
        product.parse_terms(words)
    assert refused.value.reason is ClaimReason.FACTS_MALFORMED and wrong in refused.value.detail


def test_parse_terms__all_words__are_exact_and_formatted_as_they_were_typed():
    words = {"price": "0.300001", "fuse": "22000", "continuous": "yes"}
    words |= {"start": "12.5", "rollover": "1000000"}
    raw = product.parse_terms(words)
    assert product.decode_terms(raw) == EnergyTerms(300_001, 22_000, True, 12_500_000, 10**12)
    assert product.format_terms(raw) == {
        "price": "0.300001 EUR/kWh",
        "fuse": "22000 W",
        "continuous": "yes",
        "export": "no",
        "assurance": "device",
        "start": "12.5 kWh",
        "rollover": "1000000 kWh",
    }


def test_format_facts__a_credit__shows_its_sign_and_the_kind_of_reading():
    facts = EnergyFacts(1_250_000, 1_750_000, -1_000_001, 0, SOME_DAY, version=1)
    assert product.format_facts(product.encode_facts(facts)) == {
        "register": "1.25 -> 1.75 kWh",
        "energy": "-1.000001 kWh",
        "from": "1970-01-01T00:00:00Z",
        "to": "2026-09-21T14:13:20Z",
        "reading": "actual",
    }


@pytest.mark.parametrize("energy", [-(2**63), -1, 0, 2**63 - 1])
@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("version", [1, 2, 3])
def test_facts__any_energy_and_kind__come_back_as_they_were(energy, kind, version):
    register = IMPORT_NUMBER if version > 1 else 0
    latest = 2 ** (32 if version > 2 else 40) - 1
    facts = EnergyFacts(2**64 - 1, 0, energy, latest, 0, kind, register, version=version)
    assert product.decode_facts(product.encode_facts(facts)) == facts


@pytest.mark.parametrize(
    ("word", "value"), [(2, 2**63), (2, 2**255), (5, 4), (5, 2**255), (0, 2**64)]
)
def test_decode_facts__a_word_beyond_its_type__is_rejected(word, value):
    raw = bytearray(product.encode_facts(EnergyFacts(0, 0, 0, 0, 0, version=1)))
    raw[32 * word : 32 * word + 32] = value.to_bytes(32, "big")
    with pytest.raises(Rejected):
        product.decode_facts(bytes(raw))


@pytest.mark.parametrize("status", ["S", "X"])
def test_admit__an_estimate_or_a_new_meter_in_a_session__is_not_billable(status):
    raw = product.encode_terms(EnergyTerms(300_000, FUSE, True))
    refusal = product.admit(raw, None, event(1, ("B", 0, SOME_DAY), ("E", 10, SOME_DAY, status)))
    assert refusal is not None and refusal[0] is ClaimReason.NOT_BILLABLE


def test_derive__a_late_session_where_every_step_is_charged__is_too_late():
    raw = product.encode_terms(EnergyTerms(300_000, FUSE, True))
    late = event(2, ("B", 0, SOME_DAY), ("E", 10, SOME_DAY))
    with pytest.raises(Rejected) as refused:
        product.derive(raw, None, [late], {}, True)
    assert refused.value.reason is ClaimReason.TOO_LATE


@pytest.mark.parametrize("continuous", [True, False])
def test_complete__a_register_that_goes_round_twice__is_claimed_in_parts(continuous):
    """The contract sees where a claim begins and ends, and counts one round at most."""
    raw = product.encode_terms(EnergyTerms(300_000, FUSE, continuous, 0, 1_000))
    registers = (0, 700, 400, 100, 50)
    events = [event(n, ("", r, SOME_DAY + n)) for n, r in enumerate(registers, start=1)]
    claims, dropped, _ = _settled(raw, events)
    assert not dropped and len(claims) > 1
    assert sum(claim.facts.energy for claim in claims) == 700 * 3 + 950


def words_of(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


# as releases 0.3.0 and 0.4.0 wrote them
RELEASED_TERMS = words_of(300_000, 22_000, 1, 12_500_000, 10**12)
RELEASED_FACTS = words_of(12_500_000, 13_000_000, 500_000, SOME_DAY, SOME_DAY + 900, 0)


def test_version_1__as_it_was_released__is_read_shown_and_written_again():
    agreed = product.decode_terms(RELEASED_TERMS)
    assert agreed == EnergyTerms(300_000, 22_000, True, 12_500_000, 10**12, version=1)
    assert product.encode_terms(agreed) == RELEASED_TERMS
    assert product.format_terms(RELEASED_TERMS)["assurance"] == "device"
    facts = product.decode_facts(RELEASED_FACTS)
    assert facts.register == 0 and product.encode_facts(facts) == RELEASED_FACTS
    assert "obis" not in product.format_facts(RELEASED_FACTS)
    assert product.price(product.open(RELEASED_TERMS), RELEASED_TERMS, RELEASED_FACTS, LIMIT) == (
        150_000,
        0,
    )


def test_version_1__its_agreement__gets_facts_of_version_1_and_prices_no_others():
    events = [event(1, ("", 12_600_000, SOME_DAY + 900))]
    raw = product.derive(RELEASED_TERMS, None, events, {})
    assert len(raw) == len(RELEASED_FACTS) == 192
    newer = product.encode_facts(
        product.decode_facts(raw)._replace(version=3, register=IMPORT_NUMBER)
    )
    state = product.open(RELEASED_TERMS)
    assert product.price(state, RELEASED_TERMS, raw, LIMIT)[1] == 0
    assert product.price(state, RELEASED_TERMS, newer, LIMIT) == (0, 2)
    with pytest.raises(Rejected, match="cannot say"):
        product.encode_terms(EnergyTerms(1, 1, export=True, version=1))


@pytest.mark.parametrize("version", [2, 3])
def test_format_facts__from_version_2_on__name_the_register_and_its_direction(version):
    facts = EnergyFacts(0, 1, 1, 0, 60, register=IMPORT_NUMBER, version=version)
    assert product.format_facts(product.encode_facts(facts))["obis"] == "01-00:01.08.00*FF (import)"


@pytest.mark.parametrize("least", tuple(Assurance))
@pytest.mark.parametrize("given_assurance", tuple(Assurance))
def test_admit__assurance__is_taken_where_it_is_at_least_what_the_terms_ask(least, given_assurance):
    raw = product.encode_terms(EnergyTerms(1, FUSE, assurance=least.number))
    record = replace(event(1, ("", 5, SOME_DAY)), assurance=given_assurance)
    refusal = product.admit(raw, None, record)
    if given_assurance.number <= least.number:
        assert refusal is None
    else:
        assert refusal is not None and refusal[0] is ClaimReason.ASSURANCE_TOO_LOW
        assert given_assurance in refusal[1] and least in refusal[1]
