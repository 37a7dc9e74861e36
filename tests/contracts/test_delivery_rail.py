"""A delivery on the whole rail: domains, disputes, credits, the deadline's refund, one dock.

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
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.dock import NOTHING
from tests.support.contracts.stage import DAY, EURO, HOUR, ORACLE_KEYS

DOCK = bytes(Web3.keccak(text="dock-1"))
KEY = DeviceSigner.p256(60_001)


class Carriage:
    """Two consignments for one dock, 40 euro each, funded, due in a day."""

    def __init__(self, stage) -> None:
        self.stage = stage
        self.product = stage.add_product("ProofOfDelivery")
        stage.enrol(DOCK, KEY)
        self.due = stage.now + DAY
        self.one, self.two = (self.open(f"sscc:{n}") for n in "12")
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
        mandate = self.stage.mandate(
            **{
                "device": DOCK,
                "product": self.product.address,
                "first_counter": 0,
                "expiry": self.due + 10 * DAY,
                "terms": product.encode_terms(terms),
                **changes,
            }
        )
        agreement = self.stage.open(mandate)
        self.stage.mint(40 * EURO, agreement)
        return agreement

    def claim(self, agreement: bytes, sequence: int, key=KEY, **said) -> Claim:
        self._spoken += 1
        digest = hashlib.sha256(str(self._spoken).encode()).digest()
        r, s = key.sign(digest)
        name = hashlib.sha256(said.pop("statement", "in").encode()).digest()
        plain = {"signed_at": self.stage.now, "delivered_at": self.due if "received" in said else 0}
        facts = NOTHING._replace(**{**plain, **said}, statement=name, digest=digest, r=r, s=s)
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
        return self.stage.settle(*ordered, keys=keys, product=self.product)

    def escrow(self, agreement: bytes) -> int:
        return self.stage.rail.agreementState(agreement).escrow


@pytest.fixture
def carriage(stage):
    return Carriage(stage)


def test_dock__with_several_consignments__settles_them_in_one_batch(carriage):
    done = carriage.settle(
        carriage.claim(carriage.one, 1, received=100),
        carriage.claim(carriage.two, 1, received=50, picked_up_at=1),
    )
    assert sorted(done.amounts) == [18 * EURO, 20 * EURO] and done.refusals == [0, 0]
    carriage.stage.assert_conserved()


def test_carrier_only_release__with_every_oracle_signing__refused_and_nothing_moves(carriage):
    claim = carriage.claim(carriage.one, 1, DeviceSigner.p256(60_002), received=100)
    done = carriage.settle(claim, keys=carriage.stage.oracles)
    assert done.named == ["product 7"]
    assert product.REFUSALS[7] == "SignatureInvalid"
    assert carriage.escrow(carriage.one) == 40 * EURO


def test_release__oracles_of_one_domain__no_quorum_whatever_the_recipient_signed(carriage):
    stage = carriage.stage
    third, spare = ORACLE_KEYS[5], stage.oracles[3]  # stage seats domains 1, 1, 2, 3
    stage.committee.unseat(Account.from_key(spare).address, sender=stage.steward)
    stage.committee.seat(Account.from_key(third).address, 1, sender=stage.steward)
    batch = stage.batch(carriage.claim(carriage.one, 1, received=100), product=carriage.product)

    def answer(*keys):
        ordered = sorted(keys, key=lambda key: int(Account.from_key(key).address, 16))
        return stage.would_settle(batch, stage.attest(batch, ordered))

    assert answer(*stage.oracles[:2], third) == "DomainsMissing"
    assert answer(*stage.oracles[1:3], third) == ""


def test_release__without_the_payers_own_domain__refused(carriage):
    stage = carriage.stage
    agreement = carriage.open("sscc:3", required_domain=3)
    done = carriage.settle(carriage.claim(agreement, 1, received=100), keys=stage.oracles[:3])
    assert done.named == ["DomainMissing"]
    done = carriage.settle(carriage.claim(agreement, 1, received=100), keys=stage.oracles)
    assert done.amounts == [20 * EURO]


def test_dispute__inside_the_window__freezes_the_milestone(carriage):
    stage = carriage.stage
    done = carriage.settle(carriage.claim(carriage.one, 1, received=100))
    stage.rail.dispute(*done.dispute(), sender=stage.payer)
    assert stage.rail.totals()[3] == 20 * EURO
    stage.wait(2 * DAY)
    found = stage.refusal(stage.rail.release, stage.payee, [done.release_at], sender=stage.payee)
    assert found == "NothingDue"
    stage.assert_conserved()


def test_withdrawal__after_the_money_left__is_a_debt_that_the_next_delivery_pays(carriage):
    stage, rail = carriage.stage, carriage.stage.rail
    first = carriage.settle(carriage.claim(carriage.one, 1, received=100))
    stage.wait(DAY)
    rail.release(stage.payee, [first.release_at], sender=stage.stranger)
    back = carriage.settle(carriage.claim(carriage.one, 2, received=100, withdrawn=True))
    assert back.amounts == [-20 * EURO] and rail.owed(stage.payee) == 20 * EURO
    assert carriage.escrow(carriage.one) == 20 * EURO
    second = carriage.settle(carriage.claim(carriage.two, 1, received=100, statement="two"))
    stage.wait(DAY)
    rail.release(stage.payee, [second.release_at], sender=stage.stranger)
    assert rail.owed(stage.payee) == 0 and carriage.escrow(carriage.one) == 40 * EURO
    stage.assert_conserved()


def test_deadline__passed__nothing_is_released_and_a_stranger_sends_the_rest_back(carriage):
    stage, rail = carriage.stage, carriage.stage.rail
    carriage.settle(carriage.claim(carriage.one, 1, picked_up_at=1))
    stage.wait(8 * DAY + HOUR)
    late = carriage.claim(carriage.one, 2, received=100, delivered_at=stage.now - 60)
    assert carriage.settle(late).named == ["product 4"]
    assert product.REFUSALS[4] == "DeadlinePassed"
    stage.wait(4 * DAY)
    before = stage.token.balanceOf(stage.payer)
    rail.reclaim(carriage.one, sender=stage.stranger)
    assert stage.token.balanceOf(stage.payer) - before == 32 * EURO
    stage.assert_conserved()
