"""Orders ask for a day on which euro payments move, as the ECB's calendar has it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from orchestrator.edges.bank.calendar import execution_day, is_open, next_open, statement_due


@pytest.mark.parametrize(
    "day",
    [
        "2026-01-01",
        "2026-04-03",
        "2026-04-06",
        "2026-05-01",
        "2026-12-25",
        "2026-12-26",
        "2025-04-18",
        "2025-04-21",
        "2024-03-29",
        "2024-04-01",  # Good Friday and Easter Monday
        "2026-11-21",
        "2026-11-22",
    ],
)
def test_calendar__closing_days__are_closed(day):
    assert not is_open(date.fromisoformat(day))


@pytest.mark.parametrize(
    "day", ["2026-04-02", "2026-05-14", "2026-10-05", "2026-12-24", "2026-12-31", "2027-01-06"]
)
def test_calendar__national_holidays__are_open(day):
    assert is_open(date.fromisoformat(day))


@pytest.mark.parametrize("year", [2024, 2025, 2026, 2027, 2031])
def test_calendar__any_year__has_six_closing_days(year):
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
    closed = [day for day in days if day.weekday() < 5 and not is_open(day)]
    fixed = [(1, 1), (5, 1), (12, 25), (12, 26)]
    on_weekdays = sum(date(year, month, day).weekday() < 5 for month, day in fixed)
    assert len(closed) == on_weekdays + 2  # Easter's two never fall on a weekend


@pytest.mark.parametrize(
    ("at", "cut_off", "day"),
    [
        ("2026-11-20T13:59", 14, "2026-11-20"),
        ("2026-11-20T14:00", 14, "2026-11-23"),
        ("2026-11-20T23:59", 24, "2026-11-20"),
        ("2026-11-21T08:00", 14, "2026-11-23"),
        ("2026-11-22T23:00", 14, "2026-11-23"),
        ("2026-04-02T15:00", 14, "2026-04-07"),
        ("2026-12-24T09:00", 14, "2026-12-24"),
        ("2026-12-24T15:00", 14, "2026-12-28"),
        ("2026-12-31T20:00", 14, "2027-01-04"),
    ],
)
def test_execution__order_at_a_time__asks_for_the_first_day_that_can_be(at, cut_off, day):
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert execution_day(moment, cut_off) == date.fromisoformat(day)


def test_next_open__open_day__is_that_day():
    assert next_open(date(2026, 11, 23)) == date(2026, 11, 23)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 9, 22, 7, 59), date(2026, 9, 18)),  # Tuesday morning: Monday's is not due
        (datetime(2026, 9, 22, 8), date(2026, 9, 21)),
        (datetime(2026, 9, 21, 8), date(2026, 9, 18)),  # Monday: Friday's
        (datetime(2026, 9, 20, 23), date(2026, 9, 18)),  # Sunday
        (datetime(2026, 12, 28, 8), date(2026, 12, 24)),  # after Christmas and a weekend
    ],
)
def test_statement_due__at_an_hour__is_the_newest_bank_day_before(now, due):
    assert statement_due(now, 8) == due
