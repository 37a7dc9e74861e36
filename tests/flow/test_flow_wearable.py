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
from orchestrator.edges.store import access, blocks, evidence, payments
from orchestrator.products.wearable_voucher import product
from scripts.demo import parties
from scripts.terminal import poster, redeem
from services.simulated_devices.wearable import SimulatedWearable
from tests.support import invariants
from tests.support.whole_rail import AT_BANK, WholeRail

EURO = 1_000_000
CLASS = 5814
MERCHANTS = (parties.CHARGE_COMPANY, parties.UTILITY)  # both are paid to a bank account


class VoucherShops:
    """Wearables of one owner, and the tills of two merchants with an API key."""

    def __init__(self, rail: WholeRail, home: Path) -> None:
        self.rail, self.home, self.sent = rail, home, {}
        with rail.store.write() as session:
            key = access.issue_key(session, "tills", "partner", "BAND-")
        self.post = poster(rail.stack.api_url, key)
        self.tills = [
            Terminal(home / f"till-{merchant.index}.sqlite3", self.address(merchant), CLASS)
            for merchant in MERCHANTS
        ]

    def address(self, merchant: parties.DemoParty) -> str:
        return self.rail.stack.party(merchant.index).address

    def band(self, name: str) -> tuple[SimulatedWearable, str]:
        """Return a wearable known to both tills, and the id of its funded agreement."""
        term_texts = self.terms()
        terms = product.parse_terms(term_texts)
        wearable = SimulatedWearable(
            self.home / name, name, 7, product.decode_terms(terms), 150 * EURO
        )
        self.run(
            "device",
            "add",
            name,
            "--owner",
            parties.HOUSEHOLD.name,
            "--private-key",
            str(self.home / name / "key.pem"),
        )
        opened = self.open(name, term_texts)
        for till in self.tills:
            till.add(product.make_card(name, wearable.public, terms, int(time.time())))
        return wearable, opened

    def terms(self) -> dict[str, str]:
        deployment = self.rail.stack.chain.deployment
        return {
            "chain": str(deployment.chain_id),
            "contract": deployment.addresses["WearableVoucher"],
            "per_tap": "25",
            "per_day": "80",
            "classes": "5814",
            "offline_taps": "4",
            "offline_amount": "60",
            "max_age": "86400",
        }

    def open(self, name: str, term_texts: dict[str, str]) -> str:
        """Open and fund an agreement of a wearable; return its id."""
        opened = self.run(
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
            *(part for term in term_texts.items() for part in ("--term", "=".join(term))),
        )
        reference = opened["funding_reference"]
        assert self.rail.stack.bank.pay(parties.iban(parties.HOUSEHOLD), "", 15_000, reference)[
            "ok"
        ]
        self.rail.until(lambda: self.escrow(opened["agreement_id"]), "funding")
        return opened["agreement_id"]

    def escrow(self, agreement: str) -> int:
        state = self.rail.stack.chain.view(
            "PaymentRail", "agreementState", bytes.fromhex(agreement[2:])
        )
        return state[2]

    def run(self, *arguments: str) -> dict[str, Any]:
        (done,) = self.rail.commands([*arguments, "--json"])
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def tap(self, wearable: SimulatedWearable, merchant: int, euro: int) -> bytes:
        """Tap at a merchant's till that is offline."""
        now, till = int(time.time()), self.tills[merchant]
        record = wearable.tap(till.payee, euro * EURO, CLASS, now)
        till.take(record, euro * EURO, now)
        return record

    def redeem(self, merchant: int) -> list[str]:
        """Redeem what a till has kept; return the rail's answers."""
        till, before = self.tills[merchant], set(self.tills[merchant].outcomes())
        redeem(till, self.post)
        return [outcome for digest, outcome in till.outcomes().items() if digest not in before]

    def post_record(self, record: bytes) -> str:
        return self.post([record])[0]["outcome"]

    def until_chain_is_read(self) -> None:
        """Wait until the rail has read the present head of the chain as final."""
        head = int(self.rail.stack.testnet.rpc("eth_blockNumber"), 16)

        def is_read() -> bool:
            with self.rail.store.read() as session:
                return (blocks.newest_final(session) or 0) >= head

        self.rail.until(is_read, f"block {head} to be final")

    def payments_of(self, agreement: str) -> list[payments.PaymentRow]:
        return [row for row in self.rail.all_payments() if row.agreement_id == agreement]

    def paid(self, agreement: str, count: int) -> dict[str, int]:
        """Wait until `count` payments are booked by the bank; return {payee: micro-euro}."""

        def ended() -> bool:
            rows = self.payments_of(agreement)
            return len(rows) == count and all(row.stage in AT_BANK for row in rows)

        self.rail.until(ended, f"{count} payments of {agreement}")
        sums: dict[str, int] = {}
        for row in self.payments_of(agreement):
            sums[row.payee] = sums.get(row.payee, 0) + row.amount_micro
        return sums


@pytest.fixture(scope="module")
def shops(rail: WholeRail, tmp_path_factory: pytest.TempPathFactory) -> VoucherShops:
    return VoucherShops(rail, tmp_path_factory.mktemp("shops"))


def test_vouchers__redeemed_late_and_in_any_order__each_merchant_gets_its_total(shops):
    wearable, agreement = shops.band("BAND-order")
    first, second = (shops.address(merchant) for merchant in MERCHANTS)
    shops.tap(wearable, 0, 20)
    shops.tap(wearable, 0, 5)
    shops.tap(wearable, 1, 10)
    assert shops.redeem(1) == ["accepted"]  # the last tap comes first
    assert shops.paid(agreement, 1) == {second: 10 * EURO}
    assert shops.redeem(0) == ["accepted"]  # two taps, one voucher, one claim
    assert shops.paid(agreement, 2) == {first: 25 * EURO, second: 10 * EURO}
    wearable.online()
    shops.tap(wearable, 1, 7)
    assert shops.redeem(1) == ["accepted"]
    assert shops.paid(agreement, 3) == {first: 25 * EURO, second: 17 * EURO}
    invariants.assert_all(shops.rail)


def test_attack__tap_presented_in_the_renewed_agreement__is_paid_once(shops):
    """On 0.3.0 a new agreement paid the card's whole total again."""
    wearable, agreement = shops.band("BAND-renewed")
    payee = shops.address(MERCHANTS[0])
    shops.tap(wearable, 0, 20)
    assert shops.redeem(0) == ["accepted"]
    assert shops.paid(agreement, 1) == {payee: 20 * EURO}
    shops.run("agreement", "close", agreement)
    shops.until_chain_is_read()
    time.sleep(2)  # the next agreement begins after the second in which this one ended
    renewed = shops.open("BAND-renewed", shops.terms())
    shops.tap(wearable, 0, 5)  # the card and the till's copy of its rules are as they were
    assert shops.redeem(0) == ["accepted"]
    assert shops.paid(renewed, 1) == {payee: 5 * EURO}
    assert shops.paid(agreement, 1) == {payee: 20 * EURO}
    invariants.assert_all(shops.rail)


def test_vouchers__traced_and_audited__the_bundle_holds(shops, tmp_path):
    wearable, agreement = shops.band("BAND-audit")
    record = shops.tap(wearable, 0, 12)
    shops.redeem(0)
    shops.paid(agreement, 1)
    (payment,) = shops.payments_of(agreement)
    bundle = tmp_path / "bundle.json"
    shops.run("audit", "export", payment.payment_id, "-o", str(bundle))
    assert shops.run("audit", "verify", str(bundle))["ok"]
    trace = shops.run("trace", protocol.decode(record).event_id.hex())
    assert payment.payment_id in [row["payment_id"] for row in trace["payments"]]


def test_attack__lost_wearable__vouchers_before_the_loss_are_paid_and_none_after(shops):
    wearable, agreement = shops.band("BAND-lost")
    shops.tap(wearable, 0, 20)
    time.sleep(2)  # a suspension in the same second would cover the tap too
    shops.run("device", "suspend", "BAND-lost")
    shops.until_chain_is_read()
    stolen = wearable.tap(shops.tills[1].payee, 20 * EURO, CLASS, int(time.time()))
    assert shops.post_record(stolen) == "device_suspended"
    assert shops.redeem(0) == ["accepted"]
    assert shops.paid(agreement, 1) == {shops.address(MERCHANTS[0]): 20 * EURO}


def test_attack__voucher_double_spend__quarantines_the_wearable_and_freezes_it_on_chain(shops):
    wearable, agreement = shops.band("BAND-twice")
    first = shops.tap(wearable, 0, 20)
    payee = shops.tills[1].payee
    second = wearable.spend_twice(payee, 20 * EURO, CLASS, int(time.time()))
    assert shops.redeem(0) == ["accepted"]
    total = {shops.address(MERCHANTS[0]): 20 * EURO}
    assert shops.paid(agreement, 1) == total  # the first voucher is paid; no later one is
    assert shops.post_record(second) == "counter_replayed"
    device, chain = device_id("BAND-twice"), shops.rail.stack.chain
    counter = protocol.decode(first).counter
    shops.rail.until(
        lambda: chain.view("WearableVoucher", "frozenFrom", device) == counter, "the proof on chain"
    )
    assert not chain.view("DeviceRegistry", "isActive", device)
    shops.until_chain_is_read()
    third = wearable.tap(payee, 5 * EURO, CLASS, int(time.time()) + 5)
    assert shops.post_record(third) == "device_suspended"
    assert shops.paid(agreement, 1) == total


@pytest.mark.parametrize("foreign", ["chain", "contract"])
def test_attack__voucher_replayed_from_another_chain_or_contract__is_never_paid(shops, foreign):
    wearable, agreement = shops.band(f"BAND-{foreign}")
    domain, now = wearable.domain, int(time.time())
    domains = {
        "chain": Domain(1, domain.contract),
        "contract": Domain(domain.chain_id, "0x" + "1" * 40),
    }
    *_, voucher, _, _ = protocol.read(wearable.tap(shops.tills[0].payee, EURO, CLASS, now))
    replayed = wearable.sign(voucher, domains[foreign])
    shops.post_record(replayed)
    shops.tap(wearable, 0, 3)
    shops.redeem(0)
    assert shops.paid(agreement, 1) == {shops.address(MERCHANTS[0]): 4 * EURO}
    with shops.rail.store.read() as session:
        stored = evidence.event_of_evidence(session, sha256(replayed).hexdigest())
    assert (stored.reason, stored.payment_id) == ("foreign_domain", None)
