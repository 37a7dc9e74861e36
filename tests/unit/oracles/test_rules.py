"""The rules of a stream: the order of arrival does not matter, and no event counts twice."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import STREAM_BIT, Event
from oracles import rules
from oracles.routing import Route, route
from oracles.rules import Hole
from oracles.types import ClaimReason
from orchestrator.products.metered_energy import product
from tests.support.meter_streams import AGREEMENT, agreement, event, session

FISCAL = 1 << STREAM_BIT
IN_ORDER = SimpleNamespace(LATE=False)  # a product that takes no late events


def _screen(new, stored=None, last_claimed=-1, to=None, rules_=product) -> list[ClaimReason | None]:
    to = to or Route(agreement())
    claimed_to = {AGREEMENT: last_claimed}
    routed = [(item, to) for item in new]
    verdicts = rules.screen(stored or {}, routed, claimed_to, {"metered_energy": rules_})
    return [verdict.reason for verdict in verdicts]


def _runs(events, last_claimed=0, anchor=None, lost=(), contract=None) -> rules.Runs:
    return rules.runs(contract or agreement(), product, last_claimed, anchor, events, lost)


def _counters(events) -> list[int]:
    return [event.counter for event in events]


def test_screen__same_content_again__is_a_duplicate_also_within_one_batch():
    stored = {session(1).event_id: rules.content_id(session(1))}
    reasons = _screen([session(1), session(2), session(2)], stored)
    assert reasons == [ClaimReason.DUPLICATE, None, ClaimReason.DUPLICATE]


def test_screen__other_signature_over_the_same_content__is_a_duplicate():
    first = session(1)
    twin = replace(
        first,
        evidence=b"other bytes",
        signed=replace(first.signed, signature_der=b"the other valid one"),
    )
    assert twin.evidence_hash != first.evidence_hash
    assert _screen([first, twin]) == [None, ClaimReason.DUPLICATE]


def test_screen__same_counter_with_other_content__is_a_replay():
    assert _screen([session(1), session(1, register=5)]) == [None, ClaimReason.COUNTER_REPLAYED]


def test_screen__each_rule_of_the_agreement__has_its_own_name():
    late = session(3, seconds=2**32)
    faulty = event(9, ("B", 1, 1), refusals=("no_readings",))
    fiscal = session(9 + (1 << STREAM_BIT), seconds=1_000)
    events = [session(2), session(3), session(5), session(6, seconds=2**32), faulty, fiscal]
    to = Route(agreement(first_counter=2))
    reasons = _screen(events, last_claimed=4, to=to, rules_=IN_ORDER)
    assert reasons[:2] == [ClaimReason.BEFORE_AGREEMENT, ClaimReason.TOO_LATE]
    assert reasons[2:4] == [None, ClaimReason.AGREEMENT_NOT_LIVE]
    assert reasons[4:] == [ClaimReason.NOT_BILLABLE, ClaimReason.STREAM_NOT_AGREED]
    assert _screen([session(3), late], to=to) == [None, ClaimReason.COUNTER_REPLAYED]
    assert _screen([session(3)], last_claimed=4, to=to) == [None]  # the product is LATE
    assert _screen([session(1)], to=Route()) == [ClaimReason.NO_AGREEMENT]
    unknown = Route(agreement(product="tea"))
    assert _screen([session(1)], to=unknown) == [ClaimReason.NO_AGREEMENT]


def test_attack__voucher_that_pays_the_rail_itself__is_refused():
    """On 0.3.0 what the rail was paid stayed there for ever: it cannot withdraw."""
    rail = "0xAb" + "0" * 38
    deal = agreement(never_paid=frozenset({rail.lower()}))
    tap = session(1)
    for payee, reason in ((rail, ClaimReason.PAYEE_INVALID), ("0xcd" + "0" * 38, None)):
        paying = replace(tap, facts=tap.facts | {"payee": payee})
        assert _screen([paying], to=Route(deal)) == [reason]


def test_screen__an_event_that_is_not_taken__leaves_its_counter_free():
    """Otherwise a repetition in the same message would be reported as stored although it is not."""
    late = session(3, seconds=2**32)
    assert _screen([late, late, session(3), late]) == [
        ClaimReason.AGREEMENT_NOT_LIVE,
        ClaimReason.AGREEMENT_NOT_LIVE,
        None,
        ClaimReason.COUNTER_REPLAYED,
    ]


def test_screen__supporting_event__is_judged_by_the_agreement_s_end_alone():
    to = Route(agreement("OTHER", first_counter=50), stream=False)
    late = session(3, seconds=2**32)
    faulty = event(4, ("B", 1, 1), refusals=("no_readings",))
    assert _screen([session(1), late, faulty], last_claimed=60, to=to) == [
        None,
        ClaimReason.AGREEMENT_NOT_LIVE,
        None,
    ]


def test_attack__facts_before_the_start__are_refused_though_they_end_after_it():
    """On 0.3.0 an agreement had no start: a session of any earlier time was charged."""
    begun, ends = session(3, seconds=1_000), 10**12
    assert begun.facts["readings"][0]["at"] < begun.observed_at_ms
    between = (begun.facts["readings"][0]["at"] + begun.observed_at_ms) // 2_000
    first = begun.facts["readings"][0]["at"] // 1000
    for start, wanted in ((first, None), (between, ClaimReason.BEFORE_AGREEMENT)):
        to = Route(agreement(start=start, expires_at=ends))
        assert _screen([begun], to=to) == [wanted]


def test_attack__a_sensor_s_record_of_a_metered_device__is_stored_and_charges_nothing():
    """Its readings bear their times as text: one record stopped the intake of a whole rail."""
    readings = [{"at": "2027-01-01T00:00:00Z", "register": "temperature", "value": "21.5"}]
    sensed = replace(session(1), kind="sensor.reading", facts={"readings": readings})
    assert _screen([sensed, session(2)]) == [None, None]
    (dropped,) = _runs([sensed, session(2)]).dropped
    assert (dropped.event, dropped.reason) == (sensed, ClaimReason.KIND_NOT_PRICED)


def test_route__of_a_device_in_grace__is_the_agreement_of_the_event_s_time():
    """The next agreement may be open before the last one's grace is over."""
    ended = agreement(agreement=b"\x01" * 32, expires_at=5_000, grace=86_400)
    later = agreement(agreement=b"\x02" * 32, start=5_001)
    before, after = session(3, seconds=900), session(4, seconds=90_000)
    for event_, wanted in ((before, ended), (after, later)):
        assert wanted.covers(event_.observed_at_ms)
        assert route(event_, [later, ended]).agreement == wanted
        assert route(event_, [ended, later]).agreement == wanted
    assert ended.until == 91_400


def test_runs__a_hole__is_reported_and_nothing_behind_it_is_claimed():
    result = _runs([session(1), session(2), session(5), session(9)])
    assert _counters(result.run) == [1, 2]
    assert result.holes == (Hole(3, 4), Hole(6, 8))
    assert _counters(result.waiting) == [5, 9] and not result.dropped


def test_runs__a_hole_at_the_very_beginning__is_waited_for():
    assert _runs([session(2)]).holes == (Hole(1, 1),)
    assert not _runs([session(2)]).run


def test_runs__a_hole_partly_declared_lost__waits_for_the_rest():
    result = _runs([session(1), session(6)], lost=[(2, 3), (5, 5)])
    assert result.holes == (Hole(4, 4),)
    assert _counters(_runs([session(6)], 1, session(1), lost=[(2, 5), (3, 4)]).run) == [6]


def test_runs__counter_that_the_rail_cannot_keep__is_dropped_and_holds_up_nothing():
    most = (1 << 36) - 1
    large = [replace(session(2), counter=most + 1), replace(session(3), counter=FISCAL - 1)]
    assert _screen(large) == [ClaimReason.COUNTER_TOO_LARGE] * 2
    assert _screen([replace(session(2), counter=most)]) == [None]
    result = _runs(large[:1], 1, session(1), lost=[(2, most)])
    assert not result.run and not result.waiting
    assert [verdict.reason for verdict in result.dropped] == [ClaimReason.COUNTER_TOO_LARGE]


def test_runs__counters_of_the_other_stream__are_no_part_of_it():
    fiscal = event((1 << STREAM_BIT) + 1, ("", 5, 1_000))
    result = _runs([session(1), fiscal])
    assert _counters(result.run) == [1] and not result.holes and not result.waiting
    household = agreement(first_counter=1 << STREAM_BIT)
    assert _counters(_runs([session(1), fiscal], 1 << STREAM_BIT, contract=household).run) == [
        fiscal.counter
    ]


def test_runs__a_reading_above_the_fuse__is_dropped_and_splits_the_run():
    jump = event(2, ("B", 10**9, session(2).observed_at_ms // 1000))
    result = _runs([session(1), jump, session(3)])
    assert _counters(result.run) == [1]
    assert [(v.event.counter, v.reason) for v in result.dropped] == [
        (2, ClaimReason.IMPLAUSIBLE_READING)
    ]
    later = _runs([jump, session(3)], 1, session(1))
    assert _counters(later.run) == [3]
    assert [(v.event.counter, v.reason) for v in later.dropped] == [
        (2, ClaimReason.IMPLAUSIBLE_READING)
    ]


def _stream(seed: int, length: int) -> list[Event]:
    """Generate the stream of a faulty fleet: split sessions, jumps, faults, lost records."""
    chance = random.Random(seed)
    register, seconds, counter, events = 1_000_000, 1_790_000_000, 0, []
    while counter < length:
        pause, energy = chance.randrange(0, 4_000), chance.randrange(0, 2_000_000)
        begin = ("B", register, seconds + pause)
        seconds, register = seconds + pause + 600, register + energy
        end = (chance.choice("ELRAP"), register, seconds)
        pieces = [(begin, end)] if chance.random() < 0.5 else [(begin,), (end,)]
        for piece in pieces:
            counter += 1
            kind = chance.randrange(12)
            if kind == 0:
                continue  # lost
            if kind == 1:
                mark, value, at = piece[-1]
                piece = (*piece[:-1], (mark, value + chance.choice((10**9, -(10**6))), at))
            refusals = ("meter_status_not_ok",) if kind == 2 else ()
            events.append(event(counter, *piece, refusals=refusals))
    return events


def _all_claims(events, lost, pass_dropped: bool) -> tuple[list, dict]:
    """Claim until nothing is left; `pass_dropped` False: leave out events dropped before."""
    claimed, anchor, claims, dropped = 0, None, [], {}
    while True:
        shown = [e for e in events if pass_dropped or e.counter not in dropped]
        gone = [(c, c) for c in dropped]
        result = _runs(shown, claimed, anchor, [*lost, *gone])
        dropped |= {v.event.counter: v.reason for v in result.dropped}
        if not result.run:
            return claims, dropped
        claim = rules.derive_claim(agreement(), product, len(claims) + 1, anchor, result.run)
        claims.append(claim)
        claimed, anchor = result.run[-1].counter, result.run[-1]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30))
def test_runs__any_stream__order_of_arrival_and_memory_of_drops_change_nothing(seed, length):
    events = _stream(seed, length)
    shuffled = random.Random(seed + 1).sample(events, len(events))
    lost = rules.EVERYTHING
    claims, dropped = _all_claims(events, lost, pass_dropped=True)
    assert _all_claims(shuffled, lost, pass_dropped=False) == (claims, dropped)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30))
def test_runs__any_stream__every_claim_is_priced_and_every_event_has_one_end(seed, length):
    events = _stream(seed, length)
    claims, dropped = _all_claims(events, rules.EVERYTHING, pass_dropped=True)
    state, claimed = product.open(agreement().terms), []
    for claim in claims:
        _, refusal = product.price(state, agreement().terms, claim.facts, 2**48 - 1)
        assert not refusal, product.REFUSALS[refusal]
        state = product.advance(state, agreement().terms, claim.facts)
        claimed += range(claim.first_counter, claim.last_counter + 1)
    assert len(claimed) == len(set(claimed)) and not set(claimed) & set(dropped)
    last = claimed[-1] if claimed else 0
    assert {e.counter for e in events if e.counter <= last} <= set(claimed) | set(dropped)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 30), st.data())
def test_runs__seen_only_up_to_its_last_counter__is_the_same_run(seed, length, data):
    """An oracle judges a claim that the rail built when it already had later records."""
    events = _stream(seed, length)
    result = _runs(events, lost=rules.EVERYTHING)
    if result.run:
        upto = [e for e in events if e.counter <= result.run[-1].counter]
        assert _runs(upto, lost=rules.EVERYTHING).run == result.run


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30))
def test_runs__any_stream__every_missing_counter_stands_in_a_hole(seed, length):
    events = _stream(seed, length)
    holes = {c for h in _runs(events).holes for c in range(h.first, h.last + 1)}
    highest = max((e.counter for e in events), default=0)
    assert holes == set(range(1, highest + 1)) - {e.counter for e in events}


@pytest.mark.parametrize("mark", "CXSTELRAP")
def test_admit__a_session_reading_without_its_begin__is_incomplete(mark):
    alone = event(1, (mark, 5, 1_000))
    assert product.admit(agreement().terms, None, alone)[0] is ClaimReason.INCOMPLETE
    begin = event(1, ("B", 5, 900))
    gap = event(3, (mark, 5, 1_000))
    assert product.admit(agreement().terms, begin, gap)[0] is ClaimReason.INCOMPLETE
    refusal = product.admit(agreement().terms, begin, event(2, (mark, 5, 1_000)))
    # an error of the meter right after the begin leaves nothing that could be billed
    assert (refusal[0] if refusal else None) == (ClaimReason.NOT_BILLABLE if mark == "X" else None)


def test_admit__the_fuse__holds_to_the_milliwatt_hour():
    terms = product.encode_terms(product.EnergyTerms(300_000, 3_600))
    begin = event(1, ("B", 0, 1_000))
    most = 3_600 * (60 + 60) * 10 // 36
    assert product.admit(terms, begin, event(2, ("E", most, 1_060))) is None
    over = product.admit(terms, begin, event(2, ("E", most + 1, 1_060)))
    assert over is not None and over[0] is ClaimReason.IMPLAUSIBLE_READING


def test_admit__an_event_that_is_no_reading__is_not_priced():
    tap = replace(session(1), kind="wearable.tap")
    assert product.admit(agreement().terms, None, tap)[0] is ClaimReason.KIND_NOT_PRICED
