"""Usage premium: a car reports each week what it drove.

One week is stated again, lower: the insurer owes the difference. One week was hardly observed, so
it costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from scripts.month.days import at
from scripts.month.trades.trade import MonthTrade
from scripts.month.worked import on_line, priced

METRES, NIGHT, HARSH = "Vehicle.TraveledDistance", "NightShare", "HarshEventsPer1000km"
_BY_METRES = ((0, 0), (1_000_000, 35_000_000), (3_000_000, 75_000_000))
_BY_NIGHT = ((0, 10_000), (2_000, 11_000), (5_000, 13_000))
_BY_HARSH = ((0, 8_500), (5, 10_000), (20, 12_500))
_BASE, _CEILING = 12_000_000, 120_000_000
_WEEK = timedelta(days=7)


class DrivenWeek(NamedTuple):
    """What a car counted in a week."""

    metres: int
    night: int
    harsh: int

    @property
    def premium_micro(self) -> int:
        factors = on_line(_BY_NIGHT, self.night), on_line(_BY_HARSH, self.harsh)
        return priced(_BASE + on_line(_BY_METRES, self.metres), factors, _CEILING)


@dataclass
class MonthCar(MonthTrade):
    """A car with a policy.

    Attributes:
        weeks: the first day of each week that it reports.
        corrected: (day, metres): the week before is stated again that day, by so much less.
        unplugged: the first day of the week in which the device was unplugged.
    """

    PRODUCT = "usage_premium"
    weeks: tuple[date, ...] = ()
    corrected: tuple[date, int] | None = None
    unplugged: date | None = None

    def terms(self) -> dict[str, str]:
        return {
            "about": self.about,
            "metrics": f"{METRES} 0..20000000; {NIGHT} 0..10000; {HARSH} 0..1000",
            "plus": f"{METRES} rising: 0=0, 1000000=35.00, 3000000=75.00",
            "times": f"{NIGHT} rising: 0=100%, 2000=110%, 5000=130%; "
            f"{HARSH} rising: 0=85%, 5=100%, 20=125%",
            "base": "12.00",
            "ceiling": "120.00",
            "coverage": "90%",
            "period": "7 days",
        }

    def morning(self, day: date) -> Iterator[bytes]:
        for first in self.weeks:
            if first + _WEEK == day:
                week, is_plugged = self._driven(first), first != self.unplugged
                if is_plugged:
                    self.agreement.pay(week.premium_micro)
                yield self._report(first, week, 9_800 if is_plugged else 7_100)
        if self.corrected and self.corrected[0] == day:
            first = max(week for week in self.weeks if week + _WEEK < day)
            before = self._driven(first)
            after = before._replace(metres=before.metres - self.corrected[1])
            self.agreement.pay(after.premium_micro - before.premium_micro)
            yield self._report(first, after, 9_800)

    def _report(self, first: date, week: DrivenWeek, coverage: int) -> bytes:
        metrics = {METRES: week.metres, NIGHT: week.night, HARSH: week.harsh}
        period = at(first, 0), at(first + _WEEK, 0)
        ordinal = self.weeks.index(first) + 1
        return self.device.report(self.about, period, metrics, ordinal, coverage)

    def _driven(self, first: date) -> DrivenWeek:
        chance = self.chance(self.device, first)
        return DrivenWeek(
            chance.randrange(400_000, 2_400_000), chance.randrange(4_000), chance.randrange(25)
        )
