"""Parametric cover: a field is paid for a dry season, by the median of four stations.

One station loses four days, so that it does not count.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from statistics import median_low

from scripts.month import days
from scripts.month.days import at
from scripts.month.trades.reporter import MonthReporter, MonthTrade, Records
from scripts.month.worked import on_line

_BEGIN, _END = days.FIRST, date(2026, 4, 22)
_REPORTED = date(2026, 4, 23)
_BY_RAIN = ((600, 400_000_000), (1_200, 0))  # tenths of a millimetre in a season


class MonthField(MonthTrade):
    """An insured field; `others` are the stations, of which the last loses days."""

    PRODUCT = "parametric_cover"
    others: Sequence[MonthReporter]
    seed = 0

    def terms(self) -> dict[str, str]:
        return {
            "about": f"field:{self.device.name}",
            "metrics": "measured 0..100000",
            "plus": "measured falling: 600=400.00, 1200=0",
            "ceiling": "400.00",
            "coverage": "95%",
            "sources": "3",
            "period": "21 days",
            "stations": ", ".join(station.name for station in self.others),
            "quantity": "rain mm",
            "measure": "sum",
            "step": "0.1",
        }

    def morning(self, day: date) -> Records:
        measured = day - timedelta(days=1)
        if _BEGIN <= measured < _END:
            for station in self.others:
                tenths = self._rain(station, measured)
                if tenths is not None:
                    yield station.sense(at(measured, 12), "rain", "mm", tenths)
        if day == _REPORTED:
            self.agreement.pay(on_line(_BY_RAIN, self._median()))
            times = at(_BEGIN, 0), at(_END, 0)
            subject = f"field:{self.device.name}"
            yield self.device.report(1, *times, subject, {"season": 1})

    def _rain(self, station: MonthReporter, day: date) -> int | None:
        """Return the rain of a day in tenths of a millimetre; None where a station lost it."""
        if station is self.others[-1] and 8 <= day.day < 12:
            return None
        return random.Random(f"{self.seed}/{station.name}/{day}").randrange(15, 65)

    def _median(self) -> int:
        sums = [
            sum(self._rain(station, day) for day in days.span(_BEGIN, _END - timedelta(days=1)))
            for station in self.others[:-1]
        ]
        return median_low(sums)  # of three
