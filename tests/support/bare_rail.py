"""A rail's steps on a real store with real records and no chain: oracles and chain are stand-ins.

Each oracle answers each claim as the test wants; tests/flow has real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from device_adapters.types import device_id
from oracles.attest import address_of, batch_digest, sign
from oracles.types import Batch, ClaimReason
from oracles.wire import ClaimRefusal, OracleAnswer, Request
from orchestrator.core.committee import Committee
from orchestrator.core.payment import Fact
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import lookup, payments
from orchestrator.errors import Retry
from orchestrator.settings import Settings
from orchestrator.steps.collect import collect, verify
from tests.support.rail_builder import context_of_stand_ins, file_log
from tests.support.small_intake import SmallIntake

CHAIN_ID, ACCESS = 31337, "0x" + "44" * 20
RAIL, COMMITTEE = "0x" + "11" * 20, "0x" + "33" * 20
PRODUCT = "0x" + "22" * 20  # as small_intake writes it into agreements
DOMAINS = (1, 1, 2, 3)


@dataclass(frozen=True)
class StandInOracle(OracleClient):
    """Signs what it is asked, but for what `says` has: agreement id -> why it refuses.

    how: "" (honest), "down", or "lies" (signs another batch). lacks: agreements whose evidence it
    wants to be sent. asked: every request it heard.
    """

    key: bytes = b""
    how: str = ""
    says: dict[bytes, ClaimReason] = field(default_factory=dict)
    lacks: set[bytes] = field(default_factory=set)
    repeats: int = 1  # how often it says each refusal
    asked: list[Request] = field(default_factory=list)

    def ask(self, request: Request) -> OracleAnswer:
        self.asked.append(request)
        if self.how == "down":
            raise Retry(f"oracle {self.name} is not reached: ConnectionError")
        devices = {message.body.split(b'"MS":"')[1].split(b'"')[0] for message in request.evidence}
        sent = {device_id("agreement of " + name.decode()) for name in devices}
        refusals = [
            ClaimRefusal(index, doubt, "as the test wants")
            for index, claim in enumerate(request.claims)
            if (doubt := self._doubt(claim.agreement, sent)) is not None
            for _ in range(self.repeats)
        ]
        if refusals:
            return OracleAnswer(self.address, None, tuple(refusals))
        batch = Batch(RAIL, PRODUCT, request.claims[: None if self.how != "lies" else 0])
        return OracleAnswer(self.address, sign(batch_digest(batch, CHAIN_ID, COMMITTEE), self.key))

    def _doubt(self, agreement: bytes, sent: set[bytes]) -> ClaimReason | None:
        if agreement in self.lacks - sent:
            return ClaimReason.EVIDENCE_MISSING
        return self.says.get(agreement)


def agreement_of(name: str) -> bytes:
    return device_id("agreement of " + name)


class BareRail:
    """Charge points cp-0001 to cp-0004 with agreements, and four oracles of three domains."""

    def __init__(self, home: Path, domains: tuple[int, ...] = DOMAINS, **settings: Any) -> None:
        self.place = SmallIntake(home)
        self.names = [f"cp-{n:04d}" for n in range(1, 5)]
        for name in self.names[1:]:
            device = self.place.fleet.devices.get(name) or self.place.fleet.add(name)
            self.place.chain.keys[device_id(name)] = device.public
            self.place.agree(name)
        self.oracles = [
            StandInOracle(f"o{n}", address_of(bytes([n]) * 32), domain, "", "", key=bytes([n]) * 32)
            for n, domain in enumerate(domains, 1)
        ]
        contracts = {"PaymentRail": RAIL, "OracleCommittee": COMMITTEE, "RailAccess": ACCESS}
        deployment = Deployment(CHAIN_ID, "", contracts, {}, True)
        members = {oracle.address: oracle.domain for oracle in self.oracles}
        self.committee = Committee(members, len(members), 2)
        chosen = Settings(home=home, **settings)
        self.rail = context_of_stand_ins(
            chosen,
            self.place.store,
            lambda: self.place.clock,
            chain=SimpleNamespace(deployment=deployment),
            registry=self.place.chain,
            oracles=self.oracles,
            committee=lambda: self.committee,
            log=file_log(chosen),
        )

    def close(self) -> None:
        self.place.close()

    def claims(self, *names: str) -> None:
        """One derived claim, of one session, for each of these devices."""
        for name in names:
            answers = self.place.answers(self.place.fleet[name].make_records(1)[0])
            assert answers == ["accepted"]
        assert collect(self.rail) == verify(self.rail) == len(names)

    def payment(self, name: str) -> payments.PaymentRow:
        """A device's newest payment."""
        identity = "0x" + agreement_of(name).hex()
        with self.place.store.read() as session:
            rows = lookup.payments_of(session, lookup.FoundId("agreement", identity), 1)
        return rows[0][0]

    def stages(self, *names: str) -> list[str]:
        return [str(self.payment(name).stage) for name in names or self.names]

    def record(self, name: str, fact: Fact, key: str = "", **sets: object) -> None:
        learned = payments.NewFact(self.payment(name).payment_id, fact, key, "", sets)
        with self.place.store.write() as session:
            assert payments.record_facts(session, [learned], self.place.clock) == 1

    def facts(self, name: str) -> list[tuple[str, str]]:
        with self.place.store.read() as session:
            rows = payments.facts_of(session, self.payment(name).payment_id)
        return [(fact.fact, fact.detail) for fact in rows]
