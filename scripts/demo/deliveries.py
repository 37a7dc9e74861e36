"""The deliveries of the demonstration: one as agreed, one late and too warm, one unconfirmed.

A carrier's scanner and a temperature logger supply evidence; only what the buyer's dock signs is
paid. Only the carrier reports the last consignment: at the deadline its escrow goes back.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, agreements, blocks, debts, payments
from orchestrator.edges.store import payments as money
from orchestrator.products import products
from scripts.demo.notes import Note, euro
from scripts.demo.parties import DemoParty, Signed, sign_mandate, transfer
from scripts.stack import Stack
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedLogger,
    SimulatedScanner,
    SimulatedTerminal,
)
from services.simulated_devices.fleet import Fleet

NAME = "proof_of_delivery"
BUYER = DemoParty(4, "Spreemarkt eG", "Uferstrasse", "12435", "Berlin")
CARRIER = DemoParty(5, "Havelkurier GmbH", "Torstrasse", "14770", "Brandenburg")
GOOD, SPOILT, CLAIMED = (SimulatedConsignment(number, units=100) for number in (1, 2, 3))
ARRIVING = (GOOD, SPOILT)
FUNDED_CENTS = 100_000
PRICE_MICRO = 1_000_000_000
# 100 units for 1,000 euro: 20 % at pick-up, 50 % at delivery, 30 % at acceptance; see `_terms`
EXPECTED_MICRO = {
    GOOD: [200_000_000, 500_000_000, 300_000_000],
    # 80 units, three hours late (3 %) and too warm (10 %); then the shock (15 %); 80 accepted
    SPOILT: [496_000_000, -120_000_000, 240_000_000],
    CLAIMED: [],
}
DAY_S, HOUR_S = 86_400, 3_600
DEADLINE_S = 40  # until the grace of the unconfirmed one is over


class Deliveries:
    """A truck's scanner, a logger, a dock, and three consignments from one buyer to one carrier.

    The devices join the fleet: they publish and get receipts as meters do.

    Args:
        seed: of the devices' keys, as in `Station`.
    """

    def __init__(self, stack: Stack, fleet: Fleet, seed: int) -> None:
        self.stack = stack
        self.ids: dict[SimulatedConsignment, str] = {}  # ids of the agreements
        self.start_at = stack.start_at + 10 * DAY_S
        self.truck, self.logger, self.dock = (
            kind(stack.home / "devices" / name, name, seed)
            for kind, name in (
                (SimulatedScanner, "truck-1"),
                (SimulatedLogger, "logger-1"),
                (SimulatedTerminal, "dock-1"),
            )
        )
        self.names = [self.truck.name, self.logger.name, self.dock.name]
        for station in (self.truck, self.logger, self.dock):
            fleet.join(station)
        self._shown: dict[
            SimulatedConsignment, list[bytes]
        ] = {}  # records that the dock must confirm

    def agree(self) -> list[Signed]:
        """Return the buyer's signed mandates.

        The third one's end lies a day back, less some seconds: then its grace is over soon.
        """
        due, deadline = self.start_at + 2 * DAY_S, self.start_at + 10 * DAY_S
        end = self.stack.now() - DAY_S + DEADLINE_S
        arriving = [self._mandate(goods, due, deadline) for goods in ARRIVING]
        return [*arriving, self._mandate(CLAIMED, end, end, expiry=end)]

    def fund(self, references: list[str]) -> None:
        """Transfer the price of each agreement."""
        for reference in references:
            transfer(self.stack, BUYER, FUNDED_CENTS, reference)

    def morning(self, day: int) -> None:
        """Publish what carrier and logger report; it moves no money."""
        at = self.start_at + day * DAY_S
        if day == 1:
            self._show(self.truck, GOOD, self.truck.pick_up(GOOD, at))
            self._show(self.truck, SPOILT, self.truck.pick_up(SPOILT, at + HOUR_S))
            trip = self.logger.report(SPOILT, at + DAY_S + 2 * HOUR_S, ["4.5", "9.75"], ["1.5"])
            self._show(self.logger, SPOILT, trip)
            claims = [
                self.truck.pick_up(CLAIMED, at + 2 * HOUR_S),
                self.truck.claim_delivered(CLAIMED, at + 9 * HOUR_S),
            ]
            self.truck.publish(claims)
        elif day == 2:
            trip = self.logger.report(GOOD, at - 2 * HOUR_S, ["3.25", "6.5"], ["2.0"])
            self._show(self.logger, GOOD, trip)
            shocks = self.logger.report(SPOILT, at - HOUR_S, shocks_g=["7.5"])
            self._show(self.logger, SPOILT, shocks)

    def evening(self, day: int) -> None:
        """Publish what the dock signs; only this pays money or records a debt."""
        at, shown = self.start_at + day * DAY_S, self._shown
        if day == 1:  # the second consignment came three hours late
            records = [
                self.dock.confirm(GOOD, at + HOUR_S, shown.pop(GOOD)),
                self.dock.receive(SPOILT, at + DAY_S + 3 * HOUR_S, 80, shown.pop(SPOILT)),
            ]
        elif day == 2:
            records = [
                self.dock.receive(GOOD, at - HOUR_S, seen=shown.pop(GOOD)),
                self.dock.confirm(SPOILT, at + 4 * HOUR_S, shown.pop(SPOILT)),
            ]
        else:
            records = [self.dock.accept(GOOD, at), self.dock.accept(SPOILT, at, 80)]
        self.dock.publish(records)

    def is_over(self, session: Session) -> bool:
        """Return whether the third escrow went back and the carrier paid its debt."""
        unconfirmed = agreements.get(session, self.ids[CLAIMED])
        return unconfirmed.stage == agreements.Stage.CLOSED and not debts.all_open(session)

    def notes(self, session: Session) -> list[Note]:
        """Return the result of the three deliveries, and whether each is as agreed."""
        rows = {goods: self._payments(session, goods) for goods in EXPECTED_MICRO}
        paid = {goods: [row.amount_micro for row in payments] for goods, payments in rows.items()}
        as_agreed = {goods: paid[goods] == amounts for goods, amounts in EXPECTED_MICRO.items()}
        owed = [row for row in rows[SPOILT] if row.amount_micro < 0]
        repaid = [row.stage for row in owed] == [Stage.RECONCILED]
        price, part = euro(PRICE_MICRO), euro(sum(a for a in paid[SPOILT] if a > 0))
        refunded = self._refunded(session)
        return [
            Note(
                "a delivery on time and cool",
                "paid",
                f"{euro(sum(paid[GOOD]))}, in 3 milestones",
                as_agreed[GOOD],
            ),
            Note(
                "one late, in part and too warm", "reduced", f"{part} of {price}", as_agreed[SPOILT]
            ),
            Note(
                "its sensor file after it was settled",
                "debt recorded",
                f"{euro(sum(row.amount_micro for row in owed))}, out of other money",
                repaid,
            ),
            Note(
                "a delivery that only the carrier reports",
                "not paid",
                f"kept as evidence, {len(rows[CLAIMED])} payments",
                as_agreed[CLAIMED],
            ),
            Note(
                "its deadline, with nothing signed",
                "refunded",
                f"{euro(refunded)} back to the buyer",
                refunded == PRICE_MICRO,
            ),
        ]

    # --- inside

    def _show(
        self,
        station: SimulatedScanner | SimulatedLogger,
        goods: SimulatedConsignment,
        record: bytes,
    ) -> None:
        self._shown.setdefault(goods, []).append(record)
        station.publish([record])

    def _mandate(
        self, goods: SimulatedConsignment, due: int, deadline: int, **overrides: int
    ) -> Signed:
        product = products()[NAME]
        terms = product.parse_terms(_terms(goods, due, deadline))
        signed = sign_mandate(
            self.stack, self.dock.name, product, BUYER, CARRIER, terms=terms, **overrides
        )
        self.ids[goods] = "0x" + signed[2].agreement_id().hex()
        return signed

    def _payments(self, session: Session, goods: SimulatedConsignment) -> list[money.PaymentRow]:
        rows = payments.page(session, None, self.ids[goods], None, 100)
        return sorted(rows, key=lambda row: row.sequence)

    def _refunded(self, session: Session) -> int:
        """Return the micro-euro that the chain paid back from the third escrow to the buyer."""
        logs = blocks.logs_about(session, ("EscrowReclaimed",), self.ids[CLAIMED])
        return sum(json.loads(log.args)["amount"] for log in logs)


def _terms(goods: SimulatedConsignment, due: int, deadline: int) -> dict[str, str]:
    return {
        "consignment": goods.subject,
        "carrier": "truck-1",
        "sensor": "logger-1",
        "price": "1000.00",
        "quantity": "100",
        "shares": "20/50/30",
        "due": _iso(due),
        "deadline": _iso(deadline),
        "late": "1/20",
        "celsius": "2..8",
        "breach": "10",
        "shock": "5",
        "shock_breach": "15",
        "breach_max": "25",
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
