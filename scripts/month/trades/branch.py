"""Energy savings: what a branch did not use in four weeks, by its meter and a station."""

from __future__ import annotations

import random
from datetime import date, timedelta
from fractions import Fraction
from math import floor

from scripts.month import days
from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, MonthMeter
from scripts.month.trades.reporter import MonthReporter, MonthTrade, Records
from scripts.month.worked import on_line, priced

_END = date(2026, 4, 29)
_HEAT_BELOW, _COOL_ABOVE = Fraction("15.5"), Fraction(18)
_BASE, _CEILING = 47_040_000, 200_000_000  # 420 kWh at 0.112 EUR
_BY_HEATING = ((0, 0), (100_000, 347_200_000))
_BY_COOLING = ((0, 0), (100_000, 246_400_000))
_BY_ENERGY = ((0, 0), (10_000_000, -1_120_000_000))
_HOURS = (4, 14)  # when the station measures


class MonthBranch(MonthTrade):
    """A branch with its gateway (`device`), its meter and the station that its terms name."""

    PRODUCT = "energy_savings"
    meter: MonthMeter
    station: MonthReporter
    seed = 0

    def terms(self) -> dict[str, str]:
        return {
            "about": f"site:{self.device.name}",
            "metrics": "heating 0..1000000; cooling 0..1000000; energy 0..1000000000",
            "plus": "heating rising: 0=0, 100000=347.20; cooling rising: 0=0, 100000=246.40; "
            "energy falling: 0=0, 10000000=-1120.00",
            "base": "47.04",
            "ceiling": "200.00",
            "coverage": "90%",
            "period": "28..31 days",
            "meter": self.meter.name,
            "station": self.station.name,
            "heat_below": "15.5",
            "cool_above": "18",
        }

    def morning(self, day: date) -> Records:
        if day > _END:
            return
        yield "ocmf", self.meter.reading(self._used(day) if day > days.FIRST else 0, at(day, 0))
        yesterday = day - timedelta(days=1)
        if day > days.FIRST:
            for hour, tenths in zip(_HOURS, self._temperatures(yesterday), strict=True):
                yield self.station.sense(at(yesterday, hour), "temperature", "Cel", tenths)
        if day == _END:
            self.agreement.pay(self._saved())
            times = at(days.FIRST, 0), at(_END, 0)
            yield self.device.report(1, *times, f"site:{self.device.name}", {"month": 1})

    def _used(self, day: date) -> int:
        """Return what the meter counted in the 24 hours before a day, in units of 0.1 Wh."""
        return random.Random(f"{self.seed}/{self.meter.name}/{day}").randrange(90_000, 210_000)

    def _temperatures(self, day: date) -> tuple[int, int]:
        """Return what the station measured on a day, in tenths of a degree."""
        chance = random.Random(f"{self.seed}/{self.station.name}/{day}")
        return chance.randrange(-20, 120), chance.randrange(80, 320)

    def _saved(self) -> int:
        """Return what the branch is owed: base and weather less what it used, at one price."""
        measured = list(days.span(days.FIRST, _END - timedelta(days=1)))
        means = [Fraction(sum(self._temperatures(day)), 20) for day in measured]
        heating = floor(100 * sum(max(Fraction(0), _HEAT_BELOW - mean) for mean in means))
        cooling = floor(100 * sum(max(Fraction(0), mean - _COOL_ABOVE) for mean in means))
        used = sum(self._used(day + timedelta(days=1)) for day in measured)
        watt_hours = used * MWH_PER_UNIT // 1_000
        parts = (
            on_line(_BY_HEATING, heating),
            on_line(_BY_COOLING, cooling),
            on_line(_BY_ENERGY, watt_hours),
        )
        return priced(_BASE + sum(parts), (), _CEILING)
