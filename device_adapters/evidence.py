"""Checks a file of OCMF evidence from any vendor, offline: genuine, billable, settleable, and why.

Exit codes: 0 every record is genuine; 1 one is not, or no key is known for it; 2 the file cannot
be read (not there, no OCMF in it, a broken container, or not one record with all its sections).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyocmf.core import Payload

from . import strict_json
from .containers import Item, find_records
from .keys import PublicKey, genuine, load_public_key
from .protocols import _ocmf_rules as rules
from .protocols import ocmf
from .protocols._ocmf_fields import device_of
from .protocols._ocmf_sections import Seal, Sections, open_record, read_seal
from .registry import from_the_future
from .transactions import Judged, judge_transactions
from .types import Event, Reason, Rejected

_READABLE = 2  # the exit code of a file that could not be read


class Unproven(StrEnum):
    """Why a readable record is not shown to be genuine. Stable codes, beside `Reason`'s."""

    NO_KEY = "no_key"  # neither given, nor in the container, nor behind the record
    KEY_CURVE_MISMATCH = "key_curve_mismatch"  # the key lies on another curve than declared
    SIGNATURE_FORGED = "signature_forged"  # the key did not make this signature over this content
    NOT_GENUINE = "not_genuine"  # stands under billable and settleable
    NOT_BILLABLE = "not_billable"  # stands under settleable
    CURVE_NOT_SETTLED = "curve_not_settled"  # genuine, but no contract can check this curve


Finding = tuple[StrEnum, str]  # a stable code and a sentence


@dataclass
class RecordCheck:
    """What was found out about one record. An empty list of reasons is a yes."""

    index: int
    item: Item
    unreadable: bool = False
    genuine_reasons: list[Finding] = field(default_factory=list)
    billable_reasons: list[Finding] = field(default_factory=list)
    settleable_reasons: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    key: PublicKey | None = None
    key_source: str = ""  # given | container | record
    sections: Sections | None = None
    seal: Seal | None = None
    event: Event | None = None
    payload: Payload | None = None

    def as_json(self) -> dict[str, Any]:
        fields = strict_json.as_written(self.sections.content) if self.sections else {}
        return {
            "index": self.index,
            "genuine": not self.genuine_reasons,
            "genuine_reasons": _listed(self.genuine_reasons),
            "billable": not self.billable_reasons,
            "billable_reasons": _listed(self.billable_reasons),
            "settleable": not self.settleable_reasons,
            "settleable_reasons": _listed(self.settleable_reasons),
            "warnings": _listed(self.warnings),
            "key": self._key_json(),
            "device": self.device,
            "counter": self.event.counter if self.event else None,
            "pagination": fields.get("PG"),
            "evidence_sha256": sha256(self.item.record).hexdigest(),
            "signature": self._signature_json(),
            "fields": fields,
            "readings": self.event.facts["readings"] if self.event else self._readings(),
            "transaction_id": self.item.transaction_id,
            "context": self.item.context,
        }

    @property
    def device(self) -> str | None:
        try:
            return device_of(self.sections.payload) if self.sections else None
        except Rejected:
            return None

    def _key_json(self) -> dict[str, str] | None:
        if self.key is None:
            return None
        fingerprint = self.key.fingerprint
        return {"source": self.key_source, "curve": self.key.curve, "fingerprint": fingerprint}

    def _signature_json(self) -> dict[str, Any] | None:
        if self.seal is None:
            return None
        seal = self.seal
        found = {"algorithm": seal.algorithm, "encoding": seal.encoding, "form": seal.form}
        return found | {"high_s": seal.high_s}

    def _readings(self) -> list[dict[str, Any]]:
        try:
            return ocmf.judged_readings(self.sections.payload)[0] if self.sections else []
        except Rejected:
            return []


@dataclass
class Report:
    """The outcome for one file; `error` is set, and `records` may be empty, on exit code 2."""

    file: str
    records: list[RecordCheck] = field(default_factory=list)
    transactions: list[Judged] = field(default_factory=list)
    error: Finding | None = None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return _READABLE
        return int(any(record.genuine_reasons for record in self.records))

    @property
    def summary(self) -> dict[str, int]:
        records = self.records
        good = sum(not record.genuine_reasons for record in records)
        return {
            "records": len(records),
            "genuine": good,
            "not_genuine": len(records) - good,
            "unreadable": sum(record.unreadable for record in records),
            "billable": sum(not record.billable_reasons for record in records),
            "settleable": sum(not record.settleable_reasons for record in records),
        }

    def as_json(self) -> dict[str, Any]:
        """JSON-ready: every number of a payload is the string that it was written as."""
        return {
            "file": self.file,
            "exit_code": self.exit_code,
            "error": _listed([self.error])[0] if self.error else None,
            "summary": self.summary,
            "records": [record.as_json() for record in self.records],
            "transactions": [
                {
                    "transaction_id": judged.transaction_id,
                    "records": list(judged.members),
                    "billable": not judged.errors,
                    "billable_reasons": _listed(judged.errors),
                    "warnings": _listed(judged.cautions),
                }
                for judged in self.transactions
            ],
        }


def check_file(source: Path | str | bytes, key: str | bytes | None = None) -> Report:
    """Checks a file (a path, or its bytes) with `key`, else with the keys it brings along.

    Never raises for what a file or key may hold; see the module for the exit codes. A key is
    taken from, in this order: the caller, the container, the record's own fourth section.
    """
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        items = find_records(data)
    except Rejected as refusal:
        return Report(name, error=(refusal.reason, refusal.detail))
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        return Report(name, error=(Reason.FILE_UNREADABLE, str(error)))
    records = [_check(index, item, key) for index, item in enumerate(items)]
    report = Report(name, records, _judge_together(records))
    if all(record.unreadable and not _is_whole(record.item.record) for record in records):
        report.error = records[0].genuine_reasons[0]
    return report


def _is_whole(record: bytes) -> bool:
    """Whether all sections of a record are there, whatever became of what they say: then the file
    was read, and its record is not genuine."""
    text = record.strip()
    return text.startswith(b"OCMF|") and text.count(b"|") >= 2 and text.endswith(b"}")


def _check(index: int, item: Item, given: str | bytes | None) -> RecordCheck:
    check = RecordCheck(index, item)
    try:
        check.sections = open_record(item.record)
    except Rejected as refusal:
        check.unreadable = True
        check.genuine_reasons.append((refusal.reason, refusal.detail))
    else:
        try:
            check.seal = read_seal(check.sections)
            _check_signature(check, check.seal, given)
        except Rejected as refusal:
            check.genuine_reasons.append((refusal.reason, refusal.detail))
        _check_rules(check)
    _check_settleable(check)
    return check


def _check_signature(check: RecordCheck, seal: Seal, given: str | bytes | None) -> None:
    sources = {"given": given, "container": check.item.key, "record": check.sections.key}
    check.key_source = next((name for name, text in sources.items() if text), "")
    if not check.key_source:
        check.genuine_reasons.append((Unproven.NO_KEY, "no key is known for this record"))
        return
    curve = seal.signed.curve
    check.key = load_public_key(sources[check.key_source], curve)
    if check.key.curve is not curve:
        detail = f"the record declares {curve}, the key lies on {check.key.curve}"
        check.genuine_reasons.append((Unproven.KEY_CURVE_MISMATCH, detail))
    elif not genuine(seal.signed, check.key):
        detail = "this key did not make this signature over this content"
        check.genuine_reasons.append((Unproven.SIGNATURE_FORGED, detail))
    if seal.form != "der":
        check.warnings.append((rules.Caution.SIGNATURE_NOT_DER, "the signature is a raw r||s"))


def _check_rules(check: RecordCheck) -> None:
    """Billable by the rules of the record's own content, genuine or not."""
    payload = check.sections.payload
    try:
        check.payload, deviations = rules.validate(payload)
        errors, cautions = rules.judge(check.payload)
        check.billable_reasons.extend(errors)
        check.warnings.extend([*cautions, *deviations])
        for reading in check.payload.RD:  # a time that is no instant can be in no bill
            if reading.timestamp.tzinfo is None:
                raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time {reading.timestamp}")
    except Rejected as refusal:
        check.billable_reasons.append((refusal.reason, refusal.detail))


def _check_settleable(check: RecordCheck) -> None:
    """The rail's own demands on top: a decoded event on a curve that a contract can check."""
    try:
        check.event = ocmf.decode(check.item.record)
        if late := from_the_future(check.event, int(time.time() * 1000)):
            check.settleable_reasons.append((late.reason, late.detail))
    except Rejected as refusal:
        check.settleable_reasons.append((refusal.reason, refusal.detail))
    if check.seal and not check.seal.signed.curve.settles:
        detail = f"no contract can check a signature on {check.seal.signed.curve}"
        check.settleable_reasons.append((Unproven.CURVE_NOT_SETTLED, detail))


def _judge_together(records: list[RecordCheck]) -> list[Judged]:
    transactions = judge_transactions(
        [(r.payload, r.item.transaction_id, r.item.context) for r in records]
    )
    for judged in transactions:
        for index in judged.members:
            check = records[index]
            check.billable_reasons = rules.once([*check.billable_reasons, *judged.errors])
            check.warnings = list(dict.fromkeys([*check.warnings, *judged.cautions]))
    forged = {record.index for record in records if record.genuine_reasons}
    for judged in transactions:
        if forged.intersection(judged.members):
            reason = (Unproven.NOT_GENUINE, "a record of this transaction is not genuine")
            judged.errors.append(reason)
    for record in records:
        if record.genuine_reasons:
            record.billable_reasons.append((Unproven.NOT_GENUINE, "the record is not genuine"))
        if record.billable_reasons:
            record.settleable_reasons.append((Unproven.NOT_BILLABLE, "it may not be billed"))
    return transactions


def _listed(findings: list[Finding]) -> list[dict[str, str]]:
    return [{"code": code.value, "detail": detail} for code, detail in findings]
