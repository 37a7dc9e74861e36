"""Attacks on a delivery that fail before the chain: routed elsewhere, or not counted.

Attacks that a hostile quorum could still try are in tests/contracts/test_delivery_attacks.py.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from device_adapters.keys import read_der
from device_adapters.protocols import epcis
from device_adapters.types import Curve, device_id
from oracles import rules
from oracles.citations import resolve
from oracles.routing import candidates, route
from oracles.types import Agreement, ClaimReason
from orchestrator.products.proof_of_delivery import product
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedLogger,
    SimulatedScanner,
    SimulatedTerminal,
)
from services.simulated_devices.station import ORDER
from tests.support.meter_streams import reasons

T = 1_777_636_800
GOODS, OTHER = SimulatedConsignment(17, units=100), SimulatedConsignment(18, units=100)


def _terms(goods: SimulatedConsignment) -> bytes:
    return product.parse_terms(
        {
            "consignment": goods.subject,
            "carrier": "truck-1",
            "sensor": "logger-1",
            "price": "1000",
            "quantity": "100",
            "shares": "20/50/30",
            "due": "2026-05-01T12:00Z",
            "deadline": "2026-05-08T12:00Z",
            "celsius": "2..8",
            "breach": "10",
            "breach_max": "10",
        }
    )


def _agreement(number: int, goods: SimulatedConsignment) -> Agreement:
    terms = _terms(goods)
    return Agreement(
        bytes([number]) * 32,
        "dock-1",
        device_id("dock-1"),
        product.NAME,
        terms,
        0,
        2**40,
        0,
        subject=product.subject(terms),
    )


class DeliveryChain:
    """The agreements of two consignments with one dock, and the keys of all devices."""

    def __init__(self, *stations) -> None:
        self.all = [_agreement(1, GOODS), _agreement(2, OTHER)]
        self._keys = {device_id(station.name): station.public for station in stations}

    def agreements_of(self, device):
        return [agreement for agreement in self.all if agreement.device_id == device]

    def agreements_about(self, subject):
        return [agreement for agreement in self.all if agreement.subject == subject]

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
            (SimulatedScanner, "truck-2"),
        )
    ]
    yield stations
    for station in stations:
        station.close()


def _screened(chain, records):
    events = [epcis.decode(record) for record in records]
    routed = [(event, route(event, candidates(event, chain))) for event in events]
    verdicts = rules.screen({}, routed, {}, {product.NAME: product})
    return [
        (target.stream, verdict.reason)
        for (_, target), verdict in zip(routed, verdicts, strict=True)
    ]


def _facts(terms, record, *others):
    event = epcis.decode(record)
    cited = resolve([event], map(epcis.decode, others))
    return product.decode_facts(product.derive(terms, None, [event], cited))


def test_carrier_only_payment__its_scan_status_and_gps__are_kept_and_never_claimed(cast):
    truck, *_ = cast
    chain = DeliveryChain(*cast)
    position = [{"sensorReport": [{"type": "Latitude", "component": "latitude", "value": 52.5}]}]
    records = [
        truck.pick_up(GOODS, T),
        truck.claim_delivered(GOODS, T + 1),
        truck.event(GOODS, "accepting", T + 2),
        truck.withdraw(truck.pick_up(GOODS, T), T),
        truck.event(GOODS, "arriving", T + 3, sensorElementList=position),
    ]
    assert _screened(chain, records) == [(False, None)] * 5  # supporting evidence, all of it


def test_carrier_only_payment__in_the_recipients_name__is_forged(cast):
    truck, _, dock, _ = cast
    document = dock.receive(GOODS, T).partition(b"\n")[2]
    forged = epcis.decode(truck.seal(document, 9, name="dock-1"))
    assert reasons([forged], DeliveryChain(*cast)) == [ClaimReason.SIGNATURE_FORGED]


def test_carrier_only_payment__its_own_receipt_confirmed_by_the_recipient__counts_no_unit(cast):
    truck, _, dock, _ = cast
    receipt = truck.claim_delivered(GOODS, T)
    facts = _facts(_terms(GOODS), dock.confirm(GOODS, T, seen=[receipt]), receipt)
    assert (facts.received, facts.accepted, facts.picked_up_at) == (0, 0, 0)


def test_pick_up_by_another_carrier__cited_by_the_recipient__counts_for_nothing(cast):
    *_, dock, stranger = cast
    scan = stranger.pick_up(GOODS, T)
    assert _facts(_terms(GOODS), dock.confirm(GOODS, T, seen=[scan]), scan).picked_up_at == 0


def test_carriers_own_thermometer__cited_by_the_recipient__proves_no_condition(cast):
    truck, logger, dock, _ = cast
    warm = SimulatedLogger.report(truck, GOODS, T, ["4"], ["1"])
    facts = _facts(_terms(GOODS), dock.receive(GOODS, T, seen=[warm]), warm)
    assert (facts.sensed, facts.min_centi_c, facts.max_centi_c) == (0, 0, 0)
    true = logger.report(GOODS, T, ["4"])
    assert _facts(_terms(GOODS), dock.receive(GOODS, T, seen=[true]), true).sensed == 1


def test_delivery__of_another_consignment__goes_to_its_own_agreement_or_to_none(cast):
    dock, chain = cast[2], DeliveryChain(*cast)
    events = [
        epcis.decode(dock.receive(goods, T)) for goods in (GOODS, OTHER, SimulatedConsignment(19))
    ]
    routed = [route(event, candidates(event, chain)).agreement for event in events]
    assert routed == [chain.all[0], chain.all[1], None]


def test_delivery__of_another_consignment_citing_this_pick_up__confirms_nothing(cast):
    truck, _, dock, _ = cast
    pick_up = truck.pick_up(GOODS, T)
    record = dock.confirm(OTHER, T, seen=[pick_up])
    event = epcis.decode(record)
    assert resolve([event], [epcis.decode(pick_up)]) == {}  # so the rail asks for it by name
    assert _facts(_terms(OTHER), record, pick_up).picked_up_at == 0


def test_high_s_twin__of_a_delivery_record__is_the_same_record(cast):
    dock, chain = cast[2], DeliveryChain(*cast)
    record = dock.receive(GOODS, T)
    first = epcis.decode(record)
    r, s = read_der(first.signed.signature_der)
    assert first.signed.curve is Curve.SECP256R1
    jws, _, document = record.partition(b"\n")
    raw = r.to_bytes(32, "big") + (ORDER - s).to_bytes(32, "big")
    twin = jws.rpartition(b".")[0] + b"." + urlsafe_b64encode(raw).rstrip(b"=") + b"\n" + document
    assert twin != record and reasons([epcis.decode(twin)], chain) == [None]
    assert _screened(chain, [record, twin]) == [(True, None), (True, ClaimReason.DUPLICATE)]
    assert _facts(_terms(GOODS), twin).digest == _facts(_terms(GOODS), record).digest


def test_counter_reused__for_another_record__is_named(cast):
    dock, chain = cast[2], DeliveryChain(*cast)
    record = dock.receive(GOODS, T, 40)
    fork = dock.seal(dock.receive(GOODS, T, 90).partition(b"\n")[2], dock.counter_of(record))
    assert _screened(chain, [record, fork])[1] == (True, ClaimReason.COUNTER_REPLAYED)
