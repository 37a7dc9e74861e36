"""Checks a file of EPCIS documents, signed or not, for `evidence check`.

An unsigned document is also read, and is not genuine (signature_missing). Errors, which make a
record not billable, and warnings: `notes`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from device_adapters.keys import is_high_s, read_der
from device_adapters.protocols.epcis.document import DecodedEvent
from device_adapters.protocols.epcis.facts import cites_of, subject_of
from device_adapters.protocols.epcis.notes import Notes
from device_adapters.protocols.epcis.record import event_from, read
from device_adapters.protocols.epcis.seal import Sealed, is_signed, open_record, split
from device_adapters.protocols.epcis.times import in_utc
from device_adapters.protocols.epcis.units import count_units, uncounted
from device_adapters.protocols.epcis.xml_events import is_xml
from device_adapters.registry import from_the_future
from device_adapters.strict_json import RECORD_SEPARATOR
from device_adapters.types import MAX_RECORD_BYTES, Reason, Rejected
from device_adapters.verdicts import RecordCheck, Report, Table, as_finding

_SPACE = b" \t\r\n"
_MARKS = re.compile(
    rb'"(?:type|isA)"\s*:\s*"(?:EPCIS(?:Query)?Document|'
    rb'(?:Object|Aggregation|Transaction|Transformation|Association)Event)"'
    rb'|"epcisBody"|"eventTimeZoneOffset"|epcis-context'
)
_XML_MARKS = re.compile(
    rb"<(?:[\w.-]+:)?EPCIS(?:Query)?Document|urn:epcglobal:epcis(?:-query)?:xsd:"
)
_HEADER = re.compile(rb"[A-Za-z0-9_-]{8,}\.\.[A-Za-z0-9_-]*\r?\n")


@dataclass
class EpcisCheck(RecordCheck):
    """One document: its seal if it is signed, its events, and the notes on them."""

    sealed: Sealed | None = None
    decoded: list[DecodedEvent] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    subject: str = ""

    @property
    def device(self) -> str | None:
        """Return the device that signed (kid), or None if unsigned."""
        return self.sealed.device if self.sealed else None

    @property
    def counter(self) -> int | None:
        """Return the counter of the record (ctr), or None if unsigned."""
        return self.sealed.counter if self.sealed else None

    def protocol_json(self) -> dict[str, Any]:
        """Return the signature, subject, citations and events of the document."""
        return {
            "protocol": "epcis",
            **super().protocol_json(),
            "signature": self._signature_json(),
            "subject": self.subject or None,
            "cites": list(cites_of(self.decoded, Notes())),
            "events": [self._event_json(number) for number in range(len(self.events))],
        }

    def tables(self) -> list[Table]:
        """Return the events, the identifiers with their validity, and the sensors' reports."""
        events = self.protocol_json()["events"]
        rows = [
            (
                str(n),
                e["type"],
                e["time_utc"],
                e["action"],
                e["step"],
                e["disposition"],
                _units_text(e["units"]),
                "withdrawn" if e["error"] else "",
                e["hash"],
            )
            for n, e in enumerate(events, 1)
        ]
        codes = [
            (str(n), c["field"], c["canonical"], "" if c["valid"] else c["detail"])
            for n, e in enumerate(events, 1)
            for c in e["identifiers"]
        ]
        sensors = [
            (str(n), s["type"], ", ".join(f"{k} {v}" for k, v in s["said"].items()), s["device"])
            for n, e in enumerate(events, 1)
            for s in e["sensors"]
        ]
        tables: list[Table] = [
            (
                "events",
                ("", "type", "at (UTC)", "action", "step", "disposition", "units", "", "id"),
                rows,
            ),
            ("identifiers", ("event", "field", "canonical", "wrong"), codes),
            ("sensors", ("event", "type", "reported", "device"), sensors),
        ]
        return [table for table in tables if table[2]]

    def _event_json(self, number: int) -> dict[str, Any]:
        fields = self.decoded[number].fields
        codes = [
            {
                "field": name,
                "written": code.written,
                "canonical": code.canonical,
                "key": code.key or None,
                "valid": not code.flaw,
                "detail": code.flaw,
            }
            for event, name, code in self.notes.codes_read
            if event == number + 1
        ]
        times = {name: _text(fields.get(name)) for name in ("eventTime", "recordTime")}
        declaration = fields.get("errorDeclaration")
        return self.events[number] | {
            "time_utc": in_utc(times["eventTime"]),
            "event_time": times["eventTime"],
            "event_time_zone_offset": _text(fields.get("eventTimeZoneOffset")),
            "record_time": times["recordTime"],
            "error_declaration": _declaration_json(declaration)
            if isinstance(declaration, dict)
            else None,
            "units": _units_json(self.events[number]),
            "identifiers": codes,
        }

    def _signature_json(self) -> dict[str, Any] | None:
        if self.sealed is None:
            return None
        signed = self.sealed.signed
        high = is_high_s(read_der(signed.signature_der)[1], signed.curve)
        return {
            "algorithm": "ES256",
            "encoding": "base64url",
            "form": "detached JWS",
            "high_s": high,
        }


def holds_epcis(data: bytes) -> bool:
    """Return whether a file looks like EPCIS: the first line of a JWS, or the usual words."""
    start = data.lstrip(_SPACE + RECORD_SEPARATOR)
    if _HEADER.match(start):
        return True
    if is_xml(start):
        return _XML_MARKS.search(data) is not None
    return start[:1] in (b"{", b"[") and _MARKS.search(data) is not None


def check_epcis(data: bytes, given: str | bytes | None) -> Report:
    """Check every document with the key `given`: an EPCIS file contains no key."""
    records = [_check(index, record, given) for index, record in enumerate(split(data))]
    report = Report(records=records)
    if all(record.unreadable for record in records):
        report.error = records[0].genuine_reasons[-1] if records else (Reason.EMPTY, "no record")
    return report


def _check(index: int, record: bytes, given: str | bytes | None) -> EpcisCheck:
    check = EpcisCheck(index, record)
    document = record.partition(b"\n")[2] if is_signed(record) else record
    try:
        check.sealed = open_record(record)
        check.prove(check.sealed.signed, {"given": given})
    except Rejected as refusal:
        check.genuine_reasons.append(as_finding(refusal))
    try:
        check.decoded, check.events, check.notes = read(document)
    except Rejected as refusal:
        check.unreadable = True
        check.genuine_reasons.append(as_finding(refusal))
    else:
        _check_content(check)
    check.conclude()
    return check


def _check_content(check: EpcisCheck) -> None:
    """Check the content.

    Billable: it has no error and no flaw, names a subject, and reports units that can be counted
    where units are paid for. Settleable: the rail's intake would accept it.
    """
    try:
        check.subject = subject_of(check.events)
    except Rejected as refusal:
        check.billable_reasons.append(as_finding(refusal))
    if check.sealed is not None:
        try:
            check.event = event_from(
                check.sealed, check.record, check.decoded, check.events, check.notes
            )
            if late := from_the_future(check.event, int(time.time() * 1000)):
                check.settleable_reasons.append(as_finding(late))
        except Rejected as refusal:
            check.settleable_reasons.append(as_finding(refusal))
    if len(check.record) > MAX_RECORD_BYTES:
        detail = f"a record has at most {MAX_RECORD_BYTES} bytes"
        check.settleable_reasons.append((Reason.TOO_LARGE, detail))
    units = [reason for event in check.events if (reason := uncounted(event))]
    check.billable_reasons = [
        *check.notes.errors,
        *check.notes.flaws,
        *check.billable_reasons,
        *units,
    ]
    check.warnings.extend(check.notes.warnings)


def _declaration_json(declaration: dict[str, Any]) -> dict[str, Any]:
    ids = declaration.get("correctiveEventIDs")
    return {
        "declaration_time": _text(declaration.get("declarationTime")),
        "reason": _text(declaration.get("reason")),
        "corrective_event_ids": [_text(id_) for id_ in ids] if isinstance(ids, list) else [],
    }


def _units_json(event: dict[str, Any]) -> dict[str, Any]:
    """Return {"counted": number or null, "whole": all units of the consignment, "reason"}."""
    count = count_units(event)
    return {
        "counted": count.units,
        "whole": count.units is None,
        "reason": count.reason or None,
        "detail": count.detail or None,
    }


def _units_text(units: dict[str, Any]) -> str:
    if units["reason"]:
        return f"none: {units['reason']}"
    return "all" if units["whole"] else str(units["counted"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
