"""The month day by day: devices speak in the morning, money moves in the evening, the bank closes.

Each act tells the plan what it is worth at the moment it is done.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from scripts.month import days
from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, Band, MonthMeter
from scripts.month.people import MonthPeople
from scripts.month.place import MonthRail
from scripts.month.plan import CENT, Plan
from scripts.month.town import BAND_CENTS, CLASS, MonthTown, Shipment

WEEK = 7
_MESSAGE = 200  # records that are handed over at once
_DRAWN_W = 11_000  # by a session


@dataclass
class MonthStory:
    """One month under way. waiting: (record, mWh) of meters that were not handed over yet; due:
    the newest voucher of each wearable at each till. silent: devices that say nothing any more."""

    place: MonthRail
    town: MonthTown
    cast: MonthPeople
    plan: Plan
    seed: int
    answers: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)
    due: dict[tuple[str, str], bytes] = field(default_factory=dict)
    seen: dict[str, bytes] = field(default_factory=dict)  # what the dock was shown, by shipment
    silent: set[str] = field(default_factory=set)

    def morning(self, day: date, before: Callable[[], None]) -> None:
        """Everything that speaks that day; then the rail settles it. before: what others do at
        that hour."""
        self.place.until(at(day, 6))
        self.plan.begin(day)
        before()
        metered = [record for meter in self.town.meters for record in self._metered(day, meter)]
        self.hand_over("ocmf", metered)
        for one in self.town.shipments:
            self._ship(day, one)
        for band in self.town.bands:
            self._shop(day, band)
        self.hand_over("voucher", self._redeemed(day))
        self.place.work()

    def evening(self, day: date, between: Callable[[str], None]) -> None:
        """Windows are over: money is released and ordered, and the bank closes its day. between:
        what others do at "dusk", while the bank is open, and at "night", when it is not."""
        self.plan.end(day)
        self.place.until(at(day, 18))
        self.place.work()
        between("dusk")
        if days.is_open(day):
            self.place.bank.close_day()
        between("night")
        self.place.work()

    def hand_over(self, protocol: str, records: list[bytes], answer: str = "accepted") -> None:
        """To rail and oracles; what they must be answered goes into the plan."""
        for start in range(0, len(records), _MESSAGE):
            self.answers.update(self.place.take(protocol, records[start : start + _MESSAGE]))
        self.plan.records[answer] += len(records)

    # --- meters: read each midnight, heard once a week

    def _metered(self, day: date, meter: MonthMeter) -> list[bytes]:
        if meter.name in self.silent:
            return []
        self.waiting.setdefault(meter.name, []).append(
            self._measure(day, meter, self._chance(day, meter.name))
        )
        return self.unsent(meter) if self.uploads(day, meter) else []

    def uploads(self, day: date, meter: MonthMeter) -> bool:
        """Whether this is the day of the week on which a meter is heard; at last all are."""
        number = self.town.meters.index(meter)
        return (day.toordinal() + number) % WEEK == 0 or day == days.LAST

    def unsent(self, meter: MonthMeter) -> list[bytes]:
        """What a meter has not handed over; from now on it counts."""
        kept = self.waiting.pop(meter.name, [])
        self.plan.deals[meter.name].measured += sum(mwh for _, mwh in kept)
        return [record for record, _ in kept]

    def _measure(self, day: date, meter: MonthMeter, chance: random.Random) -> tuple[bytes, int]:
        """One reading or session; the very first reading is where counting begins."""
        if meter.sessions:
            units = chance.randrange(50_000, 300_000)
            begun, took = at(day - timedelta(days=1), 20), units * 360 // _DRAWN_W + 60
            return meter.session(units, begun, took), units * MWH_PER_UNIT
        units = chance.randrange(40_000, 160_000) if meter.counter else 0
        return meter.reading(units, at(day, 0)), units * MWH_PER_UNIT

    # --- deliveries: picked up, received, accepted, a day each

    def _ship(self, day: date, one: Shipment) -> None:
        """20 % when picked up, 50 % received less 1 % of all for each hour begun, then 30 %."""
        step = (day - date.fromtimestamp(one.due)).days
        goods, price = one.goods, one.price_cents * CENT
        if step == 0:
            self.seen[one.deal.name] = one.truck.pick_up(goods, one.due - 20 * 3_600)
            self.hand_over("epcis", [self.seen[one.deal.name]])
            said = one.dock.confirm(goods, one.due - 19 * 3_600, [self.seen[one.deal.name]])
            one.deal.extra += price * 20 // 100
        elif step == 1:
            arrived = one.due + one.late * 3_600 - 1_800
            said = one.dock.receive(goods, arrived)
            one.deal.extra += price * (50 - one.late) // 100
        elif step == 2:
            said = one.dock.accept(goods, one.due + 86_400)
            one.deal.extra += price * 30 // 100
        else:
            return
        self.hand_over("epcis", [said])

    # --- wearables: tap through the month, redeemed by each merchant every third day

    def _shop(self, day: date, band: Band) -> None:
        chance = self._chance(day, band.name)
        for tap in range(chance.choice((0, 0, 0, 1, 2))):
            micro = chance.randrange(100, 1_500) * CENT
            if band.totals.total() + micro > BAND_CENTS * CENT or band.name in self.silent:
                return
            payee = chance.choice(self.cast.merchants).address
            moment = at(day, 0) + 3_600 * (tap + 1) + chance.randrange(1_800)
            self.due[band.name, payee] = band.tap(payee, micro, CLASS, moment)

    def _redeemed(self, day: date) -> list[bytes]:
        """What tills hand over; a running total is worth what it says beyond the one before."""
        found = []
        for number, merchant in enumerate(self.cast.merchants):
            if (day.toordinal() + number) % 3 and day != days.LAST:
                continue
            for band in self.town.bands:
                record = self.due.pop((band.name, merchant.address), None)
                if record is not None:
                    found.append(record)
                    self._paid(band, merchant.address)
        return found

    def _paid(self, band: Band, merchant: str) -> None:
        deal, before = self.plan.deals[band.name], self.plan.redeemed[band.name, merchant]
        rise = band.totals[merchant] - before
        self.plan.redeemed[band.name, merchant] += rise
        self.plan.paid_by_voucher[merchant] += rise
        deal.extra += rise

    def _chance(self, day: date, name: str) -> random.Random:
        return random.Random(f"{self.seed}/{name}/{day}")
