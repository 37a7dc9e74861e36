"""Ape works on the same contracts, compiler and chain: compile, deploy, settle, console.

What the contracts do is tested in tests/contracts, with the versions that the product ships.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ape import accounts, chain, project
from ape.contracts import ContractContainer
from ethpm_types import ContractType
from web3 import Web3

from oracles.attest import batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.mandate import Mandate
from orchestrator.core.outcome import ClaimOutcome, Window, release_time
from orchestrator.edges.chain.artifacts import Artifact, load_artifacts
from orchestrator.edges.chain.ethereum import Account
from orchestrator.edges.chain.keystore import development_account
from scripts import deploy
from scripts.solidity.sources import ROOT
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, KWH, PRICE, facts, terms
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.settled import arguments, known

DEVICE = bytes(Web3.keccak(text="EVSE-1"))
NAMES = ("DeviceRegistry", "OracleCommittee", "EuroToken", "PaymentRail", "MeteredEnergy")


@pytest.fixture(scope="module")
def contracts():
    """Return the contracts that `ape run deploy` puts on the chain, as objects of Ape."""
    assert deploy.main() == 0
    deployment = deploy.under_ape()  # main() deployed it
    artifacts = load_artifacts()
    return {name: _container(artifacts[name]).at(deployment.addresses[name]) for name in NAMES}


def _container(artifact: Artifact) -> ContractContainer:
    code = {"bytecode": artifact.bytecode}
    kind = {"contractName": artifact.name, "abi": artifact.abi, "deploymentBytecode": code}
    return ContractContainer(ContractType.model_validate(kind))


def test_compile__by_ape__gives_the_interface_that_the_product_uses():
    """One contract: all of them take Ape a minute and show no more."""
    shipped = load_artifacts()["OracleCommittee"]
    (source,) = (ROOT / "contracts").rglob("OracleCommittee.sol")
    compiled = project.load_contracts(source)["OracleCommittee"]
    assert len(compiled.mutable_methods) > 2
    compiled_type = _container(shipped).contract_type
    assert compiled.selector_identifiers == compiled_type.selector_identifiers
    # the code as well, up to the hash of the metadata, which the product leaves out
    assert len(compiled.get_deployment_bytecode()) >= len(shipped.bytecode) // 2 - 2


def test_settle__on_contracts_deployed_by_ape__pays_what_was_metered(contracts):
    rail, registry, token = (contracts[n] for n in ("PaymentRail", "DeviceRegistry", "EuroToken"))
    minter, registrar = accounts.test_accounts[3], accounts.test_accounts[4]
    payer, payee, owner = (accounts.test_accounts[index] for index in (9, 10, 11))
    key = DeviceSigner.p256(7)
    possession = key.sign(key.enrolment(registry.address, DEVICE, owner.address))
    named = (DEVICE, key.curve, key.x, key.y, owner, bytes(31) + b"\1", 0)
    registry.enrol(*named, *possession, sender=registrar)
    begin = chain.pending_timestamp
    chain.mine(timestamp=begin + 2 * DAY)
    product = contracts["MeteredEnergy"].address
    plain = Mandate(
        payer=payer.address,
        payee=payee.address,
        device=DEVICE,
        product=product,
        cap=50 * EURO,
        period_days=30,
        window=DAY,
        start=begin,
        expiry=begin + 90 * DAY,
        first_counter=0,
        required_domain=0,
        bond=EURO,
        salt=bytes(31) + b"\1",
        terms=terms(),
    )
    mandate = known(plain)
    document = mandate.typed_data(CHAIN_ID, rail.address)
    signature = Account.sign_typed_data(payer.private_key, full_message=document).signature
    rail.open(mandate.as_tuple(), bytes(signature), b"", sender=owner)  # the owner agrees by it
    agreement = mandate.agreement_id()
    token.mintToEscrow(bytes(31) + b"\1", rail, agreement, 20 * EURO, sender=minter)

    reading = facts(0, 10 * KWH, begin + HOUR, begin + 6 * HOUR)
    batch = Batch(rail.address, product, (Claim(agreement, 1, 1, 2, DEVICE, reading),))
    digest = batch_digest(batch, CHAIN_ID, contracts["OracleCommittee"].address)
    oracles = sorted((development_account(i) for i in (5, 6, 7)), key=lambda a: int(a.address, 16))
    signatures = [sign(digest, bytes(oracle.key)) for oracle in oracles]
    receipt = rail.settle(arguments(batch), signatures, sender=owner)
    (log,) = [log for log in receipt.events if log.event_name == "Settled"]
    assert bytes(log.outcomes) == (10 * PRICE).to_bytes(6, "big") + b"\0"
    due = release_time(ClaimOutcome(10 * PRICE, 0), log.settledAt, Window(DAY))
    assert rail.pending(payee, due) == 10 * PRICE


def test_console__of_ape__imports_the_project_on_our_chain():
    code = "from scripts.deploy import development_plan; print(development_plan, chain.chain_id)"
    ape = [str(Path(sys.executable).with_name("ape")), "console", "--code", code]
    answer = subprocess.run(ape, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert "function development_plan" in answer.stdout and str(CHAIN_ID) in answer.stdout
