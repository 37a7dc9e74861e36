"""Service level: an ATM signs its state every six hours, and each change; a week is a fee.

A breakdown, hours without cash, and a silence lower it. Records that the network held back for a
day do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from math import floor

from scripts.month import days
from scripts.month.days import at
from scripts.month.trades.trade import DAY, MonthTrade
from scripts.month.worked import FULL, on_line, priced

_HEARTBEAT = 6 * 3_600
_WEEK = 7 * DAY
_MAINTENANCE = 2 * 3_600  # Sundays from two to four
_BY_UPTIME = ((9_500, 0), (9_900, 9_000), (9_950, 10_000))
_BY_CASHLESS = ((60, 0), (2_560, -50_000_000))
_FEE = 180_000_000
_UP, _DOWN, _FULL_BOX, _EMPTY_BOX = "online", "hardwareError", 4_200, 20
_FIRST = at(days.FIRST, 0)
# what happens between heartbeats: (day of April, hour, minute, state, banknotes)
_CHANGES = (
    (10, 7, 0, _DOWN, _FULL_BOX),
    (10, 8, 20, _UP, _FULL_BOX),  # 80 minutes down
    (13, 13, 0, _UP, _EMPTY_BOX),
    (13, 17, 30, _UP, _FULL_BOX),  # 270 minutes without cash
)
_SILENT = ((17, 6),)  # heartbeats that it never made
_HELD = date(2026, 4, 24)  # the network is down: what it held back arrives a day later
# seconds down and minutes without cash of each week, as they follow from the lines above
_DOWN_S = (0, 80 * 60, _HEARTBEAT, 0)
_CASHLESS_MINUTES = (0, 270, 0, 0)


class MonthMachine(MonthTrade):
    """An ATM with a service contract; its weeks begin on the first of April."""

    PRODUCT = "service_level"

    def terms(self) -> dict[str, str]:
        return {
            "about": self.about,
            "metrics": "uptime 0..10000; cashless 0..44640",
            "plus": "cashless falling: 60=0, 2560=-50.00",
            "times": "uptime rising: 9500=0%, 9900=90%, 9950=100%",
            "base": "180.00",
            "ceiling": "180.00",
            "coverage": "99%",
            "period": "7 days",
            "first": "2026-04-01T00:00Z",
            "heartbeat": str(_HEARTBEAT),
            "low": "100",
            "maintenance": "Sun 02:00-04:00",
        }

    def morning(self, day: date) -> Iterator[bytes]:
        if day == _HELD:
            return
        since = day - timedelta(days=2 if day - timedelta(days=1) == _HELD else 1)
        states = self._states(at(since, 0), at(day, 0))
        yield from self.device.serve(self.about, states)
        for moment, *_ in states:
            week, rest = divmod(moment - _FIRST, _WEEK)
            if week and not rest:
                self.agreement.pay(_fee(_DOWN_S[week - 1], _CASHLESS_MINUTES[week - 1]))

    def _states(self, after: int, until: int) -> list[tuple[int, str, int]]:
        """Return (Unix seconds, state, banknotes) of a time, its end included."""
        silent = {_moment(*when) for when in _SILENT}
        reports = [
            (moment, _UP, _FULL_BOX)
            for moment in range(max(after + _HEARTBEAT, _FIRST), until + 1, _HEARTBEAT)
            if moment not in silent
        ]
        changes = [(_moment(*when), state, cash) for *when, state, cash in _CHANGES]
        return sorted([*reports, *(change for change in changes if after < change[0] <= until)])


def _fee(down_s: int, cashless_minutes: int) -> int:
    planned = _WEEK - _MAINTENANCE
    return fee_micro(floor(Fraction((planned - down_s) * FULL, planned)), cashless_minutes)


def fee_micro(uptime: int, cashless_minutes: int) -> int:
    """Return the fee for an uptime (basis points) and minutes without cash."""
    sum_micro = _FEE + on_line(_BY_CASHLESS, cashless_minutes)
    return priced(sum_micro, [on_line(_BY_UPTIME, uptime)], _FEE)


def _moment(day: int, hour: int, minute: int = 0) -> int:
    return at(days.FIRST.replace(day=day), hour, minute)
