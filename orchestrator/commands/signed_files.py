"""Reads files of signed records of one device, for commands that compute from its past."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.home import text_or_file
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from device_adapters.types import Event


def genuine_events(files: Iterable[Path], key: str, device: str) -> list[Event]:
    """Return the events of files; Halt where a record is not the device's, signed by the key."""
    from device_adapters.evidence import check_file

    events = []
    for file in files:
        report = check_file(file, text_or_file(key))
        if report.error is not None:
            raise Halt(f"{file} cannot be read: {report.error[1]} ({report.error[0]}).")
        for record in report.records:
            if not record.is_genuine or record.event is None:
                reasons = [*record.genuine_reasons, *record.billable_reasons]
                named = "; ".join(f"{code} ({detail})" for code, detail in reasons)
                where = f"Record {record.index + 1} of {file}"
                raise Halt(f"{where} proves nothing: {named or 'it is not signed'}. Leave it out.")
            if record.event.device != device:
                raise Halt(f"{file} has records of {record.event.device}, not only of {device}.")
            events.append(record.event)
    return events
