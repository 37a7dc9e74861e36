"""Checks a file of OCMF records from any vendor, for `evidence check`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from device_adapters import strict_json
from device_adapters.protocols.ocmf import rules
from device_adapters.protocols.ocmf.containers import Item, find_records
from device_adapters.protocols.ocmf.fields import counter_of, device_of
from device_adapters.protocols.ocmf.record import RecordContent, decode, read_content
from device_adapters.protocols.ocmf.sections import Seal, Sections, open_record, read_seal
from device_adapters.protocols.ocmf.transactions import FileRecord, FileSession, find_sessions
from device_adapters.registers import Direction, Register
from device_adapters.registry import from_the_future
from device_adapters.sessions import BillingReason, SessionVerdict, judge
from device_adapters.types import STREAM_BIT, Rejected
from device_adapters.verdicts import (
    Finding,
    RecordCheck,
    Report,
    Table,
    Unproven,
    as_finding,
    findings_json,
)

_OPEN = {BillingReason.BEGIN_MISSING, BillingReason.END_MISSING}


@dataclass
class OcmfCheck(RecordCheck):
    """One OCMF record: its sections, its signature and the result of the billing rules."""

    item: Item = field(default_factory=lambda: Item(b""))
    sections: Sections | None = None
    seal: Seal | None = None
    content: RecordContent | None = None
    register: Register | None = None

    @property
    def device(self) -> str | None:
        """Return the signing device, or None if it cannot be read."""
        try:
            return device_of(self.sections.payload) if self.sections else None
        except Rejected:
            return None

    def protocol_json(self) -> dict[str, Any]:
        """Return the pagination, signature, fields and readings of the record."""
        fields = strict_json.as_written(self.sections.content) if self.sections else {}
        return {
            "pagination": fields.get("PG"),
            **super().protocol_json(),
            "signature": self._signature_json(),
            "fields": fields,
            "register": self.register.text if self.register else None,
            "readings": self._readings(),
            "errors": self.content.facts.get("errors", []) if self.content else [],
            "transaction_id": self.item.transaction_id,
            "context": self.item.context,
        }

    def tables(self) -> list[Table]:
        """Return the readings, registers in kWh (the rail counts mWh)."""
        rows = [
            (
                time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(r["at"] // 1000)),
                r["mark"],
                _kwh(r["register"]),
                *(str(r[name]) for name in ("obis", "clock", "status", "flags")),
            )
            for r in self._readings()
        ]
        columns = ("at (UTC)", "TX", ">kWh", "OBIS", "clock", "status", "flags")
        title = f"billed by {self.register.text}" if self.register else ""
        return [(title, columns, rows)] if rows else []

    def _signature_json(self) -> dict[str, Any] | None:
        if self.seal is None:
            return None
        seal = self.seal
        return {
            "algorithm": seal.algorithm,
            "encoding": seal.encoding,
            "form": seal.form,
            "high_s": seal.high_s,
        }

    def _readings(self) -> list[dict[str, Any]]:
        return self.content.facts["readings"] if self.content else []


def check_ocmf(
    data: bytes, given: str | bytes | None, direction: Direction = Direction.IMPORT
) -> Report:
    """Check every record; its key comes from the caller, else the container, else the record.

    Args:
        direction: which way the energy flows that is billed.
    """
    return check_items(find_records(data), given, direction)


def check_items(items: list[Item], given: str | bytes | None, direction: Direction) -> Report:
    """Check the records that were found in a file, as `check_ocmf` does."""
    records = [_open(index, item) for index, item in enumerate(items)]
    repeats = _repeats(records)
    first = [record for record in records if record.index not in repeats]
    sessions = find_sessions([_file_record(record, direction) for record in first])
    _share_keys(records, sessions)
    for record in records:
        _check_signature(record, given)
        _check_settleable(record)
    report = Report(records=records, transactions=_judge(first, sessions, direction))
    for index, original in repeats.items():
        _take_over(records[index], records[original])
    for record in records:
        record.conclude()
    report.incomplete = any(_OPEN & set(_codes(record.billable_reasons)) for record in records)
    if all(record.unreadable and not _has_all_sections(record.record) for record in records):
        report.error = records[0].genuine_reasons[0]
    return report


def _has_all_sections(record: bytes) -> bool:
    """Return whether a record has all its sections, readable or not.

    Then the file counts as read, and its record as not genuine.
    """
    text = record.strip()
    return text.startswith(b"OCMF|") and text.count(b"|") >= 2 and text.endswith(b"}")


def _open(index: int, item: Item) -> OcmfCheck:
    """Return a record with what its bytes say, not yet verified or judged."""
    check = OcmfCheck(index, item.record, item=item)
    try:
        check.sections = open_record(item.record)
    except Rejected as refusal:
        check.unreadable = True
        check.genuine_reasons.append(as_finding(refusal))
        return check
    try:
        check.content = read_content(check.sections.payload)
    except Rejected as refusal:
        check.billable_reasons.append(as_finding(refusal))
    else:
        check.billable_reasons.extend(check.content.reasons)
        check.warnings.extend(check.content.cautions)
    return check


def _file_record(check: OcmfCheck, direction: Direction) -> FileRecord:
    item, facts = check.item, check.content.facts if check.content else None
    try:
        page = counter_of(check.sections.payload.get("PG")) if check.sections else None
    except Rejected:
        page = None
    counter = None if page is None else page & ~(1 << STREAM_BIT)
    device = check.device or ""
    names = (item.transaction_id, item.context)
    return FileRecord(check.index, device, counter, facts, direction, *names)


def _share_keys(records: list[OcmfCheck], sessions: list[FileSession]) -> None:
    """Give records of a session without a key the one that its container has for another."""
    for session in sessions:
        keys = {records[index].item.key for index in session.members} - {""}
        if len(keys) == 1:
            for index in session.members:
                records[index].item = replace(records[index].item, key=min(keys))


def _check_signature(check: OcmfCheck, given: str | bytes | None) -> None:
    if check.sections is None:
        return
    try:
        check.seal = read_seal(check.sections)
        sources = {"given": given, "container": check.item.key, "record": check.sections.key}
        check.prove(check.seal.signed, sources)
    except Rejected as refusal:
        check.genuine_reasons.append(as_finding(refusal))
    if check.seal and check.key_source:
        check.warnings.extend(rules.form_cautions(check.seal.form))


def _check_settleable(check: OcmfCheck) -> None:
    """Check what the rail needs in addition: a decoded event, on a curve that contracts check."""
    try:
        check.event = decode(check.record)
        if late := from_the_future(check.event, int(time.time() * 1000)):
            check.settleable_reasons.append(as_finding(late))
    except Rejected as refusal:
        check.settleable_reasons.append(as_finding(refusal))
    if check.seal and not check.seal.signed.curve.settles:
        detail = f"no contract can check a signature on {check.seal.signed.curve}"
        check.settleable_reasons.append((Unproven.CURVE_NOT_SETTLED, detail))


def _repeats(records: list[OcmfCheck]) -> dict[int, int]:
    """Return the records that sign the same text as an earlier one, in whichever wrapping."""
    first: dict[str, int] = {}
    originals = {
        record.index: first.setdefault(record.sections.content, record.index)
        for record in records
        if record.sections
    }
    return {index: original for index, original in originals.items() if index != original}


def _take_over(record: OcmfCheck, original: OcmfCheck) -> None:
    """Give a repeated record the result of its original, of which it is the same statement."""
    record.register = original.register
    record.billable_reasons = list(original.billable_reasons)
    detail = f"it signs the same text as record {original.index + 1}, and counts once"
    record.warnings = [*original.warnings, (rules.OcmfCautionReason.RECORD_REPEATED, detail)]


def _judge(
    records: list[OcmfCheck], sessions: list[FileSession], direction: Direction
) -> list[dict[str, Any]]:
    """Judge each session, and each record outside of one; return the JSON views of sessions."""
    alone = {record.index: record for record in records}
    views = []
    for session in sessions:
        own = [alone.pop(record.index) for record in session.records]
        repeated = [alone.pop(record.index) for record in session.repeated]
        views.append(_judge_session(session, own, repeated, direction))
    for record in alone.values():
        if record.content:
            verdict = judge([record.content.facts], direction)
            record.register = verdict.register
            record.billable_reasons = rules.once([*record.billable_reasons, *verdict.reasons])
    return views


def _judge_session(
    session: FileSession, own: list[OcmfCheck], repeated: list[OcmfCheck], direction: Direction
) -> dict[str, Any]:
    """Judge a session, add the result to its records, and return its JSON view."""
    contents = [record.content for record in own if record.content]
    facts = [content.facts for content in contents]
    verdict = judge(facts, direction) if facts else SessionVerdict()
    reasons, cautions = _session_findings(verdict, contents)
    reasons = rules.once([*reasons, *(item for record in own for item in record.billable_reasons)])
    for record in own:
        record.register = verdict.register
        record.billable_reasons = list(reasons)
        record.warnings = list(dict.fromkeys([*record.warnings, *cautions]))
    for record in repeated:
        detail = f"its readings are those of record {own[0].index + 1}, which is the whole session"
        record.warnings.append((rules.OcmfCautionReason.RECORD_REPEATED, detail))
        record.register = verdict.register
    if any(record.genuine_reasons for record in own):
        reasons.append((Unproven.NOT_GENUINE, "a record of this transaction is not genuine"))
    return {
        "transaction_id": session.transaction_id,
        "records": session.members,
        "register": verdict.register.text if verdict.register else None,
        "energy": None if reasons else verdict.energy,
        "billable": not reasons,
        "billable_reasons": findings_json(reasons),
        "warnings": findings_json(cautions),
    }


def _session_findings(
    verdict: SessionVerdict, contents: list[RecordContent]
) -> tuple[list[Finding], list[Finding]]:
    """Return the reasons and cautions of a session, beyond those of its single records."""
    reasons, cautions = list(verdict.reasons), []
    if not verdict.in_session and verdict.register:  # its container calls it a session
        detail = "no reading has a letter (TX) that begins or ends a session"
        reasons += [(BillingReason.BEGIN_MISSING, detail), (BillingReason.END_MISSING, detail)]
    if verdict.cut and verdict.energy is not None:
        cautions.append((rules.OcmfCautionReason.ENERGY_CUT, verdict.cut))
    if len(contents) > 1:
        cautions += rules.pair_cautions(contents[0].payload, contents[-1].payload)
    return reasons, cautions


def _codes(findings: list[Finding]) -> list[StrEnum]:
    return [code for code, _ in findings]


def _kwh(mwh: int) -> str:
    return f"{mwh // 1_000_000}.{mwh % 1_000_000:06}"
