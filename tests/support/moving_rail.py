"""A rail of release 0.5.0 with money on its way in every form, and its move to the new contracts.

It has a meter with a matured payout, an unmatured one and a disputed payment; a meter whose payee
owes; a wearable that paid two merchants; a delivery that has not begun, and one on its way.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from oracles.attest import address_of, sign
from oracles.rulings import Ruling, SignedRuling
from oracles.types import ClaimReason
from oracles.wire import ruling_to_json
from orchestrator.assembly import open_chain
from orchestrator.core.mandate import salt_of
from orchestrator.core.payment import Stage as PaymentStage
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import moves, payments
from orchestrator.edges.store.tables import ChainLogRow, EventRow, RejectionRow
from orchestrator.products.proof_of_delivery import product as deliveries
from orchestrator.products.proof_of_delivery.abi import DeliveryFacts, DeliveryTerms
from orchestrator.products.wearable_voucher.abi import VoucherTerms, encode_terms
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, EURO, HOUR
from tests.support.contracts.settled import payment_id as payment_of
from tests.support.former_rail import ELSEWHERE, FormerRail, device_id, former, meter_terms

METER, OWING, BAND, DOCK, BUSY = "meter", "owing", "band", "dock", "dock/busy"
TROUBLED = REMOTE, LEFT, HELD, ASLEEP = "remote", "left", "held", "asleep"
ESTIMATED = 1


class MovingRail(FormerRail):
    """A rail with all three products, payouts, a debt and a dispute; it moves in two runs.

    troubled: whether four more meters have agreements that do not just move.
    """

    def __init__(self, home: Path, *, troubled: bool = False) -> None:
        super().__init__(home)
        self.meters = (METER, OWING, *(TROUBLED if troubled else ()))
        self.releases: list[tuple[str, int]] = []
        for number, (name, owner) in enumerate(
            ({BAND: "Ada", DOCK: "Ada"} | dict.fromkeys(self.meters, "Nord")).items()
        ):
            self.enrol(name, owner, 900 + number)
        self.wait(DAY)
        self.opened = self.now
        for name in self.meters:
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
        for name in (DOCK, BUSY):
            raw = deliveries.encode_terms(self.delivery(name))
            self.agree(name, "proof_of_delivery", "ProofOfDelivery", raw)
        account = bytes.fromhex("ab" * 32)
        self.old.rail.setPayoutAccount(account, sender=self.party("Imbiss"))
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
        """Settle claims: some of the money has matured, some is disputed, some is owed."""
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
        if REMOTE in self.meters:
            facts = self.energy(REMOTE, (7, 8), (at[1], at[5]))
            self.pay(REMOTE, "MeteredEnergy", self.claim(REMOTE, 1, (1, 9), facts))
        self.taps = [
            ("Imbiss", self.claim(BAND, 1, (1, 1), self.voucher(BAND, "Imbiss", 8 * EURO, 2, 1))),
            ("Kiosk", self.claim(BAND, 2, (2, 2), self.voucher(BAND, "Kiosk", 3 * EURO, 1, 2))),
        ]
        for payee, claim in self.taps:
            self.pay(BAND, "WearableVoucher", claim, payee)
        self.picked_up = self.statement("pick-up", self.now)
        self.pay(BUSY, "ProofOfDelivery", self.claim(BUSY, 1, (1, 1), self.picked_up))

    def disturb(self) -> None:
        """Leave a record unclaimed; close one agreement, attest a payment, suspend a device."""
        self.store_event(METER, 31)
        if LEFT not in self.meters:
            return
        self.old.rail.close(self.identity(LEFT), sender=self.party("Ada"))
        self.old.registry.suspend(device_id(ASLEEP), sender=self.party("Nord"))
        self.store_payment(HELD, PaymentStage.ATTESTED)

    def store_payment(self, device: str, stage: PaymentStage) -> None:
        agreement = self.agreements[device].agreement_id
        row = payments.PaymentRow(
            payment_id="0x" + payment_of(self.identity(device), 1).hex(),
            agreement_id=agreement,
            sequence=1,
            stage=stage,
            first_counter=1,
            last_counter=9,
            created_at=self.now,
        )
        with self.store.write() as session:
            session.merge(row)

    def store_event(self, device: str, counter: int) -> None:
        """Store a record that no claim holds yet."""
        row = EventRow(
            event_id=f"0x{counter:064x}",
            device_id="0x" + device_id(device).hex(),
            counter=counter,
            observed_at_ms=self.now * 1000,
            received_at=self.now,
            evidence_hash="",
            content_hash="",
            agreement_id=self.agreements[device].agreement_id,
        )
        with self.store.write() as session:
            session.add(row)

    def store_seats(self) -> None:
        """Store the seats of both committees, as the service stores their logs."""
        chain = open_chain(self.testnet.url, Deployment.load(self.settings.deployment))
        logs = chain.logs_named({"OracleCommittee": ("MemberSeated",)}, 0, chain.head())
        rows = [
            ChainLogRow(
                block_hash=log.block_hash,
                log_index=log.index,
                block_number=log.block_number,
                tx_hash=log.tx_hash,
                name=log.name,
                args=json.dumps(log.args),
                address=log.address,
            )
            for log in logs
        ]
        with self.store.write() as session:
            session.add_all(rows)

    def rulings(self, payment: str, refund: bool, folder: Path) -> list[tuple[str, str]]:
        """Return the options that take a ruling of each oracle on a payment of the former rail."""
        ruling = Ruling(self.old.rail.address, bytes.fromhex(payment[2:]), refund)
        digest = ruling.digest(CHAIN_ID, self.old.committee.address, "1")
        words = []
        for key in reversed(self.old.oracles[1:]):  # 0.5.0 takes them by address
            signed = SignedRuling(ruling, address_of(key), sign(digest, key), "Mia Vogt", "", 1)
            file = folder / f"{signed.oracle}.json"
            file.write_text(json.dumps(ruling_to_json(signed)))
            words.append(("--ruling", str(file)))
        return words

    def refuse(self, device: str, record: bytes) -> None:
        """Store a record as the service refused it after the end of its agreement."""
        row = RejectionRow(
            received_at=self.now,
            source="mqtt",
            device=device,
            protocol="voucher",
            reason=ClaimReason.AGREEMENT_NOT_LIVE,
            detail="",
            body=record,
        )
        with self.store.write() as session:
            session.add(row)

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

    def move_all(self) -> None:
        """Move every agreement: plan, first run, and a second one when all have ended."""
        self.follow()
        self.disturb()
        self.before = self.worth(self.releases)
        self.plan = self.run("agreement", "move", "--all", "--dry-run")
        self.first_run = self.move("--all")
        self.wait(2 * DAY)
        self.refuse(BAND, self.voucher_record(BAND, "Kiosk", 4 * EURO, 2, 50))
        self.view = self.run("agreement", "move", "--all", "--yes")
        self.second_run = {entry["device"]: entry for entry in self.view["did"]}
        self.after = self.worth(self.releases)
