"""Gas of settlements: within the block rule always, and per claim within what was measured.

settle
├── given 256 claims of distinct agreements (the most a batch may hold)
│   └── it should stay below 16,777,216 gas (EIP-7825), first claims and later ones
└── given growing batches
    └── it should cost less per claim

A chain of its own: Ape's node keeps a trace of every step, which a full batch drowns in.
"""

from __future__ import annotations

import pytest
from device_keys import DeviceSigner
from eth_account import Account
from settled import arguments
from stage import DAY, EURO, HOUR, KWH, NONE, facts, terms
from web3 import Web3

from oracles.attest import batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.deployment import deploy
from orchestrator.edges.chain.keystore import development_account
from scripts.deploy import development_plan
from scripts.testnet import TX_GAS_LIMIT, Testnet

LIMITS = {1: 156_000, 10: 46_000, 100: 38_000}  # gas per claim: measured plus slack


class Rail:
    """A deployed rail with funded agreements, `count` of one payee and `lone` of their own."""

    def __init__(self, chain: Testnet, artifacts, journal, count: int, lone: int) -> None:
        self.plan = development_plan()
        self.chain, self.web3 = chain, Web3(Web3.HTTPProvider(chain.url))
        found = deploy(chain.url, artifacts, self.plan, journal)
        self.at = {name: self.web3.eth.contract(address=address, abi=artifacts[name].abi)
                   for name, address in found.addresses.items()}
        self.keys = sorted((bytes(development_account(index).key) for index in (5, 6, 7, 8)),
                           key=lambda key: int(Account.from_key(key).address, 16))
        self.payer, self.payee = development_account(10), development_account(11)
        self.start = self.now = self.web3.eth.get_block("latest")["timestamp"]
        self.agreements = sorted(self.add(index, self.payee.address) for index in range(count))
        strangers = [Web3.to_checksum_address(Web3.keccak(index)[:20]) for index in range(lone)]
        self.lone = sorted(self.add(count + index, payee)
                           for index, payee in enumerate(strangers))
        self.sequence = dict.fromkeys([*self.agreements, *self.lone], 0)

    def send(self, contract: str, function: str, *args, sender: str) -> str:
        target = self.at[contract]
        data = target.encode_abi(function, list(args))
        return self.chain.rpc("eth_sendTransaction", {
            "from": sender, "to": target.address, "data": data, "gas": hex(TX_GAS_LIMIT)})

    def add(self, index: int, payee: str) -> bytes:
        device, key = Web3.keccak(index + 1), DeviceSigner.p256(index + 1)
        registry, rail = self.at["DeviceRegistry"].address, self.at["PaymentRail"].address
        proof = key.sign(key.enrolment(registry, device, payee))
        self.send("DeviceRegistry", "enrol", device, key.curve, key.x, key.y, payee, NONE, 0,
                  *proof, sender=self.plan.registrar)
        mandate = Mandate(
            self.payer.address, payee, device, self.at["MeteredEnergy"].address, 50 * EURO, 30,
            DAY, self.start + 90 * DAY, 0, 0, device, terms(),
        )
        document = mandate.typed_data(self.web3.eth.chain_id, rail)
        consent = Account.sign_typed_data(self.payer.key, full_message=document).signature
        self.send("PaymentRail", "open", mandate.as_tuple(), consent, sender=self.payer.address)
        self.send("EuroToken", "mintToEscrow", device, rail, mandate.agreement_id(), 20 * EURO,
                  sender=self.plan.gateway)
        return mandate.agreement_id()

    def settle(self, agreements: list[bytes]) -> int:
        """The gas of one batch, every claim of which was paid."""
        claims = tuple(self.claim(one) for one in agreements)
        rail = self.at["PaymentRail"].address
        batch = Batch(rail, self.at["MeteredEnergy"].address, claims)
        digest = batch_digest(batch, self.web3.eth.chain_id, self.at["OracleCommittee"].address)
        signatures = [sign(digest, key) for key in self.keys[:3]]
        self.now += HOUR  # each batch its own release time: its first write of it costs more
        self.chain.rpc("evm_setNextBlockTimestamp", self.now)
        digest = self.send("PaymentRail", "settle", arguments(batch), signatures,
                           sender=self.payer.address)
        receipt = self.web3.eth.wait_for_transaction_receipt(digest, poll_latency=0.01)
        (log,) = self.at["PaymentRail"].events.Settled().process_receipt(receipt)
        assert set(log["args"]["outcomes"][6::7]) == {0}, "a claim was refused"
        return receipt["gasUsed"]

    def claim(self, agreement: bytes) -> Claim:
        self.sequence[agreement] += 1
        n = self.sequence[agreement]
        begin = self.start + n * HOUR  # all were enrolled within the first hour
        row = facts(n * KWH, (n + 1) * KWH, begin, begin + HOUR)
        return Claim(agreement, n, 2 * n, 2 * n + 1, Web3.keccak(text="evidence"), row)


@pytest.fixture(scope="module")
def rail(artifacts, tmp_path_factory):
    journal = tmp_path_factory.mktemp("gas") / "journal.json"
    with Testnet() as chain:
        yield Rail(chain, artifacts, journal, 100, 256)


def test_settle__batches_of_1_to_100_claims__cost_less_per_claim(rail):
    rail.settle(rail.agreements)  # the first claims; what follows is the daily run
    measured = {size: rail.settle(rail.agreements[:size]) // size for size in LIMITS}
    print("\ngas per claim:", measured)
    for size, limit in LIMITS.items():
        assert measured[size] <= limit, measured


def test_settle__every_claim_of_another_payee__a_full_batch_still_fits(rail):
    gas = rail.settle(rail.lone)
    print("\ngas of 256 claims of 256 payees:", gas)
    assert gas < TX_GAS_LIMIT
