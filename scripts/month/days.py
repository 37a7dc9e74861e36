"""The calendar of the month: April 2026, with the days on which TARGET is closed.

It is independent of the rail's own calendar; that both agree is part of the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

FIRST, LAST = date(2026, 4, 1), date(2026, 4, 30)
INSTALLED, FUNDED = date(2026, 3, 30), date(2026, 3, 31)
AFTER = date(2026, 5, 6)  # banks may need until then for the last orders
# Good Friday, Easter Monday, and Labour Day, as the ECB announces them
_CLOSED = {date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1)}


def at(day: date, hour: int, minute: int = 0) -> int:
    """Return the Unix seconds of an hour (UTC) of a day."""
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC).timestamp())


def span(first: date = FIRST, last: date = LAST) -> Iterator[date]:
    """Yield every day from `first` to `last`, both included."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def is_open(day: date) -> bool:
    """Return whether banks book on that day."""
    return day.weekday() < 5 and day not in _CLOSED


def next_open(day: date) -> date:
    """Return the first day after `day` on which banks book."""
    after = day + timedelta(days=1)
    while not is_open(after):
        after += timedelta(days=1)
    return after
