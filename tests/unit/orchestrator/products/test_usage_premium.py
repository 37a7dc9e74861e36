"""Usage premium: the rail has totals alone; trips can be shown as long as their salts exist."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device_adapters.protocols.sealed import decode
from device_adapters.protocols.sealed.commitment import (
    SALT_BYTES,
    SaltedRecord,
    commitment_of,
    proof_of,
    proves,
    salted,
)
from device_adapters.types import Message, device_id
from orchestrator.core.identity import payment_id
from orchestrator.edges.store import payments
from orchestrator.edges.store.evidence import records_of
from orchestrator.products import products
from orchestrator.settings import Settings
from orchestrator.steps.attest import claim_of_row
from orchestrator.steps.collect import collect, verify
from tests.support.rail_builder import context_of_stand_ins, file_log
from tests.support.signing_gateway import SigningGateway
from tests.support.small_intake import SmallIntake

RULES = products()["usage_premium"]
FIRST, DAY = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()), 86_400
WORDS = {
    "about": "policy:DE-4711",
    "metrics": "Vehicle.TraveledDistance 0..20000000; NightShare 0..10000",
    "plus": "Vehicle.TraveledDistance rising: 0=0, 1000000=35.00, 3000000=75.00",
    "times": "NightShare rising: 0=100%, 2000=110%, 5000=130%",
    "base": "12.00",
    "ceiling": "120.00",
    "period": "30 days",
}
TRIPS = [(12_300, False), (640_000, True), (80_200, False), (500_000, False), (7_500, True)]


def _trip(number: int, metres: int, night: bool) -> bytes:
    """Return what a car keeps of a trip, and never sends."""
    return json.dumps({"trip": number, "metres": metres, "night": night}).encode()


class Car:
    """A car with its trips of a month: it signs totals, and a commitment to the trips."""

    def __init__(self) -> None:
        self.key = SigningGateway("car-1")
        self.trips = salted(_trip(n, *trip) for n, trip in enumerate(TRIPS))
        self.commitment = commitment_of(self.trips)

    def report(self) -> bytes:
        metres = sum(trip[0] for trip in TRIPS)
        night = sum(trip[0] for trip in TRIPS if trip[1])
        report = {
            "device": "car-1",
            "subject": WORDS["about"],
            "ordinal": 1,
            "from": FIRST,
            "to": FIRST + 30 * DAY,
            "metrics": {
                "Vehicle.TraveledDistance": metres,
                "NightShare": night * 10_000 // metres,
            },
            "coverage": 9_900,
            "sources": 1,
            "commitment": self.commitment,
        }
        return self.key.seal("car-1", 1, {"report": report}, at=FIRST + 30 * DAY)

    def delete_salts(self) -> None:
        """Forget the salts; the trips themselves may lie anywhere."""
        self.trips = [SaltedRecord(b"", trip.record) for trip in self.trips]


class Rail:
    """The policy's agreement on a real intake and store."""

    def __init__(self, home: Path, car: Car) -> None:
        self.terms, self.place = RULES.parse_terms(WORDS), SmallIntake(home)
        self.close = self.place.close
        self.place.chain.keys[device_id("car-1")] = car.key.key
        self.place.clock = FIRST + 31 * DAY
        agreement = self.place.agree(
            "car-1",
            product="usage_premium",
            terms=self.terms,
            subject=RULES.subject(self.terms),
            expires_at=FIRST + 90 * DAY,
        )
        self.payment = "0x" + payment_id(bytes.fromhex(agreement[2:]), 1).hex()
        settings = Settings(home=home)
        self.rail = context_of_stand_ins(
            settings,
            self.place.store,
            lambda: self.place.clock,
            registry=self.place.chain,
            rules=self.place.chain.rules,
            log=file_log(settings),
        )

    def take(self, record: bytes) -> None:
        [[outcome]] = self.place.take(Message("sealed", "", record))
        assert outcome.outcome == "accepted", outcome
        collect(self.rail)
        verify(self.rail)

    def premium(self) -> int:
        """Return what the stored claim comes to, from the terms and the claim's facts."""
        with self.place.store.read() as session:
            [row] = payments.by_ids(session, [self.payment])
        facts = claim_of_row(row).facts
        amount, refusal = RULES.price(RULES.open(self.terms), self.terms, facts, 10**9)
        assert not refusal
        return amount

    def premium_of_evidence(self) -> int:
        """Return what the stored evidence comes to, derived again from its bytes."""
        [evidence] = self.evidence()
        facts = RULES.derive(self.terms, None, [decode(evidence)], {})
        return RULES.price(RULES.open(self.terms), self.terms, facts, 10**9)[0]

    def evidence(self) -> list[bytes]:
        with self.place.store.read() as session:
            return [item.body for item in records_of(session, self.payment)]


@pytest.fixture
def insured(tmp_path):
    car = Car()
    with closing(Rail(tmp_path, car)) as rail:
        rail.take(car.report())
        yield car, rail


def _shown(car: Car, rail: Rail) -> list[bool]:
    """Return which trips the car can show to be among those of the stored, signed report."""
    [evidence] = rail.evidence()
    commitment = bytes.fromhex(decode(evidence).facts["commitment"])
    return [proves(proof_of(car.trips, n), commitment) for n in range(len(car.trips))]


def test_trips__with_their_salts__are_shown_to_be_behind_the_signed_totals(insured):
    car, rail = insured
    assert _shown(car, rail) == [True] * len(TRIPS)


def test_salts_deleted__no_trip_can_be_shown_and_every_premium_is_computed_again(insured):
    car, rail = insured
    before = rail.premium(), rail.premium_of_evidence()
    proofs = [proof_of(car.trips, n) for n in range(len(TRIPS))]
    salts = {proof.salted.salt for proof in proofs}
    car.delete_salts()
    assert _shown(car, rail) == [False] * len(TRIPS)
    for proof in proofs:  # whoever knows the trip and its path lacks the salt
        guesses = [bytes(SALT_BYTES), b"\xff" * SALT_BYTES, *(salts - {proof.salted.salt})]
        for salt in guesses:
            guess = proof._replace(salted=SaltedRecord(salt, proof.salted.record))
            assert not proves(guess, car.commitment)
    assert (rail.premium(), rail.premium_of_evidence()) == before
    assert before[0] == before[1] > 12_000_000


def test_rail__stores_neither_a_trip_nor_a_salt(insured, tmp_path):
    car, rail = insured
    rail.place.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("rail.sqlite3*"))
    assert car.commitment in kept  # within the evidence
    for trip in car.trips:
        assert trip.record not in kept and trip.salt not in kept
