"""A metered fleet: how it is typed and shown, and the claims that follow each other."""

from __future__ import annotations

import pytest

from device_adapters.types import Rejected, device_id
from oracles.types import ClaimReason
from orchestrator.products.metered_fleet import product as fleet
from orchestrator.products.metered_fleet.product import FleetKind, FleetRow, FleetStep

STARTED = 1_767_225_600  # 2026-01-01T00:00Z
HOUR, LIMIT = 3_600, 2**47 - 1
WORDS = {
    "members": "flat-7,10,5000; flat-8,20,1.5",
    "price": "0.30",
    "fuse": "22000",
    "period": "1 hour",
    "started": "2026-01-01T00:00Z",
}
TERMS = fleet.parse_terms(WORDS)


def head(counter: int, hours: float, **changes):
    record = {"counter": counter, "at": STARTED + int(hours * HOUR)}
    return fleet.case_event(record | changes)


def reading(device: str, counter: int, hours: float, watt_hours: int, **changes):
    record = {"device": device, "counter": counter, "at": STARTED + int(hours * HOUR)}
    return fleet.case_event(record | {"mwh": watt_hours * 1000} | changes)


def derived(events, closing, anchor=None, terms=TERMS, before=None) -> bytes:
    cited = {event.evidence_name: event for event in events}
    return fleet.derive(terms, anchor, [closing], cited, before=before)


def steps(facts: bytes) -> tuple[FleetStep, ...]:
    return fleet.decode_facts(facts).steps


def test_claims__one_after_the_other__go_on_from_the_rows_before():
    first = derived([reading("flat-7", 12, 0.5, 5_000_500)], head(1, 1))
    events = [reading("flat-7", 14, 2, 5_001_500), reading("flat-8", 29, 1.5, 4_500)]
    second = derived(events, head(5, 2), head(1, 1), before=first)
    assert fleet.decode_facts(second).rows == (FleetRow(12, 5_000_500, 30), FleetRow(20, 1_500, 60))
    assert steps(second) == (FleetStep(2, 1_000, 0), FleetStep(9, 3_000, 30))
    state, amounts = fleet.open(TERMS), []
    for facts in (first, second):
        amount, refusal = fleet.price(state, TERMS, facts, LIMIT)
        assert refusal == 0
        state = fleet.advance(state, TERMS, facts)
        amounts.append(amount)
    assert amounts == [150_000, 1_200_000]


def test_rows_before__of_a_claim__derive_it_again():
    """Oracles and auditors have the claim alone; the rail has the one before it."""
    events = [reading("flat-7", 12, 0.5, 5_000_500)]
    first = derived(events, head(1, 1))
    assert derived(events, head(1, 1), before=fleet.rows_before(first)) == first
    more = [reading("flat-8", 29, 1.5, 4_500)]
    second = derived(more, head(5, 2), head(1, 1), before=first)
    assert derived(more, head(5, 2), head(1, 1), before=fleet.rows_before(second)) == second


@pytest.mark.parametrize("raw", [b"", b"\1" * 33])
def test_rows_before__of_bytes_that_are_no_facts__are_rejected(raw):
    with pytest.raises(Rejected):
        fleet.rows_before(raw)


def test_derive__rows_of_another_number_of_members__are_rejected_by_name():
    alone = fleet.parse_terms(WORDS | {"members": "flat-7,10,5000"})
    with pytest.raises(Rejected) as refusal:
        derived([], head(1, 2), before=derived([], head(1, 1), terms=alone))
    assert refusal.value.reason == ClaimReason.FACTS_MALFORMED


def test_derive__head_whose_clock_went_back__is_rejected_by_name():
    before = derived([], head(1, 3))
    with pytest.raises(Rejected) as refusal:
        derived([], head(2, 2), terms=fleet.reopened(TERMS), before=before)
    assert refusal.value.reason == ClaimReason.TIME_BACKWARDS


def test_reopened__the_next_record_of_the_head__reads_a_period_and_charges_nothing():
    state = fleet.advance(fleet.open(TERMS), TERMS, before := derived([], head(1, 1)))
    again = fleet.reopened(TERMS)
    assert fleet.admit(again, None, head(9, 1.1)) is None
    closing = head(9, 40)
    last = closing.observed_at_ms
    assert fleet.heard_period(again, None, [closing]) == (last - HOUR * 1000 + 1, last)
    facts = derived([reading("flat-7", 99, 39.5, 5_100_000)], closing, terms=again, before=before)
    assert fleet.decode_facts(facts).kind == FleetKind.READ
    assert fleet.price(state, TERMS, facts, LIMIT)[1] == 3  # nothing was passed over
    state = fleet.skip(state)
    assert fleet.price(state, TERMS, facts, LIMIT) == (0, 0)
    state = fleet.advance(state, TERMS, facts)
    assert state.rows == (FleetRow(99, 5_100_000, 30), FleetRow(20, 1_500, 40 * 60))
    assert "not charged" in fleet.format_facts(facts)["energy"]


def test_heard_period__of_a_claim__follows_the_one_before_it():
    first, second = head(1, 1), head(2, 2)
    assert fleet.heard_period(TERMS, None, [first]) == (STARTED * 1000, first.observed_at_ms)
    assert fleet.heard_period(TERMS, first, [second]) == (
        first.observed_at_ms + 1,
        second.observed_at_ms,
    )
    assert fleet.hears(TERMS) == {device_id("flat-7"), device_id("flat-8")}


@pytest.mark.parametrize(
    ("hours", "reason"),
    [(2, None), (1.99, ClaimReason.PERIOD_UNEXPECTED), (0.9, ClaimReason.TIME_BACKWARDS)],
)
def test_admit__record_of_the_head__ends_a_period_when_one_has_passed(hours, reason):
    refusal = fleet.admit(TERMS, head(1, 1), head(2, hours))
    assert (refusal and refusal[0]) == reason
    assert fleet.complete(TERMS, None, [head(1, 1), head(2, 2)]) == 1


def test_fiscal_records__of_members__count_where_the_heads_are_fiscal():
    events = [
        reading("flat-7", 11, 1, 5_000_100, stream="F"),
        reading("flat-8", 21, 1, 1_600),
    ]
    assert steps(derived(events, head(1, 1, stream="F"))) == (
        FleetStep(1, 100, 0),
        FleetStep(0, 0, 60),
    )


def test_newest_record__is_too_much__the_one_before_it_counts():
    events = [reading("flat-7", 11, 0.5, 5_000_100), reading("flat-7", 12, 1, 9_000_000)]
    assert steps(derived(events, head(1, 1)))[0] == FleetStep(1, 100, 30)


def test_members__of_a_csv_file__are_read_with_their_times_and_sorted_by_id():
    text = (
        "device,counter,register\r\n"
        "flat-8, 20, 1.5, 2025-12-31T23:15+00:00\n\n"
        f"0x{device_id('flat-7').hex()},10,5000.1239\n"
    )
    terms = fleet.decode_terms(fleet.parse_terms(WORDS | {"members": text}))
    assert terms.members == (
        (device_id("flat-7"), 10, 5_000_123, 0),
        (device_id("flat-8"), 20, 1_500, 45),
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"members": ""}, "no member"),
        ({"members": "flat-7,10"}, "not device, counter, register"),
        ({"members": "flat-7,10,1;flat-7,11,2"}, "twice"),
        ({"members": "flat-7,ten,1"}, "not a whole number"),
        ({"members": "flat-7,10,1.1234567"}, "decimals"),
        ({"members": "flat-7,2147483648,1"}, "more than a row holds"),
        ({"members": "flat-7,1,549755813.888"}, "more than a row holds"),
        ({"members": " ,1,1"}, "not the name or id"),
        ({"members": "flat-7,1,1,2026-01-01T00:01Z"}, "minutes before started"),
        ({"members": "flat-7,1,1,2025-11-01T00:00Z"}, "minutes before started"),
        ({"price": "-1"}, "price"),
        ({"price": "4294.967296"}, "too large"),
        ({"fuse": "0"}, "fuse"),
        ({"fuse": "4294967296"}, "too large"),
        ({"period": "59 seconds"}, "shorter than a minute"),
        ({"period": "a while"}, "period"),
        ({"started": "yesterday"}, "not a time"),
        ({"started": "2026-01-01T00:00"}, "without its zone"),
        ({"started": "1969-01-01T00:00Z"}, "when the start registers were read"),
        ({"register": "1-0:B2.8.0"}, "runs on"),
        ({"register": "nothing"}, "runs on"),
        ({"assurance": "none"}, "assurance"),
    ],
)
def test_parse_terms__word_that_is_wrong__is_named(words, named):
    with pytest.raises(Rejected) as refusal:
        fleet.parse_terms(WORDS | words)
    assert refusal.value.reason == ClaimReason.FACTS_MALFORMED
    assert named in refusal.value.detail


def test_format_terms__of_a_fleet__sums_its_meters_up():
    view = fleet.format_terms(fleet.parse_terms(WORDS | {"register": "1-0:2.8.0"}))
    assert view == {
        "price": "0.3 EUR/kWh",
        "meters": "2, together 5001.5 kWh at the start",
        "started": "2026-01-01T00:00:00Z",
        "fuse": "22000 W",
        "period": "at least 1 hour",
        "register": "01-00:02.08.00*FF",
        "assurance": "device",
    }
    assert fleet.format_price(TERMS, b"") == "0.3 EUR/kWh"
    facts = derived([reading("flat-7", 12, 0.5, 5_000_500)], head(1, 1))
    assert fleet.format_facts(facts) == {
        "energy": "0.5 kWh",
        "meters": "1 read, 1 silent",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-01T01:00:00Z",
    }


def test_energy_fed_into_the_grid__is_charged_where_the_terms_name_its_register():
    terms = fleet.parse_terms(WORDS | {"register": "1-0:2.8.0"})
    events = [
        reading("flat-7", 11, 1, 5_000_100, obis="01-00:02.08.00*00"),
        reading("flat-8", 21, 1, 1_600),
    ]
    assert steps(derived(events, head(1, 1), terms=terms))[0] == FleetStep(1, 100, 0)
    assert steps(derived(events, head(1, 1), terms=terms))[1].counters == 0
