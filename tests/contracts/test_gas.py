"""Gas of settlements: within the block rule always, and per claim within what was measured.

settle
├── given 224 claims of distinct agreements and payees
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

import pytest
from web3.logs import DISCARD

from orchestrator.core.outcome import ClaimOutcome, Window, release_time
from services.testnet import TX_GAS_LIMIT, Testnet
from tests.support.contracts.contract_rail import DAY, EURO
from tests.support.contracts.gas_rail import GasRail, stranger

LIMITS = {1: 121_000, 10: 28_500, 100: 17_200}  # gas per claim: measured plus slack
DEBTS = 128
SIGNATURE = 4_700  # gas: 65 bytes of calldata are 1,040, ecrecover is 3,100


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
    quarter = DAY // 4  # of the window: what settles within it shares a slot of pending money
    rail.clock += quarter - rail.clock % quarter
    rail.settle(rail.agreements[:1])  # the first claim of that slot
    more = rail.signature_more(rail.agreements[:1])
    print("\ngas of one signature more:", more)
    assert 65 * 16 + 3_000 < more <= SIGNATURE


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
    due = release_time(ClaimOutcome(EURO, 0), rail.clock, Window(DAY))
    rail.settle(agreements[1:], -1)
    rail.chain.rpc("evm_setNextBlockTimestamp", due)
    rail.clock = due
    receipt = rail.send(
        "PaymentRail", "release", rail.payee.address, [due], sender=rail.payer.address
    )
    paid = rail.at["PaymentRail"].events.DebtPaid().process_receipt(receipt, errors=DISCARD)
    print("\ngas of a release with 32 debts:", receipt["gasUsed"])
    assert len(paid) == 32 and receipt["gasUsed"] < 760_000
