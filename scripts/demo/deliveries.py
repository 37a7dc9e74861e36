"""The deliveries of the demonstration: one as agreed, one late and too warm, one never confirmed.

A carrier's scanner and a temperature logger supply evidence; only what the buyer's dock signs is
paid for. The last consignment is the carrier's word alone: at the deadline its escrow goes back.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, agreements, blocks, debts
from orchestrator.edges.store import payments as money
from orchestrator.products import products
from scripts.demo.notes import Note, euro
from scripts.demo.town import DemoParty, Signed, consent, open_all, transfer
from scripts.devices.consignment import (
    Logger,
    SimulatedConsignment,
    SimulatedScanner,
    SimulatedTerminal,
)
from scripts.devices.fleet import Fleet
from scripts.stack import Stack

NAME = "proof_of_delivery"
BUYER = DemoParty(4, "Spreemarkt eG", "Uferstrasse", "12435", "Berlin")
CARRIER = DemoParty(5, "Havelkurier GmbH", "Torstrasse", "14770", "Brandenburg")
GOOD, SPOILT, CLAIMED = (SimulatedConsignment(number, units=100) for number in (1, 2, 3))
ARRIVING = (GOOD, SPOILT)
FUNDED_CENTS = 100_000
PRICE_MICRO = 1_000_000_000
# 100 units for 1,000 euro: 20 % when picked up, 50 % delivered, 30 % accepted; see `_terms`
EXPECTED_MICRO = {
    GOOD: [200_000_000, 500_000_000, 300_000_000],
    # 80 units, three hours late (3 %) and too warm (10 %); then the shock (15 %); 80 accepted
    SPOILT: [496_000_000, -120_000_000, 240_000_000],
    CLAIMED: [],
}
DAY_S, HOUR_S = 86_400, 3_600
DEADLINE_S = 20  # of the consignment that nobody confirms: as short as a demonstration


class Deliveries:
    """A truck's scanner, a logger, a dock, and three consignments from one buyer to one carrier.

    seed: as of `Station`. The devices join the fleet: they publish and are answered like meters.
    """

    def __init__(self, stack: Stack, fleet: Fleet, seed: int) -> None:
        self.stack = stack
        self.ids: dict[SimulatedConsignment, str] = {}  # agreements
        self.start_at = stack.start_at + 10 * DAY_S
        self.truck, self.logger, self.dock = (
            kind(stack.home / "devices" / name, name, seed)
            for kind, name in (
                (SimulatedScanner, "truck-1"),
                (Logger, "logger-1"),
                (SimulatedTerminal, "dock-1"),
            )
        )
        self.names = [self.truck.name, self.logger.name, self.dock.name]
        for station in (self.truck, self.logger, self.dock):
            fleet.join(station)
        self._seen: dict[
            SimulatedConsignment, list[bytes]
        ] = {}  # what the dock was shown, to be confirmed

    def agree(self) -> list[Signed]:
        """The buyer's mandates for the two consignments that arrive."""
        due, deadline = self.start_at + 2 * DAY_S, self.start_at + 10 * DAY_S
        return [self._mandate(goods, due, deadline) for goods in ARRIVING]

    def fund(self, references: list[str]) -> None:
        for reference in references:
            transfer(self.stack, BUYER, FUNDED_CENTS, reference)

    def promise(self) -> None:
        """The third agreement, with a deadline in a few seconds, and its escrow."""
        deadline = self.stack.now() + DEADLINE_S
        signed = self._mandate(CLAIMED, deadline, deadline, expiry=deadline)
        self.fund(open_all(self.stack, [signed]))

    def morning(self, day: int) -> None:
        """What carrier and logger say; it moves no money."""
        at = self.start_at + day * DAY_S
        if day == 1:
            self._show(self.truck, GOOD, self.truck.pick_up(GOOD, at))
            self._show(self.truck, SPOILT, self.truck.pick_up(SPOILT, at + HOUR_S))
            trip = self.logger.report(SPOILT, at + DAY_S + 2 * HOUR_S, ["4.5", "9.75"], ["1.5"])
            self._show(self.logger, SPOILT, trip)
            alone = [
                self.truck.pick_up(CLAIMED, at + 2 * HOUR_S),
                self.truck.claim_delivered(CLAIMED, at + 9 * HOUR_S),
            ]
            self.truck.publish(alone)
        elif day == 2:
            trip = self.logger.report(GOOD, at - 2 * HOUR_S, ["3.25", "6.5"], ["2.0"])
            self._show(self.logger, GOOD, trip)
            late = self.logger.report(SPOILT, at - HOUR_S, shocks_g=["7.5"])
            self._show(self.logger, SPOILT, late)

    def evening(self, day: int) -> None:
        """What the dock signs: the only words that release money, or ask for some back."""
        at, seen = self.start_at + day * DAY_S, self._seen
        if day == 1:  # the second consignment came three hours after it was due
            said = [
                self.dock.confirm(GOOD, at + HOUR_S, seen.pop(GOOD)),
                self.dock.receive(SPOILT, at + DAY_S + 3 * HOUR_S, 80, seen.pop(SPOILT)),
            ]
        elif day == 2:
            said = [
                self.dock.receive(GOOD, at - HOUR_S, seen=seen.pop(GOOD)),
                self.dock.confirm(SPOILT, at + 4 * HOUR_S, seen.pop(SPOILT)),
            ]
        else:
            said = [self.dock.accept(GOOD, at), self.dock.accept(SPOILT, at, 80)]
        self.dock.publish(said)

    def over(self, session: Session) -> bool:
        """Whether the third escrow went back, and the carrier paid what it owed."""
        promised = agreements.get(session, self.ids[CLAIMED])
        return promised.stage == agreements.Stage.CLOSED and not debts.all_open(session)

    def notes(self, session: Session) -> list[Note]:
        """What became of the three, and whether it is what was agreed."""
        rows = {goods: self._payments(session, goods) for goods in EXPECTED_MICRO}
        paid = {goods: [row.amount_micro for row in found] for goods, found in rows.items()}
        right = {goods: paid[goods] == amounts for goods, amounts in EXPECTED_MICRO.items()}
        owed = [row for row in rows[SPOILT] if row.amount_micro < 0]
        repaid = [row.stage for row in owed] == [Stage.RECONCILED]
        price, part = euro(PRICE_MICRO), euro(sum(a for a in paid[SPOILT] if a > 0))
        back = self._given_back(session)
        return [
            Note(
                "a delivery on time and cool",
                "paid",
                f"{euro(sum(paid[GOOD]))}, in 3 milestones",
                right[GOOD],
            ),
            Note("one late, in part and too warm", "reduced", f"{part} of {price}", right[SPOILT]),
            Note(
                "its sensor file after it was settled",
                "debt_recorded",
                f"{euro(sum(row.amount_micro for row in owed))}, out of other money",
                repaid,
            ),
            Note(
                "a delivery that only the carrier saw",
                "not paid",
                f"kept as evidence, {len(rows[CLAIMED])} payments",
                right[CLAIMED],
            ),
            Note(
                "its deadline, with nothing signed",
                "refunded",
                f"{euro(back)} back to the buyer",
                back == PRICE_MICRO,
            ),
        ]

    # --- inside

    def _show(
        self, station: SimulatedScanner | Logger, goods: SimulatedConsignment, record: bytes
    ) -> None:
        self._seen.setdefault(goods, []).append(record)
        station.publish([record])

    def _mandate(self, goods: SimulatedConsignment, due: int, deadline: int, **more: int) -> Signed:
        product = products()[NAME]
        terms = product.read_terms(_terms(goods, due, deadline))
        made = consent(self.stack, self.dock.name, product, BUYER, CARRIER, terms=terms, **more)
        self.ids[goods] = "0x" + made[2].agreement_id().hex()
        return made

    def _payments(self, session: Session, goods: SimulatedConsignment) -> list[money.PaymentRow]:
        found = money.page(session, None, self.ids[goods], None, 100)
        return sorted(found, key=lambda row: row.sequence)

    def _given_back(self, session: Session) -> int:
        """Micro-euro that went from the third escrow to the buyer, as the chain says."""
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
