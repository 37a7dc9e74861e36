"""From one OCMF record to its event, shared by `ocmf.decode` and the check of a file.

The library pyocmf reads records. Plain records, the bulk of any fleet, take a faster path that
returns the identical event or falls back to pyocmf (a property test compares the two).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyocmf.core import Payload, Reading

from device_adapters.protocols.ocmf import rules
from device_adapters.protocols.ocmf.fields import (
    charge_point_of,
    counter_of,
    device_of,
    energy_unit,
    gateway_of,
    name_of,
    place_of,
    read_time,
    register_mwh,
)
from device_adapters.protocols.ocmf.plain import plain
from device_adapters.protocols.ocmf.rules import BillingReason, OcmfCautionReason
from device_adapters.protocols.ocmf.sections import open_record, read_seal
from device_adapters.registers import Direction, Register, parse
from device_adapters.sessions import chosen, is_unusable, judge, readings_of
from device_adapters.types import STREAM_BIT, Event, Reason, Rejected
from device_adapters.verdicts import Finding

KIND = "meter.reading"
_SETTLEABLE = {"G", "S", "X"}  # meter states: good, substitute value, meter exchanged
_ORDER = (BillingReason.REGISTER_BACKWARDS, BillingReason.TIME_BACKWARDS)
_TEXTS = (("format", "FV"), ("pagination", "PG"), ("tariff", "TT"))
_NAMES = (("meter", "MS"), ("gateway", "GS"))


@dataclass(frozen=True, slots=True)
class RecordContent:
    """What the payload of a record says.

    facts: those of the event (see `decode`). observed_at_ms: time of the last reading. reasons:
    why the record by itself may not be billed, other than by its readings. cautions: what an
    auditor should know; their codes are in the facts too.
    """

    payload: Payload
    facts: dict[str, Any]
    observed_at_ms: int
    reasons: list[Finding]
    cautions: list[Finding]


def decode(record: bytes) -> Event:
    """Return the meter reading in one record, plain or wrapped in hex or base64. Pure.

    Facts: {"readings": [{"at" ms, "mark" TX, "register" mWh, "unit", "obis", "clock", "status",
    "flags"}], "format", "meter", "gateway", "charge_point", "pagination", "tariff", "cautions"};
    the readings are those of every register of total active energy, in the order of the record;
    `sessions` says which of them is billed. "obis" is canonical (`Register.text`), registers finer
    than a milliwatt-hour are rounded down. Readings before format 0.5 have "events" (EI) too.
    "errors": only where readings without a value of energy report that it is unusable; each has
    "before", the number of readings before it.
    Counter: T<n> gives n, F<n> gives 2^39 + n. Place: the charge point of the meter.
    A fiscal record of substitute values or of an exchanged meter is left to the product, which
    may settle it: such readings have the status S or X and are by law not billable. So is the
    direction: a record of export registers alone is billable where the terms say export.

    Raises:
        Rejected: with any `Reason` of bytes and records.
    """
    parts = plain(record)
    if parts is None:
        return through_pyocmf(record)
    device, gateway, counter, at, facts, signed, place = parts
    return Event(device, counter, at, KIND, facts, record, signed, place=place, gateway=gateway)


def through_pyocmf(record: bytes) -> Event:
    """Return the event of any record, by the strict JSON decoder and pyocmf."""
    sections = open_record(record)
    seal = read_seal(sections)
    payload = sections.payload
    content = read_content(payload)
    device, counter = device_of(payload), counter_of(payload.get("PG"))
    facts = content.facts
    forms = [code.value for code, _ in rules.form_cautions(seal.form)]
    facts["cautions"] = sorted([*facts["cautions"], *forms])
    reasons = [code for code, _ in content.reasons]
    reasons += _reasons_in_any_direction(facts, bool(counter >> STREAM_BIT))
    return Event(
        device,
        counter,
        content.observed_at_ms,
        KIND,
        facts,
        record,
        seal.signed,
        not_billable=tuple(code.value for code in reasons),
        place=place_of(facts["meter"], facts["charge_point"]),
        gateway=gateway_of(payload),
    )


def read_content(payload: dict[str, Any]) -> RecordContent:
    """Return what a payload says; Rejected where a reading cannot be counted."""
    regular = rules.tolerant(payload)
    times = _times(regular["RD"])
    parsed, deviations = rules.validate(regular)
    reasons, cautions = rules.judge(parsed)
    readings: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for (at, clock), item in zip(times, parsed.RD, strict=True):
        entry: dict[str, Any] = {"at": at, "clock": clock} | _common(item)
        register = rules.energy_register(item.RI)
        if register is not None and item.RV is not None:
            unit, scale = energy_unit(item.RU)
            value, floored = register_mwh(item.RV, scale)
            if floored:
                detail = f"{item.RV} {unit} is finer than a milliwatt-hour; it counts as {value}"
                cautions.append((OcmfCautionReason.REGISTER_FLOORED, f"{detail} mWh"))
            events = rules.event_counter(parsed, item)
            entry |= {"register": value, "unit": unit, "obis": register.text}
            readings.append(entry | ({"events": events} if events else {}))
        elif is_unusable(entry):
            errors.append(entry | {"obis": _code_of(item), "before": len(readings)})
    cautions = rules.once([*cautions, *deviations])
    facts: dict[str, Any] = {"readings": readings} | ({"errors": errors} if errors else {})
    facts |= {name: _text(payload.get(key)) for name, key in _TEXTS}
    facts |= {name: name_of(payload.get(key)) for name, key in _NAMES}
    facts["charge_point"] = charge_point_of(payload)
    facts["cautions"] = sorted({code.value for code, _ in cautions})
    at = readings[-1]["at"] if readings else times[-1][0]
    return RecordContent(parsed, facts, at, reasons, cautions)


def _common(item: Reading) -> dict[str, str]:
    return {"mark": str(item.TX or ""), "status": str(item.ST or ""), "flags": item.EF or ""}


def _code_of(item: Reading) -> str:
    """Return the canonical code of a reading; "" where it has none that is one."""
    register = parse(str(item.RI)) if item.RI is not None else None
    return register.text if register else ""


def _reasons_in_any_direction(facts: dict[str, Any], fiscal: bool) -> list[BillingReason]:
    """Return why a record may not be billed, whichever direction of energy the terms name.

    Its session may go on in other records: a missing begin or end is no reason here.
    """
    registers = [parse(reading["obis"]) for reading in facts["readings"]]
    directions = sorted({item.direction for item in registers if item}) or [Direction.IMPORT]
    by_direction = [_reasons(facts, direction, fiscal) for direction in directions]
    return [code for code in by_direction[0] if all(code in other for other in by_direction[1:])]


def _reasons(facts: dict[str, Any], direction: Direction, fiscal: bool) -> list[BillingReason]:
    verdict = judge([facts], direction)
    reasons = [code for code, _ in verdict.broken]
    if not verdict.in_session:  # the terms may know of a rollover, or of a new meter
        reasons = [code for code in reasons if code not in _ORDER]
    register = chosen(facts, direction)
    if fiscal and register and _states(facts, register) <= _SETTLEABLE:
        reasons = [code for code in reasons if code is not BillingReason.METER_STATUS_NOT_OK]
    return reasons


def _states(facts: dict[str, Any], register: Register) -> set[str]:
    return {reading["status"] for reading in readings_of(facts, register)}


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
