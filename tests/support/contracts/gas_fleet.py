"""A fleet agreement whose settlements are measured: one head, and members that are read on time."""

from __future__ import annotations

import random

from web3 import Web3

from oracles.types import Claim
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.ethereum import Account
from orchestrator.products.metered_fleet import product as fleet
from orchestrator.products.metered_fleet.product import (
    FleetFacts,
    FleetMember,
    FleetState,
    FleetStep,
    FleetTerms,
)
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, IMPORT
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.gas_rail import GasRail, stranger
from tests.support.contracts.settled import known

_USED = 900  # Wh of a member in an hour, at most


class GasFleet:
    """A funded agreement about the first `count` devices of a rail, and claims of an hour each.

    records: how many of each member a claim rests on.
    """

    def __init__(self, rail: GasRail, count: int, records: int) -> None:
        self.rail, self.records, self.sequence = rail, records, 0
        self.chance = random.Random(count)
        self.head = Web3.keccak(text=f"head of {count}")
        self.started = rail.now
        members = (
            FleetMember(
                Web3.keccak(index + 1),
                self.chance.randrange(10_000, 60_000),
                self.chance.randrange(10**6, 10**7),
            )
            for index in range(count)
        )
        self.terms = fleet.encode_terms(
            FleetTerms(300_000, 22_000, HOUR, self.started, IMPORT, 0, tuple(sorted(members)))
        )
        self.state: FleetState = fleet.open(self.terms)
        self.agreement, self.opening_gas = self._open()

    def _open(self) -> tuple[bytes, int]:
        rail, key = self.rail, DeviceSigner.p256(900_000 + len(self.state.rows))
        rail.enrol(self.head, key, rail.payer.address)
        mandate = Mandate(
            payer=rail.payer.address,
            payee=stranger(0),
            device=self.head,
            product=rail.at["MeteredFleet"].address,
            cap=5_000 * EURO,
            period_days=30,
            window=DAY,
            start=0,
            expiry=rail.start + 90 * DAY,
            first_counter=0,
            required_domain=0,
            bond=EURO,
            salt=self.head,
            terms=self.terms,
        )
        known(mandate, "metered_fleet")
        escrow = rail.at["PaymentRail"].address
        document = mandate.typed_data(CHAIN_ID, escrow)
        signed = Account.sign_typed_data(rail.payer.key, full_message=document).signature
        opening = mandate.as_tuple(), signed, b""
        receipt = rail.send("PaymentRail", "open", *opening, sender=rail.payer.address)
        credit = self.head, escrow, mandate.agreement_id(), 5_000 * EURO
        rail.send("EuroToken", "mintToEscrow", *credit, sender=rail.plan.minter)
        return mandate.agreement_id(), receipt["gasUsed"]

    def settle(self, silent: int = 0, oldest: int = 0) -> int:
        """Settle the claim of the next hour alone, with three signatures; return its gas.

        silent: how many members are not read. oldest: how many minutes before the head at most.
        """
        end = self.state.time + HOUR
        steps = [
            FleetStep(self.records, self.chance.randrange(_USED), self.chance.randint(0, oldest))
            for _ in self.state.rows[silent:]
        ]
        steps += [FleetStep(0, 0, row.age + HOUR // 60) for row in self.state.rows[len(steps) :]]
        facts = fleet.encode_facts(
            FleetFacts(0, self.state.time, end, self.state.rows, tuple(steps))
        )
        self.state = fleet.advance(self.state, self.terms, facts)
        self.sequence += 1
        counters = (self.sequence,) * 2
        claim = Claim(self.agreement, self.sequence, *counters, Web3.keccak(text="evidence"), facts)
        self.rail.clock = max(self.rail.clock + 60, end)
        return self.rail.settled_claims("MeteredFleet", (claim,))["gasUsed"]


def fleet_figures(rail: GasRail) -> dict[str, float]:
    """Return {scenario: gas}; each is measured behind another claim of the same agreement."""
    quarter = DAY // 4  # of the window: the settlements of a fleet share a release time
    figures = {}
    for count, records in ((100, 10), (1_000, 1)):
        rail.clock += quarter - rail.clock % quarter
        agreed = GasFleet(rail, count, records)
        agreed.settle()
        name = f"a record, a fleet of {count} devices with {records} records each"
        figures[name] = agreed.settle() / (count * records)
    figures["the same, one of 1000 devices silent"] = agreed.settle(silent=1) / count
    agreed.settle(oldest=14)
    figures["the same, each read some minutes before"] = agreed.settle(oldest=14) / count
    figures["opening a fleet, for each of 1000 devices"] = agreed.opening_gas / count
    return figures
