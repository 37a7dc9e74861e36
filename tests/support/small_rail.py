"""A whole small rail in one process: real chain, store, steps and bank; its oracles sign at once.

Only the oracles are stand-ins (they sign what they are asked, as honest ones would, without a
process of their own); tests/flow has the real ones.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from device_adapters.types import STREAM_BIT, Message
from oracles.attest import batch_digest, recover, sign
from oracles.rulings import Ruling, SignedRuling
from oracles.types import Attestation, Batch
from oracles.wire import OracleAnswer, Request
from orchestrator.assembly import SENDING_ROLES, load_accounts
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.disputes import dispute_contracts
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Store, agreements, lookup, payments
from orchestrator.errors import Retry
from orchestrator.ingest.intake import Intake
from orchestrator.operations.agreements import AgreementOps, Enrolment, enrolment_digest
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from orchestrator.settings import Settings
from orchestrator.worker import Worker
from scripts.deploy import DEVELOPMENT_WARDEN, development_plan
from services import anvil
from services.bank import new_iban
from services.simulated_bank.bank import SimulatedBank, write_file
from services.simulated_devices.fleet import Fleet
from services.simulated_devices.record import Point
from services.testnet import Testnet
from tests.support.rail_builder import context_on_chain

START = 1_760_000_000
WINDOW = 60
_ROLES = ("deployer", "steward", "guardian", "minter", "registrar")
_ADDRESS = {"street": "Am Kanal", "building": "1", "post_code": "14467", "town": "Potsdam"}


def has_anvil() -> bool:
    return anvil.find() is not None


@dataclass(frozen=True)
class WillingOracle:
    """Signs every batch that it is asked about; `down` ones answer as dead ones do.

    decided: what its people decided: (payment, refund) pairs; a liar's may contradict each other.
    rules_on: name of the rail of those payments.
    """

    name: str
    domain: int
    key: bytes
    product: str
    chain: Any
    down: bool = False
    decided: list[tuple[str, bool]] = field(default_factory=list)
    rules_on: str = "PaymentRail"

    @property
    def address(self) -> str:
        return keystore.Account.from_key(self.key).address

    def ask(self, request: Request) -> OracleAnswer:
        if self.down:
            raise Retry(f"oracle {self.name} is not reached: ConnectionError")
        at = self.chain.deployment.addresses
        batch = Batch(at["PaymentRail"], at[self.product], request.claims)
        digest = batch_digest(batch, self.chain.deployment.chain_id, at["OracleCommittee"])
        return OracleAnswer(self.address, sign(digest, self.key))

    def rulings(self) -> tuple[SignedRuling, ...]:
        if self.down:
            raise Retry(f"oracle {self.name} is not reached: ConnectionError")
        at, chain_id = self.chain.deployment.addresses, self.chain.deployment.chain_id
        signed, contracts = [], dispute_contracts(self.chain, self.rules_on)
        domain = chain_id, at[contracts.committee], contracts.version
        for payment, refund in self.decided:
            ruling = Ruling(at[contracts.rail], bytes.fromhex(payment[2:]), refund)
            signature = sign(ruling.digest(*domain), self.key)
            signed.append(SignedRuling(ruling, self.address, signature, "Mia Vogt", "", START))
        return tuple(signed)

    def attestation(self, answer: OracleAnswer, digest: bytes) -> Attestation | None:
        return Attestation(recover(digest, answer.signature), answer.signature)


@dataclass
class SmallRail:
    """`home` is a rail's home as `scripts/stack.py` lays it out; everything is on one clock."""

    home: Path
    clock: int = START
    agreements: dict[str, str] = field(default_factory=dict)  # device name: agreement id

    def start(self) -> SmallRail:
        self.settings = Settings(home=self.home, finality_blocks=1, hole_patience_s=0)
        self.testnet = self._node()
        self.testnet.rpc("evm_setAutomine", True)
        deployment = self._deploy()
        self.testnet.rpc("evm_setAutomine", False)
        self.chain = Chain(self.testnet.url, deployment, load_artifacts())
        self.store = Store(self.settings.database)
        keys = self.settings.keys
        for index, role in [*enumerate(_ROLES), (9, "sender"), (DEVELOPMENT_WARDEN, "warden")]:
            keystore.create(keys, role, keystore.development_account(index).key.hex())
        senders = {
            role: Sender(self.store, self.chain, keystore.load(keys, role))
            for role in ("registrar", "sender", "warden")
        }
        parties = keystore.keys_of(keys / "parties")
        self.agreement_ops = AgreementOps(senders, lambda: self.clock, self.mine, parties)
        self.fleet = Fleet(self.home, 2, 1, seed=7, start_at=START + 1_000)
        self.iban = new_iban(1)
        self.bank = SimulatedBank(
            self.home / "bank",
            {
                "business_date": "2025-10-09",
                "accounts": [
                    {
                        "iban": self.iban,
                        "name": "proofrail",
                        "kind": "safeguarding",
                        "balance_cents": 0,
                    }
                ],
            },
        )
        self._people()
        self._town()
        self._rail()
        return self

    def _deploy(self) -> Deployment:
        """Deploy the contracts on a chain that mines at once."""
        plan = development_plan()
        return deploy(self.testnet.url, load_artifacts(), plan, self.settings.deployment)

    def _node(self) -> Testnet:
        return Testnet(mining="manual", accounts=40, extra=("--timestamp", str(START))).start()

    def stop(self) -> None:
        self.fleet.close()
        self.testnet.stop()
        self.store.close()

    def mine(self, seconds: int = 1) -> None:
        newest = self.testnet.rpc("eth_getBlockByNumber", "latest", False)
        self.clock = max(self.clock, int(newest["timestamp"], 16)) + seconds
        self.testnet.rpc("evm_setNextBlockTimestamp", hex(self.clock))
        self.testnet.rpc("evm_mine")

    def _people(self) -> None:
        self.payer, self.payee = (
            keystore.create(
                self.settings.keys / "parties", name, keystore.development_account(n).key.hex()
            )
            for n, name in ((10, "ada"), (11, "nord"))
        )
        self.payer_iban, self.payee_iban = new_iban(10), new_iban(11)
        self.agreement_ops.save_parties(
            [
                agreements.PartyRow(
                    address=account.address, name=name, iban=iban, country="DE", **_ADDRESS
                )
                for account, name, iban in (
                    (self.payer, "Ada Sommer", self.payer_iban),
                    (self.payee, "Ladepunkt Nord eG", self.payee_iban),
                )
            ]
        )
        self.agreement_ops.pay_to_bank(self.payee, self.payee_iban)
        for iban, name in ((self.payer_iban, "Ada Sommer"), (self.payee_iban, "Ladepunkt")):
            self.instruct_bank(
                {
                    "kind": "open",
                    "iban": iban,
                    "name": name,
                    "closed": False,
                    "balance_cents": 1_000_000,
                    "kind_of_account": "customer",
                }
            )

    def _town(self) -> None:
        deployment = self.chain.deployment
        registry, owner = deployment.addresses["DeviceRegistry"], self.payee.address
        enrolments = []
        for name, device in self.fleet.devices.items():
            digest = enrolment_digest(deployment.chain_id, registry, name, owner)
            enrolments.append(Enrolment(name, device.public, owner, *device.sign_digest(digest)))
        self.agreement_ops.enrol(enrolments)
        for name in self.fleet.devices:
            self.agree(name)

    def agree(self, name: str, payee: str = "", **agreed: Any) -> str:
        """Open an agreement for a device; agreed: fields of its mandate that differ."""
        fiscal = name.startswith("meter")
        terms = encode_terms(EnergyTerms(300_000, 22_000, continuous=fiscal))
        mandate = self.agreement_ops.mandate(
            name,
            self.payer.address,
            payee or self.payee.address,
            products()["metered_energy"],
            **(
                {
                    "cap_micro": 500_000_000,
                    "window_s": WINDOW,
                    "expiry": START + 10**7,
                    "terms": terms,
                    "first_counter": 1 << STREAM_BIT if fiscal else 0,
                }
                | agreed
            ),
        )
        signed = (name, "metered_energy", mandate, self.agreement_ops.sign(mandate, self.payer))
        self.agreements[name] = self.agreement_ops.open([signed])[0]
        return self.agreements[name]

    def _oracles(self) -> list[Any]:
        return [
            WillingOracle(
                name,
                domain,
                bytes(keystore.development_account(5 + n).key),
                "MeteredEnergy",
                self.chain,
                down=name == "bank",
            )
            for n, (name, domain) in enumerate(
                (("utility-a", 1), ("utility-b", 1), ("bank", 2), ("auditor", 3))
            )
        ]

    def _rail(self) -> None:
        safeguarding = {
            "name": "proofrail",
            "iban": self.iban,
            "bic": "",
            "address": {**_ADDRESS, "country": "DE"},
        }
        self.rail = context_on_chain(
            self.settings,
            self.store,
            lambda: self.clock,
            chain=self.chain,
            accounts=load_accounts(self.settings, SENDING_ROLES),
            oracles=self._oracles(),
            safeguarding=safeguarding,
        )
        self.worker = Worker(self.rail)
        self.intake = Intake(self.store, self.rail.registry, products(), lambda: self.clock)
        rail_file = {"rpc_url": self.testnet.url, "safeguarding": safeguarding}
        write_file(self.home / "rail.json", json.dumps(rail_file).encode())

    # --- what the tests do with it

    def instruct_bank(self, instruction: dict[str, Any]) -> None:
        """What a customer says to the bank."""
        name = f"{len(list(self.bank.instructions.rglob('*'))):05}"
        write_file(self.bank.instructions / f"{name}.json", json.dumps(instruction).encode())
        self.bank.step()

    def fund(self, name: str, cents: int) -> None:
        with self.store.read() as session:
            reference = agreements.get(session, self.agreements[name]).reference
        self.instruct_bank(
            {
                "kind": "pay",
                "from": self.payer_iban,
                "to": "",
                "text": "",
                "amount_cents": cents,
                "reference": reference,
            }
        )

    def take(self, *records: bytes) -> list[str]:
        """What each record is answered."""
        # no fact may be ahead of its block
        self.clock = max([self.clock, *(device.now for device in self.fleet.devices.values())])
        messages = [Message("ocmf", "", record, source="file") for record in records]
        return [o.outcome for outcomes in self.intake.take(messages) for o in outcomes]

    def work(self, turns: int, seconds: int = 5) -> None:
        for _ in range(turns):
            self.mine(seconds)
            self.worker.turn()
            self.bank.step()
        assert not self.worker.halted, self.worker.halted

    def close_day(self) -> None:
        self.instruct_bank({"kind": "close_day"})
        self.work(1)

    def stages(self) -> dict[str, int]:
        with self.store.read() as session:
            return payments.open_counts(session)

    def with_oracles_down(self, *names: str) -> None:
        self.rail = replace(
            self.rail,
            oracles=[replace(oracle, down=oracle.name in names) for oracle in self.rail.oracles],
        )
        self.worker.context = self.rail

    def unseat(self, name: str) -> None:
        """The steward takes an oracle's seat away."""
        steward = keystore.load(self.settings.keys, "steward")
        oracle = next(o for o in self.rail.oracles if o.name == name)
        call = Call("OracleCommittee", "unseat", (oracle.address,))
        quote = self.chain.quote(steward.address, call)
        _, raw = self.chain.sign(steward, self.chain.nonce(steward.address), quote)
        assert self.chain.broadcast([raw]) == ["sent"]
        self.mine()

    def payments(self) -> dict[str, str]:
        """{device name and stage, as in "cp-0001 posted": the newest such payment's id}."""
        with self.store.read() as session:
            rows = lookup.newest_payments(session, None, 100)
        return {f"{a.device} {p.stage}": p.payment_id for p, a in reversed(rows)}


@lru_cache(maxsize=1)
def lived() -> SmallRail:
    """One rail that all tests share, with payments at the stages that they speak of.

    cp-0001 and the meter: reconciled, with the bank's statement; cp-0001 again: posted, its window
    still open; cp-0002: refused for want of escrow; the meter again: derived, with no quorum. One
    record is garbage, one is forged. The auditor, who signed, has lost its seat since.
    """
    folder = tempfile.TemporaryDirectory(prefix="small-rail-")
    atexit.register(folder.cleanup)
    rail = SmallRail(Path(folder.name) / "home").start()
    atexit.register(rail.stop)
    points, meter = [rail.fleet[name] for name in ("cp-0001", "cp-0002")], rail.fleet["meter-0001"]
    for name in ("cp-0001", "meter-0001"):
        rail.fund(name, 20_000)
    rail.work(4)
    rail.clock = START + 100_000
    records = [*points[0].session("12.5"), *points[0].session("3"), *points[1].session("5")]
    records += [*meter.reading("0.5"), *meter.reading("0.25")]
    assert rail.take(*records) == ["accepted"] * 5
    forged = points[0].forge([Point("", points[0].now, 1)], 99, points[1].key)
    assert rail.take(b"OCMF|{\x1b[31m|{}", forged) == ["malformed", "signature_forged"]
    rail.work(12, 20)
    for _ in range(2):  # the payout is booked on the bank's second day
        rail.close_day()
    rail.work(3)
    assert rail.take(*points[0].session("7")) == ["accepted"]
    rail.work(4)
    rail.with_oracles_down("utility-a", "utility-b", "bank", "auditor")
    assert rail.take(*meter.reading("0.75")) == ["accepted"]
    rail.work(1)
    rail.unseat("auditor")
    rail.work(2)
    return rail
