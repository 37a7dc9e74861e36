"""Maintenance escrow: a pump that shakes is repaired, and its own reading under load pays for it.

It reports four times: that it shakes, that a repair was ordered, a reading while it idles, which
says nothing, and one under load.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from scripts.month import days
from scripts.month.days import at
from scripts.month.trades.trade import MonthTrade
from scripts.month.worked import on_line, priced

_BY_VELOCITY = ((2_300, 10_000), (4_500, 6_000), (7_100, 0))
_BY_HOURS = ((48, 10_000), (96, 5_000))
_PRICE = 640_000_000
_ORDERED, _REPAIRED = (10, 9), (13, 2)  # days of April, hours: 65 hours between
_AFTER = 3_100  # micrometres a second under load
# (day, hour, metrics) of each report; it arrives the next morning
_REPORTS = (
    (9, 8, {"velocity": 8_000, "load": 9_000}),
    (*_ORDERED, {"order": 1}),
    (12, 8, {"velocity": 900, "load": 1_000}),
    (*_REPAIRED, {"velocity": _AFTER, "load": 8_500}),
)


class MonthPump(MonthTrade):
    """A pump whose owner pays a contractor for what it measures afterwards."""

    PRODUCT = "maintenance_escrow"

    def terms(self) -> dict[str, str]:
        return {
            "about": self.about,
            "metrics": "velocity 0..100000; hours 0..1000",
            "times": "velocity falling: 2300=100%, 4500=60%, 7100=0%; "
            "hours falling: 48=100%, 96=50%",
            "base": "640.00",
            "ceiling": "640.00",
            "period": "1..30 days",
            "alarm": "7100",
            "load": "8000",
        }

    def morning(self, day: date) -> Iterator[bytes]:
        for ordinal, (on, hour, metrics) in enumerate(_REPORTS, 1):
            if on == day.day - 1 and day.month == days.FIRST.month:
                end = at(days.FIRST.replace(day=on), hour)
                yield self.device.report(self.about, (end - 600, end), metrics, ordinal)
                if (on, hour) == _REPAIRED:
                    hours = (_REPAIRED[0] - _ORDERED[0]) * 24 + _REPAIRED[1] - _ORDERED[1]
                    self.agreement.pay(repair_micro(_AFTER, hours))


def repair_micro(velocity: int, hours: int) -> int:
    """Return what a repair is worth by the velocity after it and the hours that it took."""
    factors = on_line(_BY_VELOCITY, velocity), on_line(_BY_HOURS, hours)
    return priced(_PRICE, factors, _PRICE)
