"""Checks a file of OCMF records from any vendor: the part of `evidence check` that is OCMF's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from pyocmf.core import Payload

from device_adapters import strict_json
from device_adapters.protocols.ocmf import rules as rules
from device_adapters.protocols.ocmf.containers import Item, find_records
from device_adapters.protocols.ocmf.fields import device_of
from device_adapters.protocols.ocmf.record import decode, judged_readings
from device_adapters.protocols.ocmf.sections import Seal, Sections, open_record, read_seal
from device_adapters.protocols.ocmf.transactions import Judged, judge_transactions
from device_adapters.registry import from_the_future
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import RecordCheck, Report, Table, Unproven, as_finding, findings_json


@dataclass
class OcmfCheck(RecordCheck):
    """One OCMF record: its sections, its signature and what the rules say of its content."""

    item: Item = field(default_factory=lambda: Item(b""))
    sections: Sections | None = None
    seal: Seal | None = None
    payload: Payload | None = None

    @property
    def device(self) -> str | None:
        try:
            return device_of(self.sections.payload) if self.sections else None
        except Rejected:
            return None

    def protocol_json(self) -> dict[str, Any]:
        fields = strict_json.as_written(self.sections.content) if self.sections else {}
        return {
            "pagination": fields.get("PG"),
            **super().protocol_json(),
            "signature": self._signature_json(),
            "fields": fields,
            "readings": self._readings(),
            "transaction_id": self.item.transaction_id,
            "context": self.item.context,
        }

    def tables(self) -> list[Table]:
        """The readings; registers in kWh, the rail counts mWh."""
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
        return [("", columns, rows)] if rows else []

    def _signature_json(self) -> dict[str, Any] | None:
        if self.seal is None:
            return None
        seal = self.seal
        found = {"algorithm": seal.algorithm, "encoding": seal.encoding, "form": seal.form}
        return found | {"high_s": seal.high_s}

    def _readings(self) -> list[dict[str, Any]]:
        if self.event:
            return self.event.facts["readings"]
        try:
            return judged_readings(self.sections.payload)[0] if self.sections else []
        except Rejected:
            return []


def check_ocmf(data: bytes, given: str | bytes | None) -> Report:
    """A key is taken from, in this order: the caller, the container, the record's own section."""
    records = [_check(index, item, given) for index, item in enumerate(find_records(data))]
    report = Report(records=records, transactions=_together(records))
    if all(record.unreadable and not _is_whole(record.record) for record in records):
        report.error = records[0].genuine_reasons[0]
    return report


def _is_whole(record: bytes) -> bool:
    """Whether all sections of a record are there, whatever became of what they say: then the file
    was read, and its record is not genuine."""
    text = record.strip()
    return text.startswith(b"OCMF|") and text.count(b"|") >= 2 and text.endswith(b"}")


def _check(index: int, item: Item, given: str | bytes | None) -> OcmfCheck:
    check = OcmfCheck(index, item.record, item=item)
    try:
        check.sections = open_record(item.record)
    except Rejected as refusal:
        check.unreadable = True
        check.genuine_reasons.append(as_finding(refusal))
    else:
        try:
            check.seal = read_seal(check.sections)
            _check_signature(check, check.seal, given)
        except Rejected as refusal:
            check.genuine_reasons.append(as_finding(refusal))
        _check_rules(check)
    _check_settleable(check)
    return check


def _check_signature(check: OcmfCheck, seal: Seal, given: str | bytes | None) -> None:
    sources = {"given": given, "container": check.item.key, "record": check.sections.key}
    check.prove(seal.signed, sources)
    if check.key_source and seal.form != "der":
        check.warnings.append(
            (rules.OcmfCautionReason.SIGNATURE_NOT_DER, "the signature is a raw r||s")
        )


def _check_rules(check: OcmfCheck) -> None:
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
        check.billable_reasons.append(as_finding(refusal))


def _check_settleable(check: OcmfCheck) -> None:
    """The rail's own demands on top: a decoded event on a curve that a contract can check."""
    try:
        check.event = decode(check.record)
        if late := from_the_future(check.event, int(time.time() * 1000)):
            check.settleable_reasons.append(as_finding(late))
    except Rejected as refusal:
        check.settleable_reasons.append(as_finding(refusal))
    if check.seal and not check.seal.signed.curve.settles:
        detail = f"no contract can check a signature on {check.seal.signed.curve}"
        check.settleable_reasons.append((Unproven.CURVE_NOT_SETTLED, detail))


def _together(records: list[OcmfCheck]) -> list[dict[str, Any]]:
    """Begin and end of a transaction are judged as a pair; then each record's verdicts close."""
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
        record.conclude()
    return [_transaction(judged) for judged in transactions]


def _transaction(judged: Judged) -> dict[str, Any]:
    return {
        "transaction_id": judged.transaction_id,
        "records": list(judged.members),
        "billable": not judged.errors,
        "billable_reasons": findings_json(judged.errors),
        "warnings": findings_json(judged.cautions),
    }


def _kwh(mwh: int) -> str:
    return f"{mwh // 1_000_000}.{mwh % 1_000_000:06}"
