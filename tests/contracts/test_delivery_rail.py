"""A delivery on the whole rail: domains, disputes, debts, the deadline's refund, one dock.

ProofOfDelivery on the rail
├── attested
│   ├── by oracles of one domain, or without the payer's: it should move nothing
│   └── by every oracle, without the recipient's signature: it should be refused by name
├── settled: it should wait for its window, and freeze when disputed
├── withdrawn after the money has left: it should be a debt of the payee, paid out of the next
└── after the deadline: anyone should be able to send the rest back to the payer
"""

from __future__ import annotations

import hashlib

import pytest
from web3 import Web3

from oracles.types import Claim
from orchestrator.edges.chain.ethereum import Account
from orchestrator.products.proof_of_delivery import product
from orchestrator.products.proof_of_delivery.abi import DeliveryTerms
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, ORACLE_KEYS, RELEASED
from tests.support.contracts.delivery_contract import NOTHING
from tests.support.contracts.device_keys import DeviceSigner

DOCK = bytes(Web3.keccak(text="dock-1"))
KEY = DeviceSigner.p256(60_001)


class Carriage:
    """Two consignments for one dock, 40 euro each, funded, due in a day."""

    def __init__(self, contracts) -> None:
        self.contracts = contracts
        self.product = contracts.add_product("ProofOfDelivery")
        contracts.enrol(DOCK, KEY)
        self.due = contracts.now + DAY
        self.first, self.second = (self.open(f"sscc:{n}") for n in "12")
        self._spoken = 0

    def open(self, subject: str, **changes) -> bytes:
        terms = DeliveryTerms(
            bytes(Web3.keccak(text=subject)),
            b"\2" * 32,
            bytes(32),
            40 * EURO,
            100,
            2_000,
            5_000,
            3_000,
            self.due,
            self.due + 7 * DAY,
        )
        mandate = self.contracts.mandate(
            **{
                "device": DOCK,
                "product": self.product.address,
                "first_counter": 0,
                "expiry": self.due + 10 * DAY,
                "terms": product.encode_terms(terms),
                **changes,
            }
        )
        agreement = self.contracts.open(mandate)
        self.contracts.mint(40 * EURO, agreement)
        return agreement

    def claim(self, agreement: bytes, sequence: int, key=KEY, **fields) -> Claim:
        self._spoken += 1
        digest = hashlib.sha256(str(self._spoken).encode()).digest()
        r, s = key.sign(digest)
        name = hashlib.sha256(fields.pop("event_hash", "in").encode()).digest()
        plain = {
            "signed_at": self.contracts.now,
            "delivered_at": self.due if "received" in fields else 0,
        }
        facts = NOTHING._replace(**{**plain, **fields}, event_hash=name, digest=digest, r=r, s=s)
        return Claim(
            agreement,
            sequence,
            self._spoken,
            self._spoken,
            Web3.keccak(text="e"),
            product.encode_facts(facts),
        )

    def settle(self, *claims, keys=None):
        ordered = sorted(claims, key=lambda claim: claim.agreement)
        return self.contracts.settle(*ordered, keys=keys, product=self.product)

    def escrow(self, agreement: bytes) -> int:
        return self.contracts.rail.agreementState(agreement).escrow


@pytest.fixture
def carriage(contracts):
    return Carriage(contracts)


def test_dock__with_several_consignments__settles_them_in_one_batch(carriage):
    settlement = carriage.settle(
        carriage.claim(carriage.first, 1, received=100),
        carriage.claim(carriage.second, 1, received=50, picked_up_at=1),
    )
    assert sorted(settlement.amounts) == [18 * EURO, 20 * EURO] and settlement.refusals == [0, 0]
    carriage.contracts.assert_conserved()


def test_carrier_only_payment__with_every_oracle_signing__refused_and_nothing_moves(carriage):
    claim = carriage.claim(carriage.first, 1, DeviceSigner.p256(60_002), received=100)
    settlement = carriage.settle(claim, keys=carriage.contracts.oracles)
    assert settlement.named == ["product 7"]
    assert product.REFUSALS[7] == "SignatureInvalid"
    assert carriage.escrow(carriage.first) == 40 * EURO


def test_payment__oracles_of_one_domain__no_quorum_even_if_the_recipient_signed(carriage):
    contracts = carriage.contracts
    third, spare = ORACLE_KEYS[5], contracts.oracles[3]  # ContractRail seats domains 1, 1, 2, 3
    contracts.committee.unseat(Account.from_key(spare).address, sender=contracts.steward)
    contracts.committee.seat(Account.from_key(third).address, 1, sender=contracts.steward)
    batch = contracts.batch(
        carriage.claim(carriage.first, 1, received=100), product=carriage.product
    )

    def answer(*keys):
        ordered = sorted(keys, key=lambda key: int(Account.from_key(key).address, 16))
        return contracts.would_settle(batch, contracts.attest(batch, ordered))

    assert answer(*contracts.oracles[:2], third) == "DomainsMissing"
    assert answer(*contracts.oracles[1:3], third) == ""


def test_payment__without_the_payers_own_domain__refused(carriage):
    contracts = carriage.contracts
    agreement = carriage.open("sscc:3", required_domain=3)
    settlement = carriage.settle(
        carriage.claim(agreement, 1, received=100), keys=contracts.oracles[:3]
    )
    assert settlement.named == ["DomainMissing"]
    settlement = carriage.settle(carriage.claim(agreement, 1, received=100), keys=contracts.oracles)
    assert settlement.amounts == [20 * EURO]


def test_dispute__inside_the_window__freezes_the_milestone(carriage):
    contracts = carriage.contracts
    settlement = carriage.settle(carriage.claim(carriage.first, 1, received=100))
    contracts.dispute(settlement)
    assert contracts.rail.totals()[3] == 20 * EURO
    contracts.wait(2 * DAY)
    refusal = contracts.refusal(
        contracts.rail.release, contracts.payee, [settlement.release_at], sender=contracts.payee
    )
    assert refusal == "NothingDue"
    contracts.assert_conserved()


def test_withdrawal__after_the_money_left__is_a_debt_that_the_next_delivery_pays(carriage):
    contracts, rail = carriage.contracts, carriage.contracts.rail
    first = carriage.settle(carriage.claim(carriage.first, 1, received=100))
    contracts.wait(RELEASED)
    rail.release(contracts.payee, [first.release_at], sender=contracts.stranger)
    back = carriage.settle(carriage.claim(carriage.first, 2, received=100, withdrawn=True))
    assert back.amounts == [-20 * EURO] and rail.owed(contracts.payee) == 20 * EURO
    assert carriage.escrow(carriage.first) == 20 * EURO
    second = carriage.settle(carriage.claim(carriage.second, 1, received=100, event_hash="two"))
    contracts.wait(RELEASED)
    rail.release(contracts.payee, [second.release_at], sender=contracts.stranger)
    assert rail.owed(contracts.payee) == 0 and carriage.escrow(carriage.first) == 40 * EURO
    contracts.assert_conserved()


def test_refund_by_ruling_and_then_the_withdrawal__the_payee_owes_nothing(carriage):
    """On 0.3.0 the payee owed for a delivery that a ruling had refunded already."""
    contracts, rail = carriage.contracts, carriage.contracts.rail
    settlement = carriage.settle(carriage.claim(carriage.first, 1, received=100))
    payment = contracts.dispute(settlement)
    contracts.disputes.concede(payment, sender=contracts.payee)
    assert carriage.escrow(carriage.first) == 40 * EURO
    back = carriage.settle(carriage.claim(carriage.first, 2, received=100, withdrawn=True))
    assert (back.named, back.amounts) == (["None"], [0])
    assert rail.owed(contracts.payee) == 0
    right = carriage.settle(carriage.claim(carriage.first, 3, received=50, event_hash="two"))
    assert right.amounts == [10 * EURO]
    contracts.assert_conserved()


def test_deadline__passed__nothing_is_paid_and_a_stranger_sends_the_rest_back(carriage):
    contracts, rail = carriage.contracts, carriage.contracts.rail
    carriage.settle(carriage.claim(carriage.first, 1, picked_up_at=1))
    contracts.wait(8 * DAY + HOUR)
    late = carriage.claim(carriage.first, 2, received=100, delivered_at=contracts.now - 60)
    assert carriage.settle(late).named == ["product 4"]
    assert product.REFUSALS[4] == "DeadlinePassed"
    contracts.wait(4 * DAY)
    before = contracts.token.balanceOf(contracts.payer)
    rail.reclaim(carriage.first, sender=contracts.stranger)
    assert contracts.token.balanceOf(contracts.payer) - before == 32 * EURO
    contracts.assert_conserved()
