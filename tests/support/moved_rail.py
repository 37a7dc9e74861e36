"""A small rail on the contracts of 0.5.0, which moves to those of today, with money on its way."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from web3 import Web3

from device_adapters.types import STREAM_BIT
from oracles.attest import batch_digest, sign
from oracles.types import Batch
from orchestrator.assembly import SENDING_ROLES, load_accounts
from orchestrator.core.payment import Fact, NextStep
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts, product_contracts
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.plan import RAIL_PARTS
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import add_new, agreements, batches, payments
from orchestrator.ingest.intake import Intake
from orchestrator.operations.agreement_move import MoveOptions, MovePlanner, MoveStage
from orchestrator.operations.agreement_move_steps import Mover
from orchestrator.operations.agreements import AgreementOps
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from orchestrator.steps.attest import claim_of_row
from orchestrator.worker import Worker
from services.development import development_plan
from tests.support.open_rail import _HELD, OpenRail
from tests.support.rail_builder import context_on_chain
from tests.support.small_rail import START, WINDOW

RELEASE = "0.5.0"
FORMER_RAIL = f"PaymentRail@{RELEASE}"
_SAMPLE = Path(__file__).parents[1] / "data" / "released" / RELEASE / "contracts.json.gz"
_GAS = 15_000_000
_KEPT = "EuroToken"  # both rails pay in the same tokens


class MovedRail(OpenRail):
    """A rail of 0.5.0 with this release at work on it; `move` gives it the contracts of today.

    Attributes:
        signs_as_before: Whether there are still oracles of 0.5.0.
    """

    signs_as_before = True

    def _deploy(self) -> Deployment:
        self.web3 = Web3(Web3.HTTPProvider(self.testnet.url))
        contracts = json.loads(gzip.decompress(_SAMPLE.read_bytes()))
        plan, self.made = development_plan(), {}
        deployer, steward = plan.deployer.address, plan.steward
        members, domains = [m for m, _ in plan.members], [d for _, d in plan.members]

        def create(name: str, *arguments: Any) -> str:
            return self._create(name, contracts[name], deployer, *arguments)

        registry = create("DeviceRegistry", plan.registrar, plan.warden)
        committee = create("OracleCommittee", steward, members, domains, plan.min_domains)
        token = create(_KEPT, plan.minter)
        rail = create("PaymentRail", steward, plan.guardian, token, committee, registry)
        for name in sorted({*product_contracts()} & {*contracts}):
            product = create(name, rail, registry)
            self._transact(contracts["PaymentRail"], rail, steward, "allowProduct", product, True)
        return self._deployment({}, {name: at for name, (at, _) in self.made.items()})

    def _create(self, name: str, contract: dict, sender: str, *arguments: Any) -> str:
        factory = self.web3.eth.contract(abi=contract["abi"], bytecode=contract["bytecode"])
        request = factory.constructor(*arguments).transact({"from": sender, "gas": _GAS})
        receipt = self._mined(request)
        self.made[name] = receipt["contractAddress"], receipt["blockNumber"]
        return receipt["contractAddress"]

    def _transact(self, contract: dict, at: str, sender: str, function: str, *args: Any) -> None:
        target = self.web3.eth.contract(address=at, abi=contract["abi"])
        self._mined(target.functions[function](*args).transact({"from": sender, "gas": _GAS}))

    def _mined(self, tx_hash: bytes) -> Any:
        receipt = self.web3.eth.wait_for_transaction_receipt(tx_hash)
        assert receipt["status"] == 1, receipt
        return receipt

    def _deployment(self, rails: dict[str, str], addresses: dict[str, str]) -> Deployment:
        before = getattr(self, "chain", None)
        blocks = dict(before.deployment.blocks) if before else {}
        if before:  # former contracts keep their blocks under their new names
            blocks = {n if n == _KEPT else f"{n}@{RELEASE}": b for n, b in blocks.items()}
        blocks |= {name: block for name, (_, block) in self.made.items()}
        genesis = self.web3.eth.get_block(0)["hash"].to_0x_hex()
        chain_id = self.web3.eth.chain_id
        deployment = Deployment(chain_id, genesis, addresses, blocks, True, rails)
        deployment.save(self.settings.deployment)
        return deployment

    def agree(self, name: str, **agreed: Any) -> str:
        """Open an agreement: as 0.5.0 did until the rail has moved."""
        if self.chain.deployment.version > 1:
            return super().agree(name, **agreed)
        fiscal = name.startswith("meter")
        terms = EnergyTerms(300_000, 22_000, continuous=fiscal, version=2)
        wanted = {
            "cap_micro": 500_000_000,
            "window_s": WINDOW,
            "expiry": START + 10**7,
            "terms": encode_terms(terms),
            "first_counter": 1 << STREAM_BIT if fiscal else 0,
        }
        parties = self.payer.address, self.payee.address
        made = self.agreement_ops.mandate(
            name, *parties, products()["metered_energy"], **(wanted | agreed)
        )
        mandate = replace(made, version=1, bond=0)
        at = self.chain.deployment
        document = mandate.typed_data(at.chain_id, at.addresses["PaymentRail"])
        signature = sign_document(document, self.payer)
        with self.store.write() as session:
            row = agreements.row_of(name, "metered_energy", mandate, signature)
            self.agreements[name] = row.agreement_id
            add_new(session, [row])
        self.send(9, Call("PaymentRail", "open", (mandate.as_tuple(), signature)))
        return self.agreements[name]

    def work(self, turns: int, seconds: int = 5) -> None:
        """Work; oracles of 0.5.0 sign for contracts of 0.5.0, while there are some."""
        for _ in range(turns):
            super().work(1, seconds)
            if self.chain.deployment.version == 1 and self.signs_as_before:
                self.attest_as_before()

    def attest_as_before(self, *oracles: int) -> int:
        """Sign what waits for oracles as those of 0.5.0 did; return how many payments."""
        with self.store.read() as session:
            due = payments.due(session, NextStep.ATTEST, 1 << 40, 100)
        due.sort(key=lambda item: item[0].agreement_id)
        if not due:
            return 0
        at, rows = self.chain.deployment, [row for row, _ in due]
        former = f"@{RELEASE}" if at.version > 1 else ""
        claims = tuple(claim_of_row(row) for row in rows)
        batch = Batch(at.addresses[f"PaymentRail{former}"], due[0][1].product_address, claims)
        digest = batch_digest(batch, at.chain_id, at.addresses[f"OracleCommittee{former}"], "1")
        keys = [bytes(keystore.development_account(5 + n).key) for n in oracles or (0, 1, 3)]
        name = "0x" + digest.hex()
        signed = [
            payments.AttestationRow(
                batch_digest=name,
                oracle=keystore.Account.from_key(key).address,
                name="",
                domain=1,
                signature="0x" + sign(digest, key).hex(),
            )
            for key in keys
        ]
        with self.store.write() as session:
            payments.set_attestations(session, name, signed)
            batches.keep(session, name, [row.payment_id for row in rows])
            facts = [
                payments.NewFact(row.payment_id, Fact.ATTESTED, name, "", {"batch_digest": name})
                for row in rows
            ]
            payments.record_facts(session, facts, self.clock)
        return len(rows)

    def move(self) -> None:
        """Deploy the contracts of today next to those of 0.5.0, and start again with both."""
        self.start_again(self.deploy_successor())

    def deploy_successor(self) -> Deployment:
        """Deploy the contracts of today, while the rail goes on with those of 0.5.0."""
        self.testnet.rpc("evm_setAutomine", True)
        artifacts, plan = load_artifacts(), development_plan()
        contracts = {
            name: {"abi": artifacts[name].abi, "bytecode": artifacts[name].bytecode}
            for name in plan.contracts
        }
        before, self.made = self.chain.deployment, {}
        deployer, token = plan.deployer.address, before.addresses[_KEPT]
        members, domains = [m for m, _ in plan.members], [d for _, d in plan.members]
        holders = (plan.steward, plan.guardian, plan.minter, plan.registrar, plan.warden)

        def create(name: str, *arguments: Any) -> str:
            constructor = next(i for i in contracts[name]["abi"] if i["type"] == "constructor")
            known = arguments[: len(constructor["inputs"])]
            return self._create(name, contracts[name], deployer, *known)

        access = create("RailAccess", deployer, plan.delay_s, holders)
        committee = create("OracleCommittee", access, members, domains, plan.min_domains)
        predecessor = before.addresses["DeviceRegistry"]
        registry = create("DeviceRegistry", access, committee, predecessor)
        rail = create("PaymentRail", access, token, committee, registry)
        self._transact(contracts["DeviceRegistry"], registry, deployer, "watch", rail)
        for name in plan.products:
            product = create(name, rail, registry)
            self._transact(contracts["PaymentRail"], rail, deployer, "allowProduct", product)
        create("OfficerRegistry", access, plan.officers)
        addresses = {name: at for name, (at, _) in self.made.items()}
        own = self.web3.eth.contract(address=rail, abi=contracts["PaymentRail"]["abi"])
        for part, function in RAIL_PARTS.items():
            addresses[part] = own.functions[function]().call()
            self.made[part] = addresses[part], self.made["PaymentRail"][1]
        former = {
            name if name == _KEPT else f"{name}@{RELEASE}": at
            for name, at in before.addresses.items()
        }
        rails = {
            f"{name}@{RELEASE}": FORMER_RAIL for name in {*plan.products} & {*before.addresses}
        }
        deployment = self._deployment(rails, addresses | former)
        self.testnet.rpc("evm_setAutomine", False)
        return deployment

    def start_again(self, deployment: Deployment) -> None:
        """Start the rail on a deployment, with the store that it has."""
        self.chain = Chain(self.testnet.url, deployment, load_artifacts())
        senders = {
            role: Sender(self.store, self.chain, keystore.load(self.settings.keys, role))
            for role in ("registrar", "sender", "warden")
        }
        parties = keystore.keys_of(self.settings.keys / "parties")
        self.agreement_ops = AgreementOps(senders, lambda: self.clock, self.mine, parties)
        oracles = [replace(oracle, chain=self.chain) for oracle in self.rail.oracles]
        self.rail = context_on_chain(
            self.settings,
            self.store,
            lambda: self.clock,
            chain=self.chain,
            accounts=load_accounts(self.settings, SENDING_ROLES),
            oracles=oracles,
            safeguarding=self.rail.safeguarding,
        )
        self.worker = Worker(self.rail)
        self.worker.recover()
        self.intake = Intake(self.store, self.rail.registry, products(), lambda: self.clock)

    def follow(self, *names: str) -> None:
        """Move agreements as `proofrail agreement move` does, until they have moved."""
        keys = keystore.keys_of(self.settings.keys / "parties")
        holds = frozenset({self.payer.address.lower(), self.payee.address.lower()})
        planner = MovePlanner(self.store, self.chain, self.agreement_ops, lambda: self.clock, holds)
        mover = Mover(planner, self.rail.sender, keys, self.mine)
        if mover.adoption().ready:
            mover.adopt(mover.adoption())
        for name in names:
            former = self.agreements[name]
            for _ in range(20):
                with self.store.read() as session:
                    row = agreements.get(session, former)
                move = mover.run(row, MoveOptions())
                if move.stage is MoveStage.MOVED:
                    break
                self.work(3, 20)
            assert move.stage is MoveStage.MOVED, (move.stage, move.why)
            self.agreements[name] = move.following.agreement_id

    def _chain_sums(self) -> tuple[dict[str, int], int, int]:
        names = self.chain.deployment.named("PaymentRail")
        totals = [self.chain.view(name, "totals") for name in names]
        sums = [sum(parts) for parts in zip(*totals, strict=True)]
        held = dict(zip(_HELD, sums, strict=False))
        return held, sums[5], self.chain.view(_KEPT, "totalSupply")

    def tokens(self) -> dict[str, int]:
        """Return who holds how many tokens: the parties, and each rail."""
        at = self.chain.deployment
        holders = {"payer": self.payer.address, "payee": self.payee.address}
        holders |= {name: at.addresses[name] for name in at.named("PaymentRail")}
        return {n: self.chain.view(_KEPT, "balanceOf", a) for n, a in holders.items()}
