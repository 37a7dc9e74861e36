"""A cloned device: two contents under one counter, or two places at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.types import Place
from oracles.places import LONGEST_TRIP_MS, Sighting, clash, metres_between, sighting
from orchestrator.edges.store import conflicts as store_conflicts
from services.simulated_devices.record import Point, units_of
from tests.support.meter_streams import event
from tests.support.small_dock import GOODS, SmallDock, T
from tests.support.small_intake import joined

BERLIN = Place("", 525_200_000, 134_050_000)
POTSDAM = Place("", 523_906_000, 130_645_000)
PERTH = Place("", -319_505_000, 1_158_605_000)


@pytest.fixture
def dock(tmp_path):
    small_dock = SmallDock(tmp_path)
    yield small_dock
    small_dock.close()


@pytest.fixture
def meter(dock):
    return dock.place.fleet["cp-0001"]


def fork(device, counter: int, units: int) -> bytes:
    """Sign another session with the device's key, under a counter that it has used."""
    points = [
        Point("B", device.now, device.register),
        Point("E", device.now + 3_600, device.register + units_of(units)),
    ]
    return device.forge(points, counter, device.key)


def conflicts(dock) -> list[tuple]:
    return dock.rows("SELECT reason, rejection_id FROM conflict ORDER BY rejection_id")


def test_attack__clone_with_a_fork_of_the_counters__is_noted_once_for_each_other_content(
    dock, meter
):
    records = meter.make_records(2)
    first_fork, second_fork = fork(meter, 2, 7), fork(meter, 2, 8)
    assert dock.place.answers(joined([*records, b"OCMF|?", first_fork, first_fork])) == [
        "accepted",
        "accepted",
        "malformed",
        "counter_replayed",
        "counter_replayed",
    ]
    assert conflicts(dock) == [("counter_replayed", 2)]
    dock.place.answers(first_fork)
    assert len(conflicts(dock)) == 1
    dock.place.answers(second_fork)
    assert conflicts(dock) == [("counter_replayed", 2), ("counter_replayed", 5)]
    with dock.place.store.read() as session:
        unreported = store_conflicts.unreported(session, 10)
    assert [(item[1], item[3]) for item in unreported] == [
        (records[1], first_fork),
        (records[1], second_fork),
    ]


def test_conflict__duplicate_or_forged_record__is_none(dock, meter):
    record = meter.make_records(1)[0]
    forged = meter.forge([Point("B", meter.now, 1)], 1, dock.place.fleet["cp-0002"].key)
    assert dock.place.answers(record, record, forged) == [
        "accepted",
        "duplicate",
        "signature_forged",
    ]
    assert conflicts(dock) == []


def _at(dock, place: str, at: int) -> bytes:
    """Return a record of the terminal at a place with these coordinates."""
    return dock.dock.event(GOODS, "receiving", at, readPoint={"id": place})


@pytest.mark.parametrize("together", [True, False])
def test_attack__clone_in_two_places_at_once__is_refused_and_noted(dock, together):
    dock.agree()
    berlin = _at(dock, "geo:52.52,13.405", T - 600)
    there = _at(dock, "geo:-31.9505,115.8605", T)
    if together:
        assert dock.take(berlin, there) == ["accepted", "two_places"]
    else:
        assert dock.take(berlin) == ["accepted"] and dock.take(there) == ["two_places"]
    assert dock.rows("SELECT reason FROM conflict") == [("two_places",)]
    assert dock.take(_at(dock, "geo:52.3906,13.0645", T)) == ["accepted"]  # a lorry can drive there


def test_two_places__far_apart_but_long_after__is_a_journey(dock):
    dock.agree()
    berlin = _at(dock, "geo:52.52,13.405", T - LONGEST_TRIP_MS // 1000)
    assert dock.take(berlin) == ["accepted"]
    assert dock.take(_at(dock, "geo:-31.9505,115.8605", T)) == ["accepted"]


# --- the rule itself


def _seen(place: Place, first_s: int, last_s: int | None = None) -> Sighting:
    return Sighting(place, first_s * 1000, (first_s if last_s is None else last_s) * 1000)


def test_distance__known_cities__is_what_maps_say():
    assert 26_000 < metres_between(BERLIN, POTSDAM) < 28_000
    assert 13_500_000 < metres_between(BERLIN, PERTH) < 13_700_000
    antipodes = Place("", 0, 0), Place("", 0, 1_800_000_000)
    assert 20_000_000 < metres_between(*antipodes) < 20_040_000


def test_clash__coordinates__farther_apart_than_anyone_can_travel_in_that_time():
    assert clash(_seen(BERLIN, 0), _seen(POTSDAM, 120)) == ""
    assert "m apart within 60 s" in clash(_seen(BERLIN, 0), _seen(POTSDAM, 60))
    assert clash(_seen(BERLIN, 0, 100), _seen(PERTH, 50)) != ""
    assert clash(_seen(BERLIN, 0), _seen(PERTH, 20 * 3_600)) == ""


def test_clash__names_alone__only_where_the_times_overlap():
    first, second = Place("DE*ABC*E1"), Place("DE*ABC*E2")
    assert clash(_seen(first, 0, 100), _seen(second, 99, 200)) != ""
    assert clash(_seen(first, 0, 100), _seen(second, 100, 200)) == ""
    assert clash(_seen(first, 0, 100), _seen(first, 50, 200)) == ""
    assert clash(_seen(first, 0, 100), _seen(Place(), 50, 200)) == ""


def test_clash__two_names_of_one_spot__is_none():
    gate, dock_ = replace(BERLIN, name="gate"), replace(BERLIN, name="dock")
    assert clash(_seen(gate, 0, 100), _seen(dock_, 50, 60)) == ""


@given(
    st.tuples(*[st.integers(-900_000_000, 900_000_000)] * 2),
    st.tuples(*[st.integers(-1_800_000_000, 1_800_000_000)] * 2),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_clash__any_two_sightings__is_the_same_both_ways(latitudes, longitudes, first, last):
    start, end = (Place("", lat, lon) for lat, lon in zip(latitudes, longitudes, strict=True))
    a, b = _seen(start, first), _seen(end, last)
    assert bool(clash(a, b)) == bool(clash(b, a))
    assert clash(a, a) == ""


def test_sighting__of_a_session__lasts_from_its_first_reading_to_its_last():
    session = replace(event(1, ("B", 0, 100), ("E", 5, 900)), place=Place("E1"))
    assert sighting(session) == Sighting(Place("E1"), 100_000, 900_000)
    assert sighting(event(1, ("B", 0, 100))) is None
