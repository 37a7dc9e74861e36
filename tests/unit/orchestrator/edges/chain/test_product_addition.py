"""Two versions of a product live side by side: a running rail settles agreements of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from web3 import Web3

from oracles.attest import batch_digest, sign
from oracles.types import Batch
from oracles.wire import OracleAnswer, Request
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.extension import extend
from orchestrator.edges.chain.product_addition import ProductAddition
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import lookup
from orchestrator.operations.agreements import AgreementOps, Enrolment, enrolment_digest
from orchestrator.products import deployed
from services.development import development_plan
from tests.support.growing_home import other_version
from tests.support.small_rail import START, SmallRail, WillingOracle, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

PRODUCT, OLD, NEW = "MeteredEnergy", "cp-0001", "cp-0003"


class OracleOfVersions(WillingOracle):
    """Signs for the version of a product that it is asked about."""

    def ask(self, request: Request) -> OracleAnswer:
        deployment = self.chain.deployment
        at = deployment.addresses
        batch = Batch(at["PaymentRail"], deployed(at)[request.product][0], request.claims)
        digest = batch_digest(batch, deployment.chain_id, at["OracleCommittee"])
        return OracleAnswer(self.address, sign(digest, self.key))


@pytest.fixture
def rail(tmp_path) -> Iterator[SmallRail]:
    rail = SmallRail(tmp_path / "home").start()
    yield rail
    rail.stop()


def add_version(rail: SmallRail) -> None:
    """Deploy another version of the product and list it, as the two commands do."""
    artifacts, plan = load_artifacts(), development_plan()
    artifacts[PRODUCT] = other_version(artifacts[PRODUCT])
    rail.testnet.rpc("evm_setAutomine", True)
    addition = ProductAddition(PRODUCT, rail.chain.deployment, plan.deployer)
    deployment = extend(rail.testnet.url, artifacts, addition, rail.settings.deployment)
    web3 = Web3(Web3.HTTPProvider(rail.testnet.url))
    at = deployment.addresses
    contract = web3.eth.contract(at["PaymentRail"], abi=artifacts["PaymentRail"].abi)
    sent = contract.functions.allowProduct(at[PRODUCT]).transact({"from": plan.steward})
    assert web3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    rail.testnet.rpc("evm_setAutomine", False)
    restart(rail, Chain(rail.testnet.url, deployment, artifacts))


def restart(rail: SmallRail, chain: Chain) -> None:
    """Build the service from its home again, as its next start does."""
    rail.chain, keys = chain, rail.settings.keys
    senders = {
        role: Sender(rail.store, chain, keystore.load(keys, role))
        for role in ("registrar", "sender", "warden")
    }
    parties = keystore.keys_of(keys / "parties")
    rail.agreement_ops = AgreementOps(senders, lambda: rail.clock, rail.mine, parties)
    rail._rail()
    oracles = [OracleOfVersions(**vars(oracle)) for oracle in rail.rail.oracles]
    rail.rail = rail.worker.context = replace(rail.rail, oracles=oracles)


def enrol(rail: SmallRail, name: str) -> None:
    device, deployment = rail.fleet.add(name), rail.chain.deployment
    registry, owner = deployment.addresses["DeviceRegistry"], rail.payee.address
    digest = enrolment_digest(deployment.chain_id, registry, name, owner)
    rail.agreement_ops.enrol([Enrolment(name, device.public, owner, *device.sign_digest(digest))])


def test_versions__old_and_new_agreement__both_settle_on_the_running_rail(rail):
    rail.fund(OLD, 20_000)
    rail.work(4)
    before = rail.chain.deployment.addresses[PRODUCT]
    add_version(rail)
    enrol(rail, NEW)
    rail.agree(NEW)
    rail.fund(NEW, 20_000)
    rail.work(4)
    rail.clock = START + 100_000
    records = [record for name in (OLD, NEW) for record in rail.fleet[name].session("10")]
    assert rail.take(*records) == ["accepted"] * 2
    rail.work(8, 20)
    at = rail.chain.deployment.addresses
    with rail.store.read() as session:
        rows = {
            agreement.device: (payment, agreement.product_address)
            for payment, agreement in lookup.newest_payments(session, None, 10)
        }
    assert {name: address for name, (_, address) in rows.items()} == {
        OLD: before,
        NEW: at[PRODUCT],
    }
    assert at[f"{PRODUCT}@0.6.0"] == before != at[PRODUCT]
    amounts = {payment.amount_micro for payment, _ in rows.values()}
    assert len(amounts) == 1 and amounts.pop() > 0
    assert {payment.stage for payment, _ in rows.values()} == {"paid_out"}
