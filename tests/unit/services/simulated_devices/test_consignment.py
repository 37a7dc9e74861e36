"""What the devices around a consignment sign is genuine EPCIS that the product takes as meant."""

from __future__ import annotations

import pytest

from device_adapters.protocols import epcis
from device_adapters.types import device_id
from oracles.citations import resolve
from orchestrator.products.proof_of_delivery import product
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedLogger,
    SimulatedScanner,
    SimulatedTerminal,
)
from tests.support.meter_streams import reasons

T = 1_777_636_800
GOODS = SimulatedConsignment(17, units=100)
TERMS = product.parse_terms(
    {
        "consignment": GOODS.subject,
        "carrier": "truck-1",
        "sensor": "logger-1",
        "price": "1000",
        "quantity": "100",
        "shares": "20/50/30",
        "due": "2026-05-01T12:00Z",
        "deadline": "2026-05-08T12:00Z",
        "celsius": "2..8",
        "breach": "10",
        "shock": "5",
        "shock_breach": "15",
        "breach_max": "25",
    }
)


class ConsignmentKeys:
    def __init__(self, *stations) -> None:
        self._keys = {device_id(station.name): station.public for station in stations}

    def key_at(self, device, at_seconds):
        return self._keys[device]

    def compromised_since(self, device):
        return None


@pytest.fixture
def cast(tmp_path):
    stations = [
        kind(tmp_path / name, name, 7)
        for kind, name in (
            (SimulatedScanner, "truck-1"),
            (SimulatedLogger, "logger-1"),
            (SimulatedTerminal, "dock-1"),
        )
    ]
    yield stations
    for station in stations:
        station.close()


def _facts(record: bytes, *others: bytes):
    event = epcis.decode(record)
    assert product.admit(TERMS, None, event) is None
    cited = resolve([event], map(epcis.decode, others))
    return product.decode_facts(product.derive(TERMS, None, [event], cited))


def test_records__of_all_three__are_genuine_and_about_the_consignment(cast):
    truck, logger, dock = cast
    pick_up = truck.pick_up(GOODS, T - 9_000)
    trip = logger.report(GOODS, T - 100, ["3.5", "6", "-0.25"], ["1.2", "4"])
    records = [
        pick_up,
        trip,
        dock.receive(GOODS, T, 60, seen=(pick_up, trip)),
        dock.accept(GOODS, T),
    ]
    events = [epcis.decode(record) for record in records]
    assert reasons(events, ConsignmentKeys(*cast)) == [None] * 4
    assert {event.subject for event in events} == {GOODS.subject}
    assert [event.counter for event in events] == [1, 1, 1, 2]
    assert [dock.counter_of(record) for record in records] == [1, 1, 1, 2]
    assert events[2].cites == (events[0].names[0], events[1].names[0])
    assert len({event.place for event in events}) == 3


def test_records__of_the_terminal__have_the_facts_they_report(cast):
    truck, logger, dock = cast
    pick_up = truck.pick_up(GOODS, T - 9_000)
    trip = logger.report(GOODS, T - 100, ["3.5", "6", "-0.25"], ["1.2", "4"])
    part = _facts(dock.receive(GOODS, T, 60, seen=(pick_up, trip)), pick_up, trip)
    assert (part.received, part.delivered_at, part.picked_up_at) == (60, T, T - 9_000)
    assert (part.sensed, part.min_centi_c, part.max_centi_c, part.max_milli_g) == (
        3,
        -25,
        600,
        4_000,
    )
    whole = _facts(dock.accept(GOODS, T + 60))
    assert (whole.accepted, whole.accepted_at, whole.received) == (100, T + 60, 0)
    seen = _facts(dock.confirm(GOODS, T, seen=[pick_up]), pick_up)
    assert (seen.picked_up_at, seen.received, seen.accepted) == (T - 9_000, 0, 0)


def test_withdrawal__of_a_delivery_record__has_its_event_hash_and_the_same_facts(cast):
    truck, _, dock = cast
    pick_up = truck.pick_up(GOODS, T - 9_000)
    first = dock.receive(GOODS, T, 40, seen=[pick_up])
    reported, withdrawn = _facts(first, pick_up), _facts(dock.withdraw(first, T + 500), pick_up)
    assert (reported.withdrawn, withdrawn.withdrawn) == (False, True)
    unsigned = {"withdrawn": False, "signed_at": 0, "digest": b"", "r": b"", "s": b""}
    assert reported._replace(**unsigned) == withdrawn._replace(**unsigned)
    assert (reported.signed_at, withdrawn.signed_at) == (T, T + 500)


def test_epcis_station__restarted__continues_its_counter_and_keeps_unreceipted_records(
    cast, tmp_path
):
    truck, *_ = cast
    first = truck.pick_up(GOODS, T)
    truck.close()
    again = SimulatedScanner(tmp_path / "truck-1", "truck-1", 7)
    second = again.pick_up(GOODS, T + 1)
    assert [again.counter_of(record) for record in again.unreceipted()] == [1, 2]
    assert again.unreceipted() == [first, second]
    again.close()
