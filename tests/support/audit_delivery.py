"""A delivery on a real node: the dock's record (EPCIS 1.2 in XML) cites truck and logger (JSON)."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from device_adapters.protocols import epcis
from device_adapters.types import device_id
from oracles.citations import cited_events, resolve
from oracles.hearing import hearing, with_heard
from oracles.rules import derive_claim
from oracles.types import Agreement
from orchestrator.core import ledger as books
from orchestrator.core.audit import Parts
from orchestrator.core.identity import payment_id
from orchestrator.core.outcome import Window
from orchestrator.edges.chain.proof import proofs
from orchestrator.products import products
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedLogger,
    SimulatedScanner,
    SimulatedTerminal,
)
from services.simulated_devices.station import Station
from tests.support.audit_files import booked_by, chained
from tests.support.audit_node import AuditNode
from tests.support.audit_rail import ORACLES, START, AuditRail
from tests.support.epcis_xml import xml_receipt
from tests.support.real_chain import reader_of

GOODS = SimulatedConsignment(7, units=100)
NAME, PRICE, WINDOW = "proof_of_delivery", 1_000_000_000, 3600
_TERMS = {
    "consignment": GOODS.subject,
    "carrier": "truck-1",
    "sensor": "logger-1",
    "price": "1000.00",
    "quantity": "100",
    "shares": "20/50/30",
    "due": "2025-10-10T12:00:00Z",
    "deadline": "2025-10-12T12:00:00Z",
    "celsius": "2..8",
    "breach": "10",
    "breach_max": "10",
}


class Enrolled:
    """A simulated station as the rail of these tests enrols devices."""

    def __init__(self, station: Station) -> None:
        self.station, self.name, self.id = station, station.name, device_id(station.name)

    def point(self) -> tuple[bytes, bytes]:
        key = self.station.public
        return key.x.to_bytes(32, "big"), key.y.to_bytes(32, "big")

    def sign(self, digest: bytes) -> tuple[bytes, bytes]:
        r, s = self.station.sign_digest(digest)
        return r.to_bytes(32, "big"), s.to_bytes(32, "big")


def hearing_rules() -> Any:
    """The rules of a delivery, if its claims heard all that the truck records in a minute or two.

    The truck's second pick-up is in that time, and its first is not.
    """
    period = (START + 1_650) * 1000, (START + 1_750) * 1000
    hears = {"hears": lambda terms: {device_id("truck-1")}, "heard_period": lambda *run: period}
    return SimpleNamespace(**vars(products()[NAME]) | hears)


@lru_cache(maxsize=2)
def delivered(hears: bool = False) -> tuple[Parts, bytes]:
    """(the parts of the bundle of the one payment, another pick-up that nobody cited)

    hears: that pick-up is part of the claim all the same, by `hearing_rules`.
    """
    node = AuditNode("--timestamp", str(START))
    with tempfile.TemporaryDirectory(prefix="delivery-") as folder:
        stations = [
            kind(Path(folder) / name, name, 7)
            for kind, name in (
                (SimulatedTerminal, "dock-1"),
                (SimulatedScanner, "truck-1"),
                (SimulatedLogger, "logger-1"),
            )
        ]
        try:
            rules = hearing_rules() if hears else products()[NAME]
            return _build(rules, AuditRail(node.ready()), *stations)
        finally:
            node.stop()
            for station in stations:
                station.close()


def _build(
    rules: Any,
    rail: AuditRail,
    dock: SimulatedTerminal,
    truck: SimulatedScanner,
    logger: SimulatedLogger,
) -> tuple[Parts, bytes]:
    product = rail.deploy(rules.CONTRACT, ["address"] * 2, [rail.rail, rail.registry])
    rail.send(rail.rail, "allowProduct(address)", [product])
    enrolments = [rail.enrol(Enrolled(station)) for station in (dock, truck, logger)]
    rail.mine(START + 1_000)
    terms = rules.parse_terms(_TERMS)
    deal = rail.deal(
        Enrolled(dock),
        1,
        product=product.lower(),
        cap=PRICE,
        firstCounter=0,
        terms="0x" + terms.hex(),
    )
    opened = rail.open(deal)
    rail.mine()
    rail.fund(deal, PRICE)
    left, trip = truck.pick_up(GOODS, START + 1_500), logger.report(GOODS, START + 1_600, ["4"])
    stray = truck.pick_up(GOODS, START + 1_700)
    record = xml_receipt(dock, GOODS, START + 2_000, 60, [left, trip])
    run, supporting = [epcis.decode(record)], [epcis.decode(left), epcis.decode(trip)]
    agreement = Agreement(
        deal.id, "dock-1", device_id("dock-1"), NAME, terms, 0, 0, 0, subject=rules.subject(terms)
    )
    span = hearing(agreement, rules, None, run)
    chosen = with_heard(run, resolve(run, supporting), span, [epcis.decode(stray)])
    claim = derive_claim(agreement, rules, 1, None, run, chosen)
    rail.mine(START + 3_000)
    settled = rail.settle([claim], ORACLES[1:], product)
    rail.mine(START + 4_000)
    proof_by_transaction = proofs(
        reader_of(rail.node.url), [rail.committee_tx, opened, settled, *enrolments]
    )
    devices = [
        (device_id(station.name), [proof_by_transaction[tx]])
        for station, tx in zip((dock, truck, logger), enrolments, strict=True)
    ]
    entry = booked_by(
        proof_by_transaction[settled],
        books.settled(
            "0x" + payment_id(deal.id, 1).hex(), "0x" + deal.id.hex(), rail.payee, PRICE // 2
        ),
    )  # 20 % for the pick-up, and 60 of 100 units of 50 %
    return Parts(
        chain_id=31337,
        rail=rail.rail,
        registry=rail.registry,
        committee=rail.committee,
        devices=devices,
        committee_proofs=[proof_by_transaction[rail.committee_tx]],
        evidence=[("epcis", record)],
        supporting=[("epcis", event.evidence) for event in cited_events(run, chosen)],
        anchor=None,
        product=NAME,
        mandate_version=2,
        mandate=deal.mandate,
        mandate_signature=deal.signature,
        opened=proof_by_transaction[opened],
        settlement=proof_by_transaction[settled],
        agreement=deal.id,
        sequence=1,
        parties={deal.id: (rail.payee, Window(WINDOW))},
        ledger=chained([entry]),
    ), stray
