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
from orchestrator.edges.store import agreements, moves
from orchestrator.operations.agreement_move import salt_of
from orchestrator.products.metered_energy.abi import decode_terms as decode_energy
from orchestrator.products.proof_of_delivery import product as deliveries
from orchestrator.products.proof_of_delivery.abi import DeliveryFacts, DeliveryTerms
from orchestrator.products.wearable_voucher.abi import VoucherTerms, decode_terms, encode_terms
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, KWH
from tests.support.contracts.settled import payment_id as payment_of
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


def test_move__new_agreements__go_on_with_counter_register_totals_and_end(moved):
    mandate = {}
    for name in (METER, BAND, DOCK):
        with moved.store.read() as session:
            identity = "0x" + moved.following(name).hex()
            mandate[name] = agreements.mandate_of(agreements.get(session, identity))
    former_row = moved.agreements[METER]
    meter = mandate[METER]
    assert (meter.first_counter, meter.expiry, meter.cap) == (30, former_row.expiry, 500 * EURO)
    assert (meter.payer, meter.payee) == (former_row.payer, former_row.payee)
    terms = decode_energy(meter.terms)
    assert (terms.start_register, terms.price_per_kwh) == (135 * KWH, 300_000)
    assert terms.started_at == meter.start == moved.opened + 19 * HOUR
    paid = {
        start.payee: (start.paid, start.taps) for start in decode_terms(mandate[BAND].terms).starts
    }
    assert paid == {
        moved.party("Imbiss").address: (8 * EURO, 2),
        moved.party("Kiosk").address: (3 * EURO, 1),
    }
    assert mandate[DOCK].terms == bytes.fromhex(moved.agreements[DOCK].terms[2:])
    escrows = {
        name: moved.new.rail.agreementState(moved.following(name)).escrow for name in mandate
    }
    charged = (10 + 5 + 20) * 300_000
    assert escrows == {METER: 100 * EURO - charged, BAND: 89 * EURO, DOCK: 100 * EURO}


def test_move__run_again__sends_nothing(moved):
    nonce = moved.node.rpc("eth_getTransactionCount", moved.party("Ada").address, "latest")
    again = moved.run("agreement", "move", moved.agreements[METER].agreement_id, "--yes")
    assert not again["sent"] and again["agreements"][0]["stage"] == "moved"
    assert nonce == moved.node.rpc("eth_getTransactionCount", moved.party("Ada").address, "latest")


def test_move__old_records_presented_again__are_paid_by_no_new_agreement(moved):
    """A hostile quorum presents what the former rail paid, also under counters of today."""
    hours = [moved.opened + hour * HOUR for hour in range(40)]
    paid = moved.energy(METER, (100, 110), (hours[1], hours[5]), version=3)
    redated = moved.energy(METER, (100, 110), (hours[19], hours[24]), version=3)
    reread = moved.energy(METER, (135, 145), (hours[1], hours[5]), version=3)
    for facts, answer in (
        (paid, "product 7"),  # TimeBackwards
        (reread, "product 7"),
        (redated, "product 3"),  # RegisterBackwards
    ):
        old_counters = moved.settled(METER, "MeteredEnergy", 1, (1, 10), facts)
        assert old_counters == (0, "CountersReplayed")
        assert moved.settled(METER, "MeteredEnergy", 1, (31, 40), facts) == (0, answer)
    for sequence, (_, claim) in enumerate(moved.taps, 1):
        args = BAND, "WearableVoucher", sequence
        moved.new.payee_of = lambda _: moved.party("Imbiss").address
        assert moved.settled(*args, (1, 2), claim.facts)[1] == "CountersReplayed"
        amount, name = moved.settled(*args, (3 + sequence, 3 + sequence), claim.facts)
        assert (amount, name) == (0, "None")  # a voucher is paid by its difference
    answer = moved.settled(DOCK, "ProofOfDelivery", 1, (2, 2), moved.picked_up)
    assert answer == (0, "product 6")  # SignatureUsed
    enrolment = moved.keys[DOCK].enrolment(
        moved.old.registry.address, device_id(DOCK), moved.party("Ada").address
    )
    fields = False, 0, 0, moved.now, 0, 0, 0, 0, 0, 0, moved.now, enrolment, enrolment
    seen = DeliveryFacts(*fields, *moved.keys[DOCK].sign(enrolment))
    answer = moved.settled(DOCK, "ProofOfDelivery", 1, (2, 2), deliveries.encode_facts(seen))
    assert answer == (0, "product 6")


def test_move__next_records__are_paid_for_what_is_new(moved):
    times = moved.opened + 19 * HOUR, moved.opened + 24 * HOUR
    facts = moved.energy(METER, (135, 140), times, version=3)
    assert moved.settled(METER, "MeteredEnergy", 1, (31, 40), facts) == (1_500_000, "None")
    moved.new.payee_of = lambda _: moved.party("Imbiss").address
    tap = moved.voucher(BAND, "Imbiss", 10 * EURO, 3, 10)  # signed for the contract of 0.5.0
    sequence = moved.new.rail.agreementState(moved.following(BAND)).sequence + 1
    assert moved.settled(BAND, "WearableVoucher", sequence, (10, 10), tap) == (2 * EURO, "None")
    stated = moved.statement("next", moved.now)
    assert moved.settled(DOCK, "ProofOfDelivery", 1, (2, 2), stated) == (10 * EURO, "None")


def test_move__payer_with_its_key_elsewhere__signs_the_printed_document(moved):
    former_id = moved.agreements[REMOTE].agreement_id
    view = moved.second_run[REMOTE]
    assert view["missing"] == ["payer"]
    document = moved.run("agreement", "move", former_id, "--document")
    key = development_account(ELSEWHERE)
    wrong = "0x" + sign_document(document, development_account(20)).hex()
    text = moved.run("agreement", "move", former_id, "--payer-signature", wrong, "--yes", code=2)
    assert "is of" in text and "Nothing was stored or sent" in text
    signed = "0x" + sign_document(document, key).hex()
    stages = moved.move(former_id, "--payer-signature", signed)
    assert stages[REMOTE]["stage"] == "fund" and stages[REMOTE]["missing"] == ["payer"]
    # the escrow is back in the payer's own wallet
    assert moved.token.balanceOf(key.address) == 100 * EURO - 300_000


def test_move__former_rail__pays_out_matured_money_and_ends_its_dispute(moved):
    nord = moved.party("Nord").address
    (payee,) = [p for p in moved.view["payees"] if p["payee"] == nord]
    assert payee["rail"] == former("PaymentRail")
    assert int(payee["owed"]["amount"]) == 4_500_000
    before = moved.worth(moved.releases)
    moved.old.rail.retract(payment_of(moved.first.agreement, 3), sender=moved.party("Ada"))
    times = sorted({time for address, time in moved.releases if address == nord})
    moved.old.rail.release(nord, times, sender=moved.account(20))
    after = moved.worth(moved.releases)
    assert moved.old.rail.owed(nord) == 0  # what it was paid there paid its debt
    gained = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert gained == {nord: 20 * 300_000, moved.party("Ada").address: 4_500_000}
