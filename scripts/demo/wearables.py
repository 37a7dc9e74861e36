"""The wearables of the demonstration: taps at three merchants, most of them offline.

Each till keeps the newest voucher of a wearable and redeems it later. One wearable is lost and
suspended; one has a broken secure element that signs two vouchers under one counter.
"""

from __future__ import annotations

import time
from collections import Counter

from device_adapters.merchant.terminal import Terminal
from device_adapters.types import device_id
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, access, rejections
from orchestrator.products import products
from scripts.demo.notes import Note, euro
from scripts.demo.parties import HOUSEHOLD, DemoParty, Signed, sign_mandate, transfer
from scripts.demo.tally import payments_of_product
from scripts.stack import Stack
from scripts.terminal import poster, redeem
from services.simulated_devices.wearable import SimulatedWearable

NAME = "wearable_voucher"
CAFE = DemoParty(6, "Café Dorothea", "Lange Bruecke", "14467", "Potsdam")
BAKERY = DemoParty(7, "Baeckerei Korn", "Am Markt", "14467", "Potsdam")
KIOSK = DemoParty(8, "Kiosk am Kanal", "Uferweg", "14471", "Potsdam")
MERCHANTS = (CAFE, BAKERY, KIOSK)
CLASS = 5814  # ISO 18245
FUNDED_CENTS = 15_000
EURO = 1_000_000
EARLIER_S = 60  # the first taps are a minute old, so that they are before the loss
USUAL, TWICE, LOST = "BAND-usual", "BAND-twice", "BAND-lost"
EXPECTED_MICRO = {CAFE: 34 * EURO, BAKERY: 9 * EURO, KIOSK: 6 * EURO}


class DemoWearables:
    """Three wearables of one household, and the tills of three merchants.

    The wearables need no link to the rail.

    Args:
        seed: of the wearables' keys, as in `Station`.
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, home = stack, stack.home / "devices"
        self.terms = products()[NAME].parse_terms(_terms(stack))
        terms = products()[NAME].decode_terms(self.terms)
        self.bands = {
            name: SimulatedWearable(home / name, name, seed, terms, FUNDED_CENTS * 10_000)
            for name in (USUAL, TWICE, LOST)
        }
        self.tills: dict[DemoParty, Terminal] = {}
        self.taps = 0  # at all tills, including the thief's
        self._stolen: list[bytes] = []
        self._twins: list[bytes] = []

    def agree(self) -> list[Signed]:
        """Return the household's signed mandates; each voucher names its payee."""
        product = products()[NAME]
        return [
            sign_mandate(self.stack, name, product, HOUSEHOLD, None, terms=self.terms)
            for name in self.bands
        ]

    def fund(self, references: list[str]) -> None:
        """Transfer the amount of each agreement."""
        for reference in references:
            transfer(self.stack, HOUSEHOLD, FUNDED_CENTS, reference)

    def open_tills(self) -> None:
        """Give each merchant's till the wearables' cards; all tills share one API key."""
        make_card, at = products()[NAME].make_card, self._earlier()
        (self.stack.home / "tills").mkdir(mode=0o700)
        for merchant in MERCHANTS:
            path = self.stack.home / "tills" / f"{merchant.index}.sqlite3"
            till = Terminal(path, self.stack.party(merchant.index).address, CLASS)
            for name, band in self.bands.items():
                till.add(make_card(name, band.public, self.terms, at))
            self.tills[merchant] = till
        with self.stack.store.write() as session:
            key = access.issue_key(session, "tills", access.KeyRole.PARTNER, "BAND-")
        self._post = poster(self.stack.api_url, key)

    def evening(self, day: int) -> None:
        """Tap and redeem; a lost wearable is suspended after the first evening."""
        if day == 1:
            self._first_evening(self._earlier())
        elif day == 2:  # five taps of three wearables in three vouchers, redeemed together
            redeem(self.tills[CAFE], self._post)
            self._stolen.append(self._tap(LOST, BAKERY, 20, int(time.time())))
            redeem(self.tills[BAKERY], self._post)
        else:
            self._tap(USUAL, KIOSK, 6, int(time.time()))
            self._twins.append(self._sign_twice(KIOSK, 15, int(time.time())))
            redeem(self.tills[KIOSK], self._post)

    def suspend(self) -> None:
        """Suspend the lost wearable, as its owner reports the loss."""
        self.stack.agreement_ops.suspend(LOST)

    def answers(self) -> Counter[str]:
        """Return outcome -> number of the rail's answers to the tills."""
        return Counter(
            outcome for till in self.tills.values() for outcome in till.outcomes().values()
        )

    def is_over(self, session: Session) -> bool:
        """Return whether the double spending is proven on chain and its wearable suspended."""
        chain, device = self.stack.chain, device_id(TWICE)
        frozen = chain.view("WearableVoucher", "frozenFrom", device)
        return bool(frozen) and not chain.view("DeviceRegistry", "isActive", device)

    def notes(self, session: Session) -> list[Note]:
        """Return what merchants were paid, and what was refused."""
        rows = payments_of_product(session, NAME)
        paid = Counter[str]()
        for row in rows:
            paid[row.payee] += row.amount_micro if row.stage == Stage.RECONCILED else 0
        as_expected = paid == {
            self.stack.party(merchant.index).address: amount
            for merchant, amount in EXPECTED_MICRO.items()
        }
        taps = self.taps - len(self._stolen)
        together = max(Counter(row.settlement_tx for row in rows).values(), default=0)
        lost = rejections.count_answers(session, self._stolen, "device_suspended")
        twice = rejections.count_answers(session, self._twins, "counter_replayed")
        return [
            Note(
                "offline and online taps",
                "paid",
                f"{taps} taps, {len(rows)} vouchers, {euro(paid.total())}",
                as_expected,
            ),
            Note(
                "redemptions of many wearables",
                "batched",
                f"{together} in one settlement",
                together == len(self.bands),
            ),
            Note(
                "a voucher of a lost wearable", "rejected", f"device_suspended ({lost})", lost == 1
            ),
            Note(
                "two vouchers under one counter",
                "frozen",
                f"counter_replayed ({twice}), proven on chain",
                twice == 1 and self.is_over(session),
            ),
        ]

    def close(self) -> None:
        for device in (*self.tills.values(), *self.bands.values()):
            device.close()

    # --- inside

    def _first_evening(self, at: int) -> None:
        for euros in (4, 3):
            self._tap(USUAL, CAFE, euros, at)
        for euros in (5, 12):
            self._tap(TWICE, CAFE, euros, at)
        self._tap(LOST, CAFE, 10, at)
        self._tap(USUAL, BAKERY, 9, at)  # this till is online: it redeems at once
        redeem(self.tills[BAKERY], self._post)
        self.bands[USUAL].online()

    def _tap(self, name: str, merchant: DemoParty, euros: int, at: int) -> bytes:
        till = self.tills[merchant]
        record = self.bands[name].tap(till.payee, euros * EURO, CLASS, at)
        till.take(record, euros * EURO, at)
        self.taps += 1
        return record

    def _sign_twice(self, merchant: DemoParty, euros: int, at: int) -> bytes:
        """Take a second voucher under a used counter; this till never saw the first one."""
        till = self.tills[merchant]
        record = self.bands[TWICE].spend_twice(till.payee, euros * EURO, CLASS, at)
        till.take(record, euros * EURO, at)
        return record

    def _earlier(self) -> int:
        return int(time.time()) - EARLIER_S


def _terms(stack: Stack) -> dict[str, str]:
    deployment = stack.chain.deployment
    return {
        "chain": str(deployment.chain_id),
        "contract": deployment.addresses["WearableVoucher"],
        "per_tap": "25",
        "per_day": "80",
        "classes": f"{CLASS},5462",
        "offline_taps": "4",
        "offline_amount": "60",
        "max_age": "86400",
    }
