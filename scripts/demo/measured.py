"""Payments by what devices measured in a past month: premiums, fees, savings, cover, days.

Readings arrive on the first day, reports in its evening. Two devices are locked, and work for the
days that were paid for: their tokens arrive as files, as an SMS gateway would get them. One of them
is paid to a waterfall.
"""

from __future__ import annotations

import json
import time
from hashlib import sha256
from pathlib import Path

from device_adapters.types import device_id
from orchestrator.core.effect import EffectKind
from orchestrator.core.effect_delivery import TargetKind
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, effects, payments
from orchestrator.edges.unlock.keys import UnlockKeys
from orchestrator.products import products
from scripts.demo import tariffs
from scripts.demo.measured_month import DAYS, MeasuredMonth
from scripts.demo.notes import Note, euro
from scripts.demo.parties import HOUSEHOLD, UTILITY, DemoParty, Signed, sign_mandate, transfer
from scripts.demo.revenue import RevenueShare
from scripts.stack import Stack
from services.simulated_devices.fleet import Fleet
from services.simulated_devices.lock import LockAnswer, SimulatedLock

INSURER = DemoParty(9, "Havelland Versicherung AG", "Breite Strasse", "14467", "Potsdam")
FARM = DemoParty(10, "Hof Lindenau", "Dorfstrasse", "14641", "Nauen")
SERVICE = DemoParty(11, "Spree Technik GmbH", "Werkstrasse", "12459", "Berlin")
BANK = DemoParty(12, "Sparbank Potsdam eG", "Am Kanal", "14467", "Potsdam")
SHOP = DemoParty(13, "Solarladen Kiez", "Hauptstrasse", "14482", "Potsdam")
PARTIES = (INSURER, FARM, SERVICE, BANK, SHOP)
FUNDED_CENTS = 60_000
# device -> payer, payee; the freezer's payee is the waterfall
_AGREED: dict[str, tuple[DemoParty, DemoParty | None]] = {
    tariffs.CAR: (HOUSEHOLD, INSURER),
    tariffs.ATM: (BANK, SERVICE),
    tariffs.BRANCH: (BANK, UTILITY),
    tariffs.FIELD: (INSURER, FARM),
    tariffs.PUMP: (FARM, SERVICE),
    tariffs.LAMP: (HOUSEHOLD, SHOP),
    tariffs.FREEZER: (HOUSEHOLD, None),
}
# device -> what happened, the answer, and more about the amount
_WORDS = {
    tariffs.CAR: ("a car's premium, for 1,240 km", "paid", ", by the car's own signature"),
    tariffs.ATM: ("an ATM, out of order for 12 hours", "reduced", " of 180.000000 €"),
    tariffs.BRANCH: ("what a branch saved, by meter and weather", "paid", ""),
    tariffs.FIELD: ("a farm's cover, 84 mm of rain in a month", "paid", ", by 3 stations"),
    tariffs.PUMP: ("a repair, measured under load", "reduced", " of 640.000000 €"),
}
_PATIENCE_S, _POLL_S = 60, 0.2


class Measured:
    """The devices of the past month, their agreements, two locks and a waterfall.

    The devices join the fleet: they publish and get receipts as meters do.

    Args:
        seed: of the devices' keys, as in `Station`.
    """

    def __init__(self, stack: Stack, fleet: Fleet, seed: int) -> None:
        begin = (stack.start_at + tariffs.HOUR_S) // tariffs.DAY_S * tariffs.DAY_S + tariffs.DAY_S
        self.stack, self.cases = stack, tariffs.cases(begin)
        self.month = MeasuredMonth(stack.home / "devices", seed, begin)
        for device in self.month.devices.values():
            fleet.join(device)
        self._keys = {
            name: sha256(f"proofrail/{seed}/lock/{name}".encode()).digest()[:16] for name in DAYS
        }
        self.locks = {name: SimulatedLock(key) for name, key in self._keys.items()}
        self._answers: list[LockAnswer] = []
        self._ids: dict[str, str] = {}  # device -> id of its agreement
        self.revenue = RevenueShare(
            stack,
            BANK,
            {SHOP: 6_000, SERVICE: 4_000},
            {BANK: 360, SHOP: 864, SERVICE: 576},
        )

    def agree(self) -> list[Signed]:
        """Return the payers' signed mandates; the waterfall is created for one of them."""
        waterfall, rules, signed = self.revenue.create(), products(), []
        for case in self.cases:
            payer, payee = _AGREED[case.device]
            product = rules[case.product]
            terms = product.parse_terms(case.terms)
            mandate = sign_mandate(
                self.stack, case.device, product, payer, payee or waterfall, terms=terms
            )
            self._ids[case.device] = "0x" + mandate[2].agreement_id().hex()
            signed.append(mandate)
        return signed

    def fund(self, references: list[str]) -> None:
        """Transfer the money of each agreement."""
        for case, reference in zip(self.cases, references, strict=True):
            transfer(self.stack, _AGREED[case.device][0], FUNDED_CENTS, reference)

    def give_keys(self) -> None:
        """Keep the locks' keys in the rail's home, and have it deliver tokens to a folder."""
        keys = UnlockKeys(self.stack.settings.unlock_keys)
        for name, key in self._keys.items():
            keys.add(name, key.hex(), 1, None)
        self._folder.mkdir(mode=0o700)
        target = effects.EffectTargetRow(
            name="sms",
            way=TargetKind.FOLDER,
            place=str(self._folder),
            kinds=EffectKind.UNLOCK_TOKEN,
            added_at=self.stack.now(),
        )
        with self.stack.store.write() as session:
            effects.add_target(session, target)

    def morning(self, day: int) -> None:
        """Publish what meters, stations and the machine measured."""
        if day == 1:
            self._publish(self.month.readings())

    def evening(self, day: int) -> None:
        """Publish the reports of the month, which are paid."""
        if day == 1:
            self._publish(self.month.reports())

    def finish(self) -> None:
        """Type the tokens in, each twice, and have the waterfall's holders take their parts."""
        deadline = time.monotonic() + _PATIENCE_S
        while len(files := sorted(self._folder.glob("*.json"))) < len(self.locks):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(files)} tokens came in {_PATIENCE_S} s")
            time.sleep(_POLL_S)
        locks = {"0x" + device_id(name).hex(): lock for name, lock in self.locks.items()}
        for file in files:
            message = json.loads(file.read_bytes())["data"]
            lock, digits = locks[message["device"]], message["token"]["digits"]
            self._answers += [lock.enter(digits), lock.enter(digits)]
        self.revenue.take()

    def is_over(self, session: Session) -> bool:
        """Return whether the locks are open and the waterfall's holders have their money."""
        return self._are_unlocked() and self.revenue.is_over(session)

    def notes(self, session: Session) -> list[Note]:
        """Return what each device's month came to."""
        notes = []
        for case in self.cases:
            if case.device in _WORDS:
                words, answer, more = _WORDS[case.device]
                paid = self._paid(session, case.device)
                as_agreed = paid == [(case.amount_micro, Stage.RECONCILED)]
                amount = euro(sum(amount for amount, _ in paid))
                notes.append(Note(words, answer, amount + more, as_agreed))
        return [*notes, self._unlocked(session), self.revenue.note(session)]

    # --- inside

    @property
    def _folder(self) -> Path:
        return self.stack.home / "tokens"

    def _publish(self, records: dict[str, list[bytes]]) -> None:
        for name, made in records.items():
            self.month.devices[name].publish(made)

    def _paid(self, session: Session, device: str) -> list[tuple[int, str]]:
        rows = payments.page(session, None, self._ids[device], None, 100)
        return [(row.amount_micro, row.stage) for row in rows]

    def _are_unlocked(self) -> bool:
        once = self._answers == [LockAnswer.ADD_TIME, LockAnswer.USED] * len(self.locks)
        return once and {name: lock.days for name, lock in self.locks.items()} == DAYS

    def _unlocked(self, session: Session) -> Note:
        """Return whether days sold are days unlocked."""
        sold = {case.device: case.amount_micro for case in self.cases if case.device in DAYS}
        paid = {name: sum(micro for micro, _ in self._paid(session, name)) for name in sold}
        days = sum(lock.days for lock in self.locks.values())
        detail = f"{euro(sum(paid.values()))} for {sum(DAYS.values())} days, {days} typed in"
        return Note(
            "days of a lamp and of a freezer",
            "unlocked",
            detail,
            paid == sold and self._are_unlocked(),
        )
