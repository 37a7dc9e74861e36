"""The check of a file of a protocol without signatures: its readings, and no verdict on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from device_adapters.content import Content, Reading
from device_adapters.registers import Direction, Register, choose
from device_adapters.verdicts import RecordCheck, Report, Table, Unproven

_COLUMNS = ("device", "at", "register", ">value", "unit", "")


@dataclass
class UnsignedCheck(RecordCheck):
    """The content of a file: nobody signed it, so nothing in it is genuine or forged."""

    content: Content = field(default_factory=lambda: Content(()))
    direction: Direction = Direction.IMPORT

    @property
    def is_genuine(self) -> bool | None:
        """Return None: there is no signature to check."""
        return None

    def protocol_json(self) -> dict[str, Any]:
        """Return the readings, the register that is billed, and what is shown only."""
        return super().protocol_json() | {
            "readings": [reading.as_json() for reading in self.content.readings],
            "registers": registers_json(self.content.readings, self.direction),
            "shown": self.content.shown,
        }

    def tables(self) -> list[Table]:
        """Return the readings with the register that would be billed."""
        return reading_tables(self.content.readings, self.direction)


def check_unsigned(content: Content, data: bytes, direction: Direction) -> Report:
    """Return the report on a file of readings: readable, and billable only once sealed."""
    check = UnsignedCheck(0, data, content=content, direction=direction)
    check.warnings.extend(content.cautions)
    detail = "it has no signature: a device or its gateway must seal it (protocol sealed)"
    check.billable_reasons.append((Unproven.UNSIGNED, detail))
    check.conclude()
    return Report(records=[check])


def registers_json(readings: tuple[Reading, ...], direction: Direction) -> list[dict[str, Any]]:
    """Return for each device the register that is billed in this direction, or null."""
    return [
        {"device": device, "direction": direction.value, "billed": chosen.text if chosen else None}
        for device, chosen in _chosen(readings, direction).items()
    ]


def reading_tables(readings: tuple[Reading, ...], direction: Direction) -> list[Table]:
    """Return the table of readings; the last column marks the register that is billed."""
    chosen = _chosen(readings, direction)
    rows = []
    for reading in readings:
        view = reading.as_json()
        billed = reading.obis is not None and reading.obis == chosen[reading.device]
        note = "not usable" if not reading.usable else "billed" if billed else ""
        names = ("device", "at", "register", "value", "unit")
        rows.append((*(str(view[name] if view[name] is not None else "") for name in names), note))
    return [("readings", _COLUMNS, rows)] if rows else []


def _chosen(readings: tuple[Reading, ...], direction: Direction) -> dict[str, Register | None]:
    registers: dict[str, list[Register]] = {}
    for reading in readings:
        shown = registers.setdefault(reading.device, [])
        if reading.obis is not None:
            shown.append(reading.obis)
    return {device: choose(items, direction) for device, items in registers.items()}
