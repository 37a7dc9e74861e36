"""From one OCMF record to its event, shared by `ocmf.decode` and the check of a file.

The library pyocmf reads and judges records. Plain records, the bulk of any fleet, take a faster
path that returns the identical event or falls back to pyocmf (a property test compares the two).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from device_adapters.protocols.ocmf import rules
from device_adapters.protocols.ocmf.fields import (
    counter_of,
    device_of,
    place_of,
    read_time,
    register_mwh,
)
from device_adapters.protocols.ocmf.plain import plain
from device_adapters.protocols.ocmf.rules import BillingReason, OcmfCautionReason
from device_adapters.protocols.ocmf.sections import open_record, read_seal
from device_adapters.types import STREAM_BIT, Event, Reason, Rejected

KIND = "meter.reading"
_SETTLEABLE = {"G", "S", "X"}  # meter states: good, substitute value, meter exchanged
_NAMED = (
    ("format", "FV"),
    ("meter", "MS"),
    ("gateway", "GS"),
    ("pagination", "PG"),
    ("tariff", "TT"),
)


def decode(record: bytes) -> Event:
    """Return the meter reading in one record, plain or wrapped in hex or base64. Pure.

    Facts: {"readings": [{"at" ms, "mark" TX, "register" mWh, "obis", "clock", "status",
    "flags"}], "format", "meter", "gateway", "pagination", "tariff", "cautions"}; the readings
    are those of the billable register (none where a record has no such register).
    Counter: T<n> gives n, F<n> gives 2^39 + n. Place: the charge point of the meter.
    A fiscal record of substitute values or of an exchanged meter is left to the product, which
    may settle it: such readings have the status S or X and are by law not billable.

    Raises:
        Rejected: with any `Reason` of bytes and records.
    """
    parts = plain(record)
    if parts is None:
        return through_pyocmf(record)
    device, counter, at, facts, signed, place = parts
    return Event(device, counter, at, KIND, facts, record, signed, place=place)


def through_pyocmf(record: bytes) -> Event:
    """Return the event of any record, by the strict JSON decoder and pyocmf."""
    sections = open_record(record)
    seal = read_seal(sections)
    payload = sections.payload
    readings, at, refusals, cautions = judged_readings(payload)
    if seal.form != "der":
        cautions = sorted([*cautions, OcmfCautionReason.SIGNATURE_NOT_DER.value])
    facts: dict[str, Any] = {"readings": readings}
    for name, key in _NAMED:
        facts[name] = _text(payload.get(key))
    facts["cautions"] = cautions
    device, counter = device_of(payload), counter_of(payload.get("PG"))
    if counter >> STREAM_BIT and {reading["status"] for reading in readings} <= _SETTLEABLE:
        refusals = tuple(code for code in refusals if code != BillingReason.METER_STATUS_NOT_OK)
    place = place_of(payload.get("MS"), payload.get("CT"), payload.get("CI"))
    return Event(
        device, counter, at, KIND, facts, record, seal.signed, not_billable=refusals, place=place
    )


def judged_readings(
    payload: dict[str, Any],
) -> tuple[list[dict[str, Any]], int, tuple[str, ...], list[str]]:
    """Return (readings, Unix ms of the last, billing reasons, warnings) as pyocmf judges them."""
    regular = rules.tolerant(payload)
    times = _times(regular["RD"])
    parsed, deviations = rules.validate(regular)
    errors, cautions = rules.judge(parsed)
    billable = {id(item) for item in rules.billing_readings(parsed)}
    readings = []
    for (at, clock), item in zip(times, parsed.RD, strict=True):
        if id(item) in billable:
            register = register_mwh(item.RV, item.RU)
            readings.append(
                {"at": at, "mark": str(item.TX or ""), "register": register}
                | {"obis": str(item.RI), "clock": clock}
                | {"status": str(item.ST or ""), "flags": item.EF or ""}
            )
    codes = {code.value for code, _ in (*cautions, *deviations)}
    at = readings[-1]["at"] if readings else times[-1][0]
    return readings, at, tuple(code.value for code, _ in errors), sorted(codes)


def _times(readings: list[dict[str, Any]]) -> list[tuple[int, str]]:
    if not readings:
        raise Rejected(Reason.READING_MISSING, "the record has no readings (RD)")
    times, text = [], None
    for reading in readings:
        text = reading.get("TM", text)
        times.append(read_time(text))
    return times


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | Decimal) else ""
