"""Gas of settlements: within the block rule always, and per claim within what was measured.

settle
├── given 224 claims of distinct agreements (the most a batch may hold)
│   └── it should stay below 16,777,216 gas (EIP-7825); half of it where all are first claims
├── given 128 debts of distinct payees
│   └── it should stay below it too
├── given growing batches
│   └── it should cost less per claim
└── given one signature more
    └── it should cost 4,700 gas at most: no slot is read for a signer
release: 32 debts at once should stay far below it

A chain of its own: other tests would begin from its many agreements.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.logs import DISCARD

from oracles.attest import batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain.ethereum import Account
from orchestrator.edges.chain.keystore import development_account
from services.testnet import CHAIN_ID, TX_GAS_LIMIT, Testnet
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, KWH, facts, terms
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.forks import Fork, outcomes
from tests.support.contracts.settled import arguments, known, plain_facts

LIMITS = {1: 171_000, 10: 60_000, 100: 49_000}  # gas per claim: measured plus slack
DEBTS = 128
SIGNATURE = 4_700  # gas: 65 bytes of calldata are 1,040, ecrecover is 3,100


class GasRail(Fork):
    """A deployed rail with funded agreements, `count` of one payee and `lone` of their own."""

    def __init__(
        self, chain: Testnet, artifacts: dict[str, Any], journal: Path, count: int, lone: int
    ) -> None:
        super().__init__("osaka", chain, artifacts, journal)
        self.keys = sorted(
            (bytes(development_account(index).key) for index in (5, 6, 7, 8)),
            key=lambda key: int(Account.from_key(key).address, 16),
        )
        self.payer, self.payee = development_account(10), development_account(11)
        self.start = self.clock = self.now
        self.sequence: dict[bytes, int] = {}
        self.agreements = sorted(self.add(index, self.payee.address) for index in range(count))
        self.lone = sorted(self.add(count + index, stranger(index)) for index in range(lone))
        while self.node.rpc("eth_getTransactionReceipt", self.last) is None:
            time.sleep(0.05)
        self.start = self.clock = self.now

    def post(self, contract: str, function: str, *args: Any, sender: str) -> None:
        """Send and do not wait; `settle` waits for the last, so all are mined by then."""
        call = self._call(contract, function, args, sender)
        self.last = self.node.rpc("eth_sendTransaction", {**call, "gas": hex(TX_GAS_LIMIT)})

    def add(self, index: int, payee: str, product: str = "MeteredEnergy") -> bytes:
        device, key = Web3.keccak(index + 1), DeviceSigner.p256(index + 1)
        self.post(
            "DeviceRegistry",
            "enrol",
            *self.enrolment(device, key, self.payer.address),  # an owner that pays consents
            sender=self.plan.registrar,
        )
        mandate = Mandate(
            payer=self.payer.address,
            payee=payee,
            device=device,
            product=self.at[product].address,
            cap=50 * EURO,
            period_days=30,
            window=DAY,
            start=0,  # the opening: the device was active ever since
            expiry=self.start + 90 * DAY,
            first_counter=0,
            required_domain=0,
            bond=EURO,
            salt=device,
            terms=terms() if product == "MeteredEnergy" else b"",
        )
        known(mandate)
        rail = self.at["PaymentRail"].address
        document = mandate.typed_data(CHAIN_ID, rail)
        signed = Account.sign_typed_data(self.payer.key, full_message=document).signature
        opening = (mandate.as_tuple(), signed, b"")
        self.post("PaymentRail", "open", *opening, sender=self.payer.address)
        self.post(
            "EuroToken",
            "mintToEscrow",
            device,
            rail,
            mandate.agreement_id(),
            20 * EURO,
            sender=self.plan.minter,
        )
        self.sequence[mandate.agreement_id()] = 0
        return mandate.agreement_id()

    def settle(self, agreements: list[bytes], amount: int | None = None) -> int:
        """Settle one batch, every claim of which must be taken; return its gas.

        With `amount` (token minor units) the plain product prices it.
        """
        return self.settled(agreements, amount)["gasUsed"]

    def gas_beyond_bytes(self, signers: int) -> int:
        """Return the gas of a batch of one claim but for its calldata, whose zeros cost less."""
        receipt = self.settled(self.agreements[:1], signers=signers)
        data = self.web3.eth.get_transaction(receipt["transactionHash"])["input"]
        return receipt["gasUsed"] - sum(16 if byte else 4 for byte in data)

    def settled(self, agreements: list[bytes], amount: int | None = None, signers: int = 3) -> Any:
        """Settle one batch, every claim of which must be taken; return its receipt.

        The oracles' signatures stand in one element, in ascending order of the signers.
        """
        name = "MeteredEnergy" if amount is None else "PlainProduct"
        claims = tuple(self.claim(agreement, amount) for agreement in agreements)
        batch = Batch(self.at["PaymentRail"].address, self.at[name].address, claims)
        digest = batch_digest(batch, CHAIN_ID, self.at["OracleCommittee"].address)
        signatures = [b"".join(sign(digest, key) for key in self.keys[:signers])]
        while self.node.rpc("eth_getTransactionReceipt", self.last) is None:
            time.sleep(0.05)
        self.clock += HOUR  # each batch its own release time: its first write of it costs more
        self.chain.rpc("evm_setNextBlockTimestamp", self.clock)
        receipt = self.send(
            "PaymentRail", "settle", arguments(batch), signatures, sender=self.payer.address
        )
        (log,) = self.at["PaymentRail"].events.Settled().process_receipt(receipt, errors=DISCARD)
        assert {refusal for _, refusal in outcomes(log)} == {0}, "a claim was refused"
        return receipt

    def claim(self, agreement: bytes, amount: int | None) -> Claim:
        self.sequence[agreement] += 1
        n = self.sequence[agreement]
        begin = self.start + (n - 1) * HOUR  # no reading lies ahead of its block
        row = plain_facts(amount or 0)
        if amount is None:
            row = facts(n * KWH, (n + 1) * KWH, begin, begin + HOUR)
        return Claim(agreement, n, 2 * n, 2 * n + 1, Web3.keccak(text="evidence"), row)


def stranger(index: int) -> str:
    return Web3.to_checksum_address(Web3.keccak(index)[:20])


@pytest.fixture(scope="module")
def rail(artifacts, tmp_path_factory):
    journal = tmp_path_factory.mktemp("gas") / "journal.json"
    with Testnet() as chain:
        yield GasRail(chain, artifacts, journal, 100, 224)


@pytest.mark.long
def test_settle__batches_of_1_to_100_claims__cost_less_per_claim(rail):
    rail.settle(rail.agreements)  # the first claims; what follows is the daily run
    measured = {size: rail.settle(rail.agreements[:size]) // size for size in LIMITS}
    print("\ngas per claim:", measured)
    for size, limit in LIMITS.items():
        assert measured[size] <= limit, measured


def test_settle__one_signature_more__costs_its_bytes_and_its_recovery(rail):
    rail.settle(rail.agreements[:1])  # the first claim
    more = 65 * 16 + rail.gas_beyond_bytes(4) - rail.gas_beyond_bytes(3)
    print("\ngas of one signature more:", more)
    assert more <= SIGNATURE


def test_settle__every_claim_of_another_payee__a_full_batch_still_fits(rail):
    half = len(rail.lone) // 2  # a first claim that passes a counter opens its list of gaps
    first = [rail.settle(rail.lone[:half]), rail.settle(rail.lone[half:])]
    gas = rail.settle(rail.lone)
    print("\ngas of 224 claims of 224 payees:", gas, "and of the first ones, in halves:", first)
    assert gas < TX_GAS_LIMIT and max(first) < 10_600_000


@pytest.fixture(scope="module")
def plain(rail):
    """The plain product is listed; agreements of it, each with a payee of its own but the last."""
    product = rail.create("PlainProduct", rail.at["PaymentRail"].address, stranger(0), 0)
    rail.at["PlainProduct"] = product
    rail.send("PaymentRail", "allowProduct", product.address, sender=rail.plan.steward)
    payees = [stranger(1_000 + index) for index in range(DEBTS)]
    return sorted(rail.add(1_000 + i, payee, "PlainProduct") for i, payee in enumerate(payees))


def test_settle__debts_of_128_payees__fit(rail, plain):
    rail.settle(plain, 2)
    first, next_ = rail.settle(plain, -1), rail.settle(plain, -1)
    print("\ngas of 128 debts of 128 payees:", first, "and again:", next_)
    assert next_ < first < TX_GAS_LIMIT


def test_release__32_debts__costs_a_fraction_of_a_settlement(rail, plain):
    agreements = sorted(
        rail.add(2_000 + index, rail.payee.address, "PlainProduct") for index in range(40)
    )
    rail.settle(agreements, EURO)
    due = rail.clock + DAY
    rail.settle(agreements[1:], -1)
    rail.chain.rpc("evm_setNextBlockTimestamp", due)
    rail.clock = due
    receipt = rail.send(
        "PaymentRail", "release", rail.payee.address, [due], sender=rail.payer.address
    )
    paid = rail.at["PaymentRail"].events.DebtPaid().process_receipt(receipt, errors=DISCARD)
    print("\ngas of a release with 32 debts:", receipt["gasUsed"])
    assert len(paid) == 32 and receipt["gasUsed"] < 700_000
