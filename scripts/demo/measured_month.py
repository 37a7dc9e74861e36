"""The devices that measure a past month, and what each seals of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from scripts.demo.tariffs import (
    ABOUT,
    ATM,
    BRANCH,
    CAR,
    DAY_S,
    FIELD,
    FREEZER,
    HARSH,
    HEARTBEAT_S,
    HOUR_S,
    LAMP,
    METER,
    METRES,
    NIGHT,
    PUMP,
    STATIONS,
)
from services.simulated_devices.reporter import SimulatedReporter

# a week's rain (mm) at each station: 84.0, 78.0 and 94.0 in four weeks
_RAIN = (
    ("0", "0", "6.5", "2.5", "0", "9", "3"),
    ("0", "1", "6", "2", "0", "8.5", "2"),
    ("0", "0.5", "7", "3", "0", "10", "3"),
)
# a week's degrees Celsius at the first station: 310 degree days below 15.5 in four weeks
_CELSIUS = ("4.5", "5.0", "3.5", "2.5", "4.0", "6.5", "5.0")
_KWH = (5_000, 6_020)  # the meter's register at the begin and at the end
_DOWN_S, _EMPTY_S = 43_500, 24_000  # the machine: 98.2 % up, 400 minutes without cash
DAYS = {LAMP: 7, FREEZER: 60}  # that customers order


class MeasuredMonth:
    """The devices of one month of four weeks.

    Args:
        folder: of the devices.
        seed: of their keys, as in `Station`.
        begin: Unix seconds, a midnight in UTC.
    """

    def __init__(self, folder: Path, seed: int, begin: int) -> None:
        self.begin, self.end = begin, begin + 28 * DAY_S
        names = (*ABOUT, METER, *STATIONS)
        self.devices = {name: SimulatedReporter(folder / name, name, seed) for name in names}

    def readings(self) -> dict[str, list[bytes]]:
        """Return the records of sensors, meter and machine, by device."""
        meter, machine = self.devices[METER], self.devices[ATM]
        weather = {
            name: self.devices[name].sense(list(self._weather(number)))
            for number, name in enumerate(STATIONS)
        }
        registers = list(zip((self.begin, self.end), _KWH, strict=True))
        states = machine.serve(ABOUT[ATM], list(self._states()))
        return {**weather, METER: meter.meter(registers), ATM: states}

    def reports(self) -> dict[str, list[bytes]]:
        """Return the reports about the month, and the orders after it, by device.

        What sensors and the meter measured must have arrived before.
        """
        month, after = (self.begin, self.end), (self.end, self.end + HOUR_S)
        orders = {name: self._report(name, after, {"days": days}) for name, days in DAYS.items()}
        driven = {METRES: 1_240_000, NIGHT: 1_200, HARSH: 3}
        return {
            CAR: self._report(CAR, month, driven, 9_800),
            BRANCH: self._report(BRANCH, month, {"month": 1}),
            FIELD: self._report(FIELD, month, {"season": 1}),
            PUMP: self._repair(),
            **orders,
        }

    def _report(
        self, name: str, period: tuple[int, int], metrics: dict[str, int], coverage: int = 10_000
    ) -> list[bytes]:
        return [self.devices[name].report(ABOUT[name], period, metrics, coverage=coverage)]

    def _weather(self, number: int) -> Iterator[tuple[int, dict[str, tuple[str, str]]]]:
        """Yield what a station measures at each noon; the first one has a thermometer as well."""
        noons = range(self.begin + DAY_S // 2, self.end, DAY_S)
        for noon, rain, celsius in zip(noons, cycle(_RAIN[number]), cycle(_CELSIUS), strict=False):
            temperature = {"temperature": (celsius, "Cel")} if number == 0 else {}
            yield noon, {"rain": (rain, "mm")} | temperature

    def _states(self) -> Iterator[tuple[int, str, int]]:
        """Yield the machine's heartbeats and changes: once out of order, once without cash."""
        down, empty = self.begin + 3 * DAY_S + HOUR_S, self.begin + 10 * DAY_S + HOUR_S
        changes = (down, down + _DOWN_S, empty, empty + _EMPTY_S)
        for at in sorted({*range(self.begin, self.end + 1, HEARTBEAT_S), *changes}):
            state = "hardwareError" if down <= at < down + _DOWN_S else "online"
            yield at, state, 40 if empty <= at < empty + _EMPTY_S else 4_200

    def _repair(self) -> list[bytes]:
        """Return the asset's reports: an alarm, the order of the work, a reading under load."""
        at, pump = self.begin + 5 * DAY_S, self.devices[PUMP]
        steps = (
            (at, {"velocity": 5_200, "load": 9_000}),
            (at + 2 * HOUR_S, {"order": 1}),
            (at + 22 * HOUR_S, {"velocity": 3_100, "load": 8_500}),
        )
        return [
            pump.report(ABOUT[PUMP], (end - HOUR_S, end), metrics, ordinal)
            for ordinal, (end, metrics) in enumerate(steps, 1)
        ]
