"""Checks the signed values in a file of OCPP messages, for `evidence check`."""

from __future__ import annotations

from device_adapters.protocols.ocmf.check import check_items
from device_adapters.protocols.ocmf.containers import Item
from device_adapters.protocols.ocpp.frames import find_signed
from device_adapters.protocols.sealed.check import check_sealed, holds_sealed
from device_adapters.registers import Direction
from device_adapters.verdicts import Report


def check_frames(data: bytes, given: str | bytes | None, direction: Direction) -> Report:
    """Check every signed value: OCMF with its sessions, and sealed records.

    The key is the given one, else the one in the message; an empty publicKey is no key: the rail
    always takes the registry's.
    """
    items = find_signed(data)
    sealed = [item for item in items if holds_sealed(item.record)]
    others = [item for item in items if not holds_sealed(item.record)]
    report = check_items(others, given, direction) if others else Report()
    for item in sealed:
        part = _check_sealed(item, given, direction)
        for record in part.records:
            record.index = len(report.records)
            report.records.append(record)
        if part.error is None:
            report.error = None
        elif not others and len(sealed) == 1:
            report.error = part.error
    return report


def _check_sealed(item: Item, given: str | bytes | None, direction: Direction) -> Report:
    report = check_sealed(item.record, given or item.key or None, direction)
    for record in report.records:
        if record.key_source and not given:
            record.key_source = "container"
    return report
