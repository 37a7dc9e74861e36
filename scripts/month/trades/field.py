"""Parametric cover: a field is paid for a dry season, by the median of four stations.

One station loses four days, so that it does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from statistics import median_low

from scripts.month import days
from scripts.month.days import at
from scripts.month.trades.trade import MonthTrade, tenths_text
from scripts.month.worked import on_line
from services.simulated_devices.reporter import SimulatedReporter

_BEGIN, _END = days.FIRST, date(2026, 4, 22)
_REPORTED = date(2026, 4, 23)
_BY_RAIN = ((600, 400_000_000), (1_200, 0))  # tenths of a millimetre in a season


class MonthField(MonthTrade):
    """An insured field; it hears stations, of which the last loses days."""

    PRODUCT = "parametric_cover"

    @property
    def stations(self) -> Sequence[SimulatedReporter]:
        return self.devices[1:]

    def terms(self) -> dict[str, str]:
        return {
            "about": self.about,
            "metrics": "measured 0..100000",
            "plus": "measured falling: 600=400.00, 1200=0",
            "ceiling": "400.00",
            "coverage": "95%",
            "sources": "3",
            "period": "21 days",
            "stations": ", ".join(station.name for station in self.stations),
            "quantity": "rain mm",
            "measure": "sum",
            "step": "0.1",
        }

    def morning(self, day: date) -> Iterator[bytes]:
        measured = day - timedelta(days=1)
        if _BEGIN <= measured < _END:
            for station in self.stations:
                tenths = self._rain(station, measured)
                if tenths is not None:
                    rain = {"rain": (tenths_text(tenths), "mm")}
                    yield from station.sense([(at(measured, 12), rain)])
        if day == _REPORTED:
            self.agreement.pay(cover_micro(self._median()))
            yield self.device.report(self.about, (at(_BEGIN, 0), at(_END, 0)), {"season": 1})

    def _rain(self, station: SimulatedReporter, day: date) -> int | None:
        """Return the rain of a day in tenths of a millimetre; None where a station lost it."""
        if station is self.stations[-1] and 8 <= day.day < 12:
            return None
        return self.chance(station, day).randrange(15, 65)

    def _median(self) -> int:
        sums = [
            sum(self._rain(station, day) for day in days.span(_BEGIN, _END - timedelta(days=1)))
            for station in self.stations[:-1]
        ]
        return median_low(sums)  # of three


def cover_micro(rain: int) -> int:
    """Return what a season with so much rain (tenths of a millimetre) pays."""
    return on_line(_BY_RAIN, rain)
