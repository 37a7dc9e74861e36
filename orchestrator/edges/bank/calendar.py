"""Finds the days on which TARGET settles euro payments.

Rule: ECB, TARGET closing days: weekends, 1 January, Good Friday, Easter Monday, 1 May, 25 and 26
December.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache

import holidays


def is_open(day: date) -> bool:
    """Return whether TARGET settles on this day."""
    return day.weekday() < 5 and day not in _closing_days(day.year)


def next_open(day: date) -> date:
    """Return this day, or the next one on which TARGET is open."""
    while not is_open(day):
        day += timedelta(days=1)
    return day


def execution_day(at: datetime, cut_off_hour: int) -> date:
    """Return the first day on which a bank can execute an order.

    Args:
        at: When the order reaches the bank, UTC.
        cut_off_hour: From this full hour (UTC), an order counts as of the next day; 24: never.
    """
    return next_open(at.date() + timedelta(days=at.hour >= cut_off_hour))


@cache
def _closing_days(year: int) -> frozenset[date]:
    return frozenset(holidays.ECB(years=year))


def statement_due(now: datetime, hour: int) -> date:
    """Return the newest bank day whose statement (camt.053) must have arrived.

    Args:
        now: UTC.
        hour: The full hour (UTC) of the day after a bank day by which its statement is expected.
    """
    day = now.date() - timedelta(days=1 if now.hour >= hour else 2)
    while not is_open(day):
        day -= timedelta(days=1)
    return day
