"""A rail of release 0.5.0 moves to the contracts of today, agreement by agreement.

The rail has a meter with a matured payout, an unmatured one and a disputed payment; a meter whose
payee owes; a wearable that paid two merchants; a delivery that has not begun, and one on its way.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.keystore import development_account
from orchestrator.edges.store import evidence
from orchestrator.operations.agreement_move import salt_of
from orchestrator.products.proof_of_delivery import product as deliveries
from orchestrator.products.proof_of_delivery.abi import DeliveryFacts, DeliveryTerms
from orchestrator.products.wearable_voucher.abi import VoucherTerms, encode_terms
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, EURO, HOUR
from tests.support.former_rail import ELSEWHERE, FormerRail, device_id, former, meter_terms
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

METER, OWING, BAND, DOCK, BUSY, REMOTE = "meter", "owing", "band", "dock", "busy", "remote"
ESTIMATED = 1


class MovingRail(FormerRail):
    """The rail of this file's story."""

    def __init__(self, home) -> None:
        super().__init__(home)
        self.releases: list[tuple[str, int]] = []
        for number, (name, owner) in enumerate(
            {METER: "Nord", OWING: "Nord", BAND: "Ada", DOCK: "Ada", REMOTE: "Nord"}.items()
        ):
            self.enrol(name, owner, 900 + number)
        self.wait(DAY)
        self.opened = self.now
        for name in (METER, OWING, REMOTE):
            index = {"payer_index": ELSEWHERE, "payer": self.account(ELSEWHERE).address}
            elsewhere = index if name == REMOTE else {}
            self.agree(name, "metered_energy", "MeteredEnergy", meter_terms(), **elsewhere)
        terms = VoucherTerms(
            CHAIN_ID,
            self.addresses[former("WearableVoucher")],
            25 * EURO,
            0,
            (),
            0,
            5,
            50 * EURO,
            30 * DAY,
        )
        nobody = "0x" + "00" * 20
        raw = encode_terms(terms)
        self.agree(BAND, "wearable_voucher", "WearableVoucher", raw, payee=nobody)
        for name in (DOCK, f"{DOCK}/{BUSY}"):
            raw = deliveries.encode_terms(self.delivery(name))
            self.agree(name, "proof_of_delivery", "ProofOfDelivery", raw)
        self._charge()

    def delivery(self, name: str) -> DeliveryTerms:
        """Return the terms of a delivery: 50 euro for ten units."""
        return DeliveryTerms(
            hashlib.sha256(name.encode()).digest(),
            device_id("truck"),
            bytes(32),
            50 * EURO,
            10,
            2_000,
            5_000,
            3_000,
            self.opened + 200 * DAY,
            self.opened + 300 * DAY,
        )

    def statement(self, text: str, signed_at: int) -> bytes:
        """Return the facts of a pick-up that the recipient signed."""
        digest = hashlib.sha256(text.encode()).digest()
        proof = self.keys[DOCK].sign(digest)
        fields = (False, 0, 0, signed_at, 0, 0, 0, 0, 0, 0, signed_at)
        return deliveries.encode_facts(DeliveryFacts(*fields, digest, digest, *proof))

    def pay(self, device: str, contract: str, claim: Any, payee: str = "Nord") -> Any:
        result = self.settle(device, contract, claim, payee)
        self.releases.append((self.party(payee).address, result.release_at))
        return result

    def _charge(self) -> None:
        """Settle what the file's first lines tell."""
        at = [self.opened + hour * HOUR for hour in range(200)]
        self.wait(DAY)
        self.first = self.claim(METER, 1, (1, 10), self.energy(METER, (100, 110), (at[1], at[5])))
        self.pay(METER, "MeteredEnergy", self.first)
        self.wait(2 * DAY)  # it has matured
        second = self.claim(METER, 2, (11, 20), self.energy(METER, (110, 115), (at[5], at[9])))
        self.pay(METER, "MeteredEnergy", second)
        third = self.claim(METER, 3, (21, 30), self.energy(METER, (115, 135), (at[9], at[19])))
        disputed = self.pay(METER, "MeteredEnergy", third)
        self.old.rail.dispute(*disputed.dispute(), sender=self.party("Ada"))
        rows = (
            ((50, 55), (at[1], at[5]), None, 0),
            ((55, 75), (at[5], at[15]), None, ESTIMATED),
            ((55, 60), (at[5], at[16]), -15, 0),  # the estimate was too high
        )
        for number, (registers, times, kwh, kind) in enumerate(rows, 1):
            facts = self.energy(OWING, registers, times, kwh, kind)
            counters = (number * 10, number * 10 + 9)
            self.pay(OWING, "MeteredEnergy", self.claim(OWING, number, counters, facts))
        facts = self.energy(REMOTE, (7, 8), (at[1], at[5]))
        self.pay(REMOTE, "MeteredEnergy", self.claim(REMOTE, 1, (1, 9), facts))
        self.taps = [
            ("Imbiss", self.claim(BAND, 1, (1, 1), self.voucher(BAND, "Imbiss", 8 * EURO, 2, 1))),
            ("Kiosk", self.claim(BAND, 2, (2, 2), self.voucher(BAND, "Kiosk", 3 * EURO, 1, 2))),
        ]
        for payee, claim in self.taps:
            self.pay(BAND, "WearableVoucher", claim, payee)
        busy = f"{DOCK}/{BUSY}"
        self.picked_up = self.statement("pick-up", self.now)
        self.pay(busy, "ProofOfDelivery", self.claim(busy, 1, (1, 1), self.picked_up))

    def following(self, device: str) -> bytes:
        """Return the id of the agreement that took a device's place."""
        with self.store.read() as session:
            from orchestrator.edges.store import moves

            row = moves.with_salt(
                session, "0x" + salt_of(self.agreements[device].agreement_id).hex()
            )
        return bytes.fromhex(row.agreement_id[2:])

    def settled(self, device: str, contract: str, sequence: int, counters: Any, facts: bytes):
        """Settle a claim of the new agreement; return (amount, refusal's name)."""
        claim = self.claim(device, sequence, counters, facts, agreement=self.following(device))
        result = self.new.settle_claim(contract, claim)
        return result.amounts[0], result.named[0]


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """The rail after its move, with what each run of the command said."""
    rail = MovingRail(tmp_path_factory.mktemp("rail"))
    rail.follow()
    rail.before = rail.worth(rail.releases)
    rail.plan = rail.run("agreement", "move", "--all", "--dry-run")
    rail.first_run = rail.move("--all")
    rail.wait(2 * DAY)
    rail.view = rail.run("agreement", "move", "--all", "--yes")
    rail.second_run = {entry["device"]: entry for entry in rail.view["did"]}
    rail.after = rail.worth(rail.releases)
    yield rail
    rail.stop()


def test_move__plan__shows_every_agreement_and_sends_nothing(moved):
    stages = {entry["device"]: entry["stage"] for entry in moved.plan["agreements"]}
    assert stages == {
        METER: "close",
        OWING: "close",
        REMOTE: "close",
        BAND: "close",
        DOCK: "close",
        f"{DOCK}/{BUSY}": "stays",
    }
    assert not moved.plan["sent"]
    assert {call["function"] for call in moved.plan["calls"]} == {"adoptMany", "close"}
    assert sorted(moved.plan["devices"]["adopt"]) == sorted([METER, OWING, BAND, DOCK, REMOTE])
    disputed = [len(entry["disputed"]) for entry in moved.plan["agreements"]]
    assert sum(disputed) == 0  # no service follows the disputes in this test
    assert "on its way" in next(e["why"] for e in moved.plan["agreements"] if e["stage"] == "stays")


def test_move__all_agreements__no_cent_differs_for_any_party(moved):
    assert {name: entry["stage"] for name, entry in moved.first_run.items()} == {
        METER: "ending",
        OWING: "ending",
        REMOTE: "ending",
        BAND: "ending",
        DOCK: "ending",
        f"{DOCK}/{BUSY}": "stays",
    }
    assert {name: entry["stage"] for name, entry in moved.second_run.items()} == {
        METER: "moved",
        OWING: "moved",
        REMOTE: "open",
        BAND: "moved",
        DOCK: "moved",
        f"{DOCK}/{BUSY}": "stays",
    }
    assert moved.after == moved.before
    assert moved.view["same_total"]
