"""Energy savings: what a branch did not use in four weeks, by its meter and a station."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from math import floor

from scripts.month import days
from scripts.month.days import at
from scripts.month.trades.trade import MonthTrade, tenths_text
from scripts.month.worked import on_line, priced
from services.simulated_devices.reporter import SimulatedReporter

_END = date(2026, 4, 29)
_HEAT_BELOW, _COOL_ABOVE = Fraction("15.5"), Fraction(18)
_BASE, _CEILING = 47_040_000, 200_000_000  # 420 kWh at 0.112 EUR
_BY_HEATING = ((0, 0), (100_000, 347_200_000))
_BY_COOLING = ((0, 0), (100_000, 246_400_000))
_BY_ENERGY = ((0, 0), (10_000_000, -1_120_000_000))
_SHOWN = 20_000_0  # what the meter shows at first, in units of 0.1 kWh
_HOURS = (4, 14)  # when the station measures


class MonthBranch(MonthTrade):
    """A branch with its gateway, its meter and the station that its terms name."""

    PRODUCT = "energy_savings"

    @property
    def meter(self) -> SimulatedReporter:
        return self.devices[1]

    @property
    def station(self) -> SimulatedReporter:
        return self.devices[2]

    def terms(self) -> dict[str, str]:
        return {
            "about": self.about,
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

    def morning(self, day: date) -> Iterator[bytes]:
        if not days.FIRST <= day <= _END:
            return
        yield from self.meter.meter([(at(day, 0), tenths_text(self._register(day)))])
        yesterday = day - timedelta(days=1)
        if day > days.FIRST:
            measured = zip(_HOURS, self._temperatures(yesterday), strict=True)
            yield from self.station.sense(
                [
                    (at(yesterday, hour), {"temperature": (tenths_text(tenths), "Cel")})
                    for hour, tenths in measured
                ]
            )
        if day == _END:
            self.agreement.pay(self._saved())
            yield self.device.report(self.about, (at(days.FIRST, 0), at(_END, 0)), {"month": 1})

    def _register(self, day: date) -> int:
        """Return what the meter shows when a day begins, in units of 0.1 kWh."""
        before = days.span(days.FIRST, day - timedelta(days=1))
        return _SHOWN + sum(self.chance(self.meter, past).randrange(90, 210) for past in before)

    def _temperatures(self, day: date) -> tuple[int, int]:
        """Return what the station measured on a day, in tenths of a degree."""
        chance = self.chance(self.station, day)
        return chance.randrange(-20, 120), chance.randrange(80, 320)

    def _saved(self) -> int:
        """Return what the branch is owed: base and weather less what it used, at one price."""
        measured = list(days.span(days.FIRST, _END - timedelta(days=1)))
        means = [Fraction(sum(self._temperatures(day)), 20) for day in measured]
        heating = floor(100 * sum(max(Fraction(0), _HEAT_BELOW - mean) for mean in means))
        cooling = floor(100 * sum(max(Fraction(0), mean - _COOL_ABOVE) for mean in means))
        watt_hours = (self._register(_END) - _SHOWN) * 100
        return saved_micro(heating, cooling, watt_hours)


def saved_micro(heating: int, cooling: int, watt_hours: int) -> int:
    """Return the baseline for the weather (hundredths of degree days) less what was used."""
    weather = on_line(_BY_HEATING, heating) + on_line(_BY_COOLING, cooling)
    return priced(_BASE + weather + on_line(_BY_ENERGY, watt_hours), (), _CEILING)
