"""A consignment on a whole rail: only what the dock signs pays the carrier, by milestone.

A withdrawal records a debt of the carrier; its own reports move no money.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.payment import Stage
from orchestrator.core.reconcile import BreakKind
from orchestrator.edges.store import evidence
from scripts.demo import parties
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedLogger,
    SimulatedScanner,
    SimulatedTerminal,
)
from tests.support.whole_rail import AT_BANK, WholeRail

PRICE_CENTS = 100_000
EURO = 1_000_000
GOODS, UNTOUCHED = SimulatedConsignment(1, units=100), SimulatedConsignment(2, units=100)
SHIPPER, CARRIER = parties.FLEET_OPERATOR, parties.CHARGE_COMPANY


class Dispatch:
    """One dock, one truck, one logger, and an agreement for each of two consignments."""

    def __init__(self, rail: WholeRail, home: Path) -> None:
        self.rail = rail
        kinds = {
            "truck-1": SimulatedScanner,
            "logger-1": SimulatedLogger,
            "dock-1": SimulatedTerminal,
        }
        self.truck, self.logger, self.dock = (
            kind(home / name, name, None) for name, kind in kinds.items()
        )
        for station in (self.truck, self.logger, self.dock):
            self.run(
                "device",
                "add",
                station.name,
                "--owner",
                SHIPPER.name,
                "--private-key",
                str(station.folder / "key.pem"),
            )
        self.agreements = {goods: self.agree(goods) for goods in (GOODS, UNTOUCHED)}
        self.now = int(time.time()) + 2  # after the blocks of the openings: no fact is before them

    def agree(self, goods: SimulatedConsignment) -> str:
        now = int(time.time())
        terms = {
            "consignment": goods.subject,
            "carrier": "truck-1",
            "sensor": "logger-1",
            "price": "1000.00",
            "quantity": "100",
            "shares": "20/50/30",
            "due": _iso(now + 3_600),
            "deadline": _iso(now + 86_400),
            "late": "0.5/20",
            "celsius": "2..8",
            "breach": "10",
            "breach_max": "10",
        }
        term_options = [
            option for name, text in terms.items() for option in ("--term", f"{name}={text}")
        ]
        opened = self.run(
            "agreement",
            "open",
            "--device",
            "dock-1",
            "--payer",
            SHIPPER.name,
            "--payee",
            CARRIER.name,
            "--product",
            "proof_of_delivery",
            "--cap",
            "1000.00",
            "--window",
            "1",
            *term_options,
        )
        paid = self.rail.stack.bank.pay(
            parties.iban(SHIPPER), "", PRICE_CENTS, opened["funding_reference"]
        )
        assert paid["ok"], paid
        return opened["agreement_id"]

    def run(self, *arguments: str) -> dict[str, Any]:
        (done,) = self.rail.commands([*arguments, "--json"])
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def send(self, *records: bytes) -> list[str]:
        """Send records by HTTP; return the rail's answer to each."""
        body = [{"protocol": "epcis", "record": record.decode()} for record in records]
        answer = self.rail.api("POST", "/v1/evidence", "operator", json={"records": body})
        return [row["outcome"] for row in answer.json()["records"]]

    def payments(self, goods: SimulatedConsignment) -> list[Any]:
        rows = [
            row for row in self.rail.all_payments() if row.agreement_id == self.agreements[goods]
        ]
        return sorted(rows, key=lambda row: row.sequence)

    def settled(self, goods: SimulatedConsignment, count: int) -> list[int]:
        """Wait until `count` payments are final, and return their amounts."""
        early = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)

        def is_final() -> bool:
            rows = self.payments(goods)
            return len(rows) >= count and not any(row.stage in early for row in rows)

        self.rail.until(is_final, f"{count} payments of a consignment")
        return [row.amount_micro for row in self.payments(goods)]


@pytest.fixture(scope="module")
def dispatch(own_rail: WholeRail, tmp_path_factory: pytest.TempPathFactory):
    dispatch = Dispatch(own_rail, tmp_path_factory.mktemp("dispatch"))
    yield dispatch
    for station in (dispatch.truck, dispatch.logger, dispatch.dock):
        station.close()


def test_delivery__picked_up_delivered_accepted_and_partly_withdrawn__amounts_and_proof(
    dispatch, tmp_path
):
    truck, logger, dock, now = dispatch.truck, dispatch.logger, dispatch.dock, dispatch.now
    left = truck.pick_up(GOODS, now)
    trip = logger.report(GOODS, now + 1, ["3.5", "6.25"])
    assert dispatch.send(left, trip) == ["accepted"] * 2
    assert dispatch.send(dock.confirm(GOODS, now, [left])) == ["accepted"]
    parts = [dock.receive(GOODS, now + 2, 60, [trip]), dock.receive(GOODS, now + 3, 40)]
    assert dispatch.send(*parts, dock.accept(GOODS, now + 4)) == ["accepted"] * 3
    amounts = [200 * EURO, 300 * EURO, 200 * EURO, 300 * EURO]
    assert dispatch.settled(GOODS, 4) == amounts
    dispatch.rail.until(
        lambda: {row.stage for row in dispatch.payments(GOODS)} <= AT_BANK,
        "the milestones on a bank line",
    )
    assert dispatch.rail.reconciliation().breaks == ()
    bundle = tmp_path / "bundle.json"
    dispatch.run("audit", "export", dispatch.payments(GOODS)[1].payment_id, "-o", str(bundle))
    assert dispatch.run("audit", "verify", str(bundle))["ok"]
    assert dispatch.send(dock.withdraw(parts[1], now + 20)) == ["accepted"]
    assert dispatch.settled(GOODS, 5) == [*amounts, -320 * EURO]  # 40 of 100: 50 % and 30 %
    kinds = [item.kind for item in dispatch.rail.reconciliation().breaks]
    assert kinds == [BreakKind.DEBT_UNPAID]  # the money has left for the bank


def test_carrier__everything_it_can_report_alone__makes_no_payment(dispatch):
    truck, dock, now = dispatch.truck, dispatch.dock, dispatch.now
    forged = truck.seal(dock.receive(UNTOUCHED, now + 30).partition(b"\n")[2], 99, name="dock-1")
    records = [
        truck.pick_up(UNTOUCHED, now),
        truck.claim_delivered(UNTOUCHED, now + 1),
        truck.event(UNTOUCHED, "accepting", now + 2),
    ]
    assert dispatch.send(*records, forged) == ["accepted"] * 3 + ["signature_forged"]
    stray = SimulatedConsignment(3)
    assert dispatch.send(truck.pick_up(stray, now)) == ["no_agreement"]
    unknown = dock.confirm(UNTOUCHED, now + 31, [truck.pick_up(UNTOUCHED, now + 5)])
    assert dispatch.send(unknown) == ["cited_event_unknown"]
    with dispatch.rail.store.read() as session:
        assert not evidence.agreements_with_unclaimed(session)
    assert dispatch.payments(UNTOUCHED) == []


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
