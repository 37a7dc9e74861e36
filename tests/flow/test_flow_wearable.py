"""Wearable payments on the whole rail: offline terminals redeem through the API, in any order."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from device_adapters.merchant.terminal import Terminal
from device_adapters.protocols import voucher as protocol
from device_adapters.protocols.voucher.typed import Domain
from device_adapters.types import device_id
from orchestrator.core.payment import Stage
from orchestrator.edges.store import access, blocks, evidence, payments
from orchestrator.products.wearable_voucher import product
from scripts.demo import parties
from scripts.devices.wearable import SimulatedWearable
from scripts.terminal import poster, redeem
from tests.support import invariants
from tests.support.whole_rail import WholeRail

EURO = 1_000_000
CLASS = 5814
MERCHANTS = (parties.CHARGE_COMPANY, parties.UTILITY)  # who are paid to a bank account


class Promenade:
    """Wearables of one owner, and the tills of two merchants with an API key."""

    def __init__(self, rail: WholeRail, home: Path) -> None:
        self.rail, self.home, self.sent = rail, home, {}
        with rail.store.write() as session:
            key = access.issue_key(session, "tills", "partner", "BAND-")
        self.post = poster(rail.stack.api_url, key)
        self.tills = [
            Terminal(home / f"till-{one.index}.sqlite3", self.address(one), CLASS)
            for one in MERCHANTS
        ]

    def address(self, one: parties.DemoParty) -> str:
        return self.rail.stack.party(one.index).address

    def band(self, name: str) -> tuple[SimulatedWearable, str]:
        """A wearable with a funded agreement (its id), known to both tills."""
        deployment = self.rail.stack.chain.deployment
        words = {
            "chain": str(deployment.chain_id),
            "contract": deployment.addresses["WearableVoucher"],
            "per_tap": "25",
            "per_day": "80",
            "classes": "5814",
            "offline_taps": "4",
            "offline_amount": "60",
            "max_age": "86400",
        }
        terms = product.read_terms(words)
        wearable = SimulatedWearable(
            self.home / name, name, 7, product.decode_terms(terms), 150 * EURO
        )
        self.tell(
            "device",
            "add",
            name,
            "--owner",
            parties.HOUSEHOLD.name,
            "--private-key",
            str(self.home / name / "key.pem"),
        )
        opened = self.tell(
            "agreement",
            "open",
            "--device",
            name,
            "--payer",
            parties.HOUSEHOLD.name,
            "--product",
            product.NAME,
            "--cap",
            "200.00",
            "--window",
            "1",
            *(part for word in words.items() for part in ("--term", "=".join(word))),
        )
        reference = opened["funding_reference"]
        assert self.rail.stack.bank.pay(parties.iban(parties.HOUSEHOLD), "", 15_000, reference)[
            "ok"
        ]
        for till in self.tills:
            till.add(product.card_of(name, wearable.public, terms, int(time.time())))
        self.rail.until(lambda: self.escrow(opened["agreement_id"]), "funding")
        return wearable, opened["agreement_id"]

    def escrow(self, agreement: str) -> int:
        state = self.rail.stack.chain.view(
            "PaymentRail", "agreementState", bytes.fromhex(agreement[2:])
        )
        return state[2]

    def tell(self, *arguments: str) -> dict[str, Any]:
        (done,) = self.rail.commands([*arguments, "--json"])
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def tap(self, wearable: SimulatedWearable, merchant: int, euro: int) -> bytes:
        """A tap at a merchant's till that is offline."""
        now, till = int(time.time()), self.tills[merchant]
        record = wearable.tap(till.payee, euro * EURO, CLASS, now)
        till.take(record, euro * EURO, now)
        return record

    def redeem(self, merchant: int) -> list[str]:
        """What the rail answered to what this till had kept."""
        till, before = self.tills[merchant], set(self.tills[merchant].outcomes())
        redeem(till, self.post)
        return [said for one, said in till.outcomes().items() if one not in before]

    def hand_in(self, record: bytes) -> str:
        return self.post([record])[0]["outcome"]

    def until_news_are_read(self) -> None:
        """The rail knows what the chain says now: it has come to be final there."""
        head = int(self.rail.stack.testnet.rpc("eth_blockNumber"), 16)

        def read() -> bool:
            with self.rail.store.read() as session:
                return (blocks.newest_final(session) or 0) >= head

        self.rail.until(read, f"block {head} to be final")

    def of(self, agreement: str) -> list[payments.PaymentRow]:
        return [row for row in self.rail.all_payments() if row.agreement_id == agreement]

    def paid(self, agreement: str, count: int) -> dict[str, int]:
        """{payee: micro-euro} once there are `count` payments, all on the bank's books."""

        def ended() -> bool:
            rows = self.of(agreement)
            return len(rows) == count and all(row.stage == Stage.RECONCILED for row in rows)

        self.rail.until(ended, f"{count} payments of {agreement}")
        sums: dict[str, int] = {}
        for row in self.of(agreement):
            sums[row.payee] = sums.get(row.payee, 0) + row.amount_micro
        return sums


@pytest.fixture(scope="module")
def promenade(rail: WholeRail, tmp_path_factory: pytest.TempPathFactory) -> Promenade:
    return Promenade(rail, tmp_path_factory.mktemp("promenade"))


def test_vouchers__redeemed_late_and_in_any_order__each_merchant_gets_its_total(promenade):
    wearable, agreement = promenade.band("BAND-order")
    first, second = (promenade.address(one) for one in MERCHANTS)
    promenade.tap(wearable, 0, 20)
    promenade.tap(wearable, 0, 5)
    promenade.tap(wearable, 1, 10)
    assert promenade.redeem(1) == ["accepted"]  # the last tap comes first
    assert promenade.paid(agreement, 1) == {second: 10 * EURO}
    assert promenade.redeem(0) == ["accepted"]  # two taps, one voucher, one claim
    assert promenade.paid(agreement, 2) == {first: 25 * EURO, second: 10 * EURO}
    wearable.online()
    promenade.tap(wearable, 1, 7)
    assert promenade.redeem(1) == ["accepted"]
    assert promenade.paid(agreement, 3) == {first: 25 * EURO, second: 17 * EURO}
    invariants.assert_all(promenade.rail)


def test_vouchers__traced_and_audited__the_bundle_holds(promenade, tmp_path):
    wearable, agreement = promenade.band("BAND-audit")
    record = promenade.tap(wearable, 0, 12)
    promenade.redeem(0)
    promenade.paid(agreement, 1)
    (payment,) = promenade.of(agreement)
    bundle = tmp_path / "bundle.json"
    promenade.tell("audit", "export", payment.payment_id, "-o", str(bundle))
    assert promenade.tell("audit", "verify", str(bundle))["ok"]
    story = promenade.tell("trace", protocol.decode(record).event_id.hex())
    assert payment.payment_id in [row["payment_id"] for row in story["payments"]]


def test_attack__lost_wearable__what_it_signed_before_pays_and_nothing_after(promenade):
    wearable, agreement = promenade.band("BAND-lost")
    promenade.tap(wearable, 0, 20)
    time.sleep(2)  # a suspension in the same second would hold for the tap too
    promenade.tell("device", "suspend", "BAND-lost")
    promenade.until_news_are_read()
    stolen = wearable.tap(promenade.tills[1].payee, 20 * EURO, CLASS, int(time.time()))
    assert promenade.hand_in(stolen) == "device_suspended"
    assert promenade.redeem(0) == ["accepted"]
    assert promenade.paid(agreement, 1) == {promenade.address(MERCHANTS[0]): 20 * EURO}


def test_attack__voucher_double_spend__quarantines_the_wearable_and_freezes_it_on_chain(promenade):
    wearable, agreement = promenade.band("BAND-twice")
    first = promenade.tap(wearable, 0, 20)
    payee = promenade.tills[1].payee
    second = wearable.spend_twice(payee, 20 * EURO, CLASS, int(time.time()))
    assert promenade.redeem(0) == ["accepted"]
    whole = {promenade.address(MERCHANTS[0]): 20 * EURO}
    assert promenade.paid(agreement, 1) == whole  # it was first: from here on nothing is paid
    assert promenade.hand_in(second) == "counter_replayed"
    device, chain = device_id("BAND-twice"), promenade.rail.stack.chain
    counter = protocol.decode(first).counter
    promenade.rail.until(
        lambda: chain.view("WearableVoucher", "frozenFrom", device) == counter, "the proof on chain"
    )
    assert not chain.view("DeviceRegistry", "isActive", device)
    promenade.until_news_are_read()
    third = wearable.tap(payee, 5 * EURO, CLASS, int(time.time()) + 5)
    assert promenade.hand_in(third) == "device_suspended"
    assert promenade.paid(agreement, 1) == whole


@pytest.mark.parametrize("which", ["chain", "contract"])
def test_attack__voucher_replayed_from_another_chain_or_contract__is_never_paid(promenade, which):
    wearable, agreement = promenade.band(f"BAND-{which}")
    ours, now = wearable.domain, int(time.time())
    foreign = {
        "chain": Domain(1, ours.contract),
        "contract": Domain(ours.chain_id, "0x" + "1" * 40),
    }
    *_, voucher, _, _ = protocol.read(wearable.tap(promenade.tills[0].payee, EURO, CLASS, now))
    replayed = wearable.sign(voucher, foreign[which])
    promenade.hand_in(replayed)
    promenade.tap(wearable, 0, 3)
    promenade.redeem(0)
    assert promenade.paid(agreement, 1) == {promenade.address(MERCHANTS[0]): 4 * EURO}
    with promenade.rail.store.read() as session:
        stored = evidence.event_of_evidence(session, sha256(replayed).hexdigest())
    assert (stored.reason, stored.payment_id) == ("foreign_domain", None)
