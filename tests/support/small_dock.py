"""A consignment's devices in front of a real intake: what the chain says of them is a stand-in.

A carrier's scanner (truck-1), a sensor (logger-1), the recipient's terminal (dock-1) and somebody
else's scanner (van-9) are enrolled; the terminal may serve several agreements.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from device_adapters.protocols import epcis
from device_adapters.types import Event, Message, device_id
from oracles.citations import resolve
from oracles.rules import derive_claim
from oracles.types import Agreement, Claim
from orchestrator.products.proof_of_delivery import product
from orchestrator.settings import Settings
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedLogger,
    SimulatedScanner,
    SimulatedTerminal,
)
from tests.support.rail_builder import context_of_stand_ins, file_log
from tests.support.small_intake import SmallIntake

T = 1_777_636_800
GOODS, OTHER_GOODS = SimulatedConsignment(17, units=100), SimulatedConsignment(18, units=5)
_KINDS = (
    (SimulatedScanner, "truck-1"),
    (SimulatedScanner, "van-9"),
    (SimulatedLogger, "logger-1"),
    (SimulatedTerminal, "dock-1"),
)


def terms_of(goods: SimulatedConsignment) -> bytes:
    return product.parse_terms(
        {
            "consignment": goods.subject,
            "carrier": "truck-1",
            "sensor": "logger-1",
            "price": "1000",
            "quantity": str(goods.units),
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


class SmallDock:
    """`place` is the intake with its store; `rail` collects and verifies on it."""

    def __init__(self, home: Path) -> None:
        self.place = SmallIntake(home)
        self.place.clock = T + 1_000
        self.truck, self.van, self.logger, self.dock = (
            kind(home / name, name, 7) for kind, name in _KINDS
        )
        for station in (self.truck, self.van, self.logger, self.dock):
            self.place.chain.keys[device_id(station.name)] = station.public
        settings = Settings(home=home)
        self.rail = context_of_stand_ins(
            settings,
            self.place.store,
            lambda: self.place.clock,
            registry=self.place.chain,
            log=file_log(settings),
        )

    def close(self) -> None:
        for station in (self.truck, self.van, self.logger, self.dock):
            station.close()
        self.place.close()

    def agree(
        self, goods: SimulatedConsignment = GOODS, device: str = "dock-1", mark: str = ""
    ) -> str:
        """An agreement about a consignment; `mark` distinguishes several about one."""
        raw = terms_of(goods)
        return self.place.agree(
            device,
            agreement=device_id(goods.subject + mark),
            product=product.NAME,
            terms=raw,
            subject=product.subject(raw),
            expires_at=T + 10**7,
        )

    def stranger(self, device: str, expires_at: int, mark: str = "") -> None:
        """Opens an agreement about GOODS on chain that this rail knows nothing of, newer than
        all that are there."""
        raw, identity = terms_of(GOODS), device_id("stranger" + mark)
        self.place.chain.opened[identity] = Agreement(
            agreement=identity,
            device="",
            device_id=device_id(device),
            product=product.NAME,
            terms=raw,
            start=0,
            expires_at=expires_at,
            first_counter=0,
            subject=product.subject(raw),
        )

    def take(self, *records: bytes) -> list[str]:
        """What each record is answered, each in a message of its own but taken at once."""
        return self.place.answers(*(Message("epcis", "", record) for record in records))

    def rows(self, query: str) -> list[tuple]:
        with self.place.store.read() as session:
            return [tuple(r) for r in session.connection().exec_driver_sql(query).fetchall()]


def event(record: bytes) -> Event:
    return epcis.decode(record)


def claim_of(agreement: Any, sequence: int, record: bytes, *cited: bytes, anchor=None) -> Claim:
    run = [event(record)]
    before = event(anchor) if anchor else None
    return derive_claim(agreement, product, sequence, before, run, resolve(run, map(event, cited)))
