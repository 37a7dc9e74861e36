"""What sensors of devices that an agreement hears measured in a period: values, days, totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from device_adapters.types import Event, device_id

SENSOR = "sensor.reading"
DAY = 86_400


class SensedValue(NamedTuple):
    """Unix seconds, and the exact value."""

    at: int
    value: Decimal


def sensed(events: Iterable[Event], device: str, quantity: str, unit: str) -> list[SensedValue]:
    """Return the usable values of a quantity that a device measured, by time."""
    identity = device_id(device)
    return sorted(
        SensedValue(event.observed_at_ms // 1000, Decimal(reading["value"]))
        for event in events
        if event.device_id == identity and event.kind == SENSOR
        for reading in event.facts["readings"]
        if (reading["register"], reading["unit"]) == (quantity, unit) and reading["usable"]
    )


def by_day(values: Iterable[SensedValue]) -> Mapping[int, list[Decimal]]:
    """Return the values of each day (UTC, counted from 1970)."""
    days: dict[int, list[Decimal]] = {}
    for at, value in values:
        days.setdefault(at // DAY, []).append(value)
    return days


def days_of(begin: int, end: int) -> int:
    """Return how many days (UTC) a period touches."""
    return (end - 1) // DAY - begin // DAY + 1
