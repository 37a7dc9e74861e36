"""Play the month day by day: devices report in the morning, money moves in the evening.

Every action adds its value to the plan when it happens.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from scripts.month import days
from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, MonthMeter, MonthWearable
from scripts.month.installation import BAND_CENTS, CLASS, MonthFleet, Shipment
from scripts.month.parties import MonthParties
from scripts.month.plan import CENT, Plan
from scripts.month.rail import MonthRail
from scripts.month.trades.town import MonthTown

WEEK = 7
_MESSAGE = 200  # records in one message
_CHARGING_W = 11_000  # power of a charging session


@dataclass
class MonthRun:
    """A month in progress.

    Attributes:
        answers: the rail's answer -> number of records.
        waiting: meter -> (record, mWh) of the records that it has not uploaded yet.
        due: (wearable, merchant) -> the newest voucher that is not redeemed yet.
        shown: consignment -> the pick-up record that the dock has seen.
        silent: names of devices that report no more.
    """

    rail: MonthRail
    fleet: MonthFleet
    town: MonthTown
    parties: MonthParties
    plan: Plan
    seed: int
    answers: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)
    due: dict[tuple[str, str], bytes] = field(default_factory=dict)
    shown: dict[str, bytes] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def morning(self, day: date, before: Callable[[], None]) -> None:
        """Let all devices of the day report, and let the rail settle.

        Args:
            before: called before the devices report.
        """
        self.rail.until(at(day, 6))
        self.plan.begin(day)
        before()
        metered = [record for meter in self.fleet.meters for record in self._metered(day, meter)]
        self.deliver("ocmf", metered)
        for shipment in self.fleet.shipments:
            self._ship(day, shipment)
        for band in self.fleet.wearables:
            self._shop(day, band)
        self.deliver("voucher", self._redemptions(day))
        self.deliver("sealed", self.town.morning(day))
        self.rail.work()

    def evening(self, day: date, between: Callable[[str], None]) -> None:
        """End the dispute windows: money is released and ordered, and the bank closes its day.

        Args:
            between: called with "dusk" while the bank is open and with "night" after it closed.
        """
        self.plan.end(day)
        self.rail.until(at(day, 18))
        self.rail.work()
        self.town.evening(day, self.plan)
        between("dusk")
        if days.is_open(day):
            self.rail.bank.close_day()
        between("night")
        self.rail.work()

    def deliver(self, protocol: str, records: list[bytes], answer: str = "accepted") -> None:
        """Send records to rail and oracles, and plan the answer that each must get."""
        for start in range(0, len(records), _MESSAGE):
            self.answers.update(self.rail.take(protocol, records[start : start + _MESSAGE]))
        self.plan.records[answer] += len(records)

    # --- meters: read at midnight, uploaded once a week

    def _metered(self, day: date, meter: MonthMeter) -> list[bytes]:
        if meter.name in self.silent:
            return []
        self.waiting.setdefault(meter.name, []).append(
            self._measure(day, meter, self._random(day, meter.name))
        )
        return self.take_unsent(meter) if self.uploads(day, meter) else []

    def uploads(self, day: date, meter: MonthMeter) -> bool:
        """Return whether a meter uploads that day: once a week, and on the last day."""
        number = self.fleet.meters.index(meter)
        return (day.toordinal() + number) % WEEK == 0 or day == days.LAST

    def take_unsent(self, meter: MonthMeter) -> list[bytes]:
        """Return the records that a meter has not uploaded, and plan their energy."""
        records = self.waiting.pop(meter.name, [])
        self.plan.agreements[meter.name].measured += sum(mwh for _, mwh in records)
        return [record for record, _ in records]

    def _measure(self, day: date, meter: MonthMeter, chance: random.Random) -> tuple[bytes, int]:
        """Return one record and its mWh; the first reading of a meter counts no energy."""
        if meter.sessions:
            units = chance.randrange(50_000, 300_000)
            started, seconds = at(day - timedelta(days=1), 20), units * 360 // _CHARGING_W + 60
            return meter.session(units, started, seconds), units * MWH_PER_UNIT
        units = chance.randrange(40_000, 160_000) if meter.counter else 0
        return meter.reading(units, at(day, 0)), units * MWH_PER_UNIT

    # --- deliveries: picked up, received, accepted, a day each

    def _ship(self, day: date, shipment: Shipment) -> None:
        """Play one step: 20 % at pick-up, 50 % at receipt less 1 % per late hour, then 30 %."""
        step = (day - date.fromtimestamp(shipment.due)).days
        goods, price = shipment.goods, shipment.price_cents * CENT
        if step == 0:
            self.shown[shipment.agreement.name] = shipment.truck.pick_up(
                goods, shipment.due - 20 * 3_600
            )
            self.deliver("epcis", [self.shown[shipment.agreement.name]])
            record = shipment.dock.confirm(
                goods, shipment.due - 19 * 3_600, [self.shown[shipment.agreement.name]]
            )
            shipment.agreement.extra += price * 20 // 100
        elif step == 1:
            arrived = shipment.due + shipment.late * 3_600 - 1_800
            record = shipment.dock.receive(goods, arrived)
            shipment.agreement.extra += price * (50 - shipment.late) // 100
        elif step == 2:
            record = shipment.dock.accept(goods, shipment.due + 86_400)
            shipment.agreement.extra += price * 30 // 100
        else:
            return
        self.deliver("epcis", [record])

    # --- wearables: they tap on any day, each merchant redeems every third day

    def _shop(self, day: date, band: MonthWearable) -> None:
        chance = self._random(day, band.name)
        for tap in range(chance.choice((0, 0, 0, 1, 2))):
            micro = chance.randrange(100, 1_500) * CENT
            if band.totals.total() + micro > BAND_CENTS * CENT or band.name in self.silent:
                return
            payee = chance.choice(self.parties.merchants).address
            moment = at(day, 0) + 3_600 * (tap + 1) + chance.randrange(1_800)
            self.due[band.name, payee] = band.tap(payee, micro, CLASS, moment)

    def _redemptions(self, day: date) -> list[bytes]:
        """Return the vouchers that tills redeem, and plan what each adds to the total before."""
        records = []
        for number, merchant in enumerate(self.parties.merchants):
            if (day.toordinal() + number) % 3 and day != days.LAST:
                continue
            for band in self.fleet.wearables:
                record = self.due.pop((band.name, merchant.address), None)
                if record is not None:
                    records.append(record)
                    self._plan_voucher(band, merchant.address)
        return records

    def _plan_voucher(self, band: MonthWearable, merchant: str) -> None:
        agreement, before = self.plan.agreements[band.name], self.plan.redeemed[band.name, merchant]
        rise = band.totals[merchant] - before
        self.plan.redeemed[band.name, merchant] += rise
        self.plan.paid_by_voucher[merchant] += rise
        agreement.extra += rise

    def _random(self, day: date, name: str) -> random.Random:
        return random.Random(f"{self.seed}/{name}/{day}")
