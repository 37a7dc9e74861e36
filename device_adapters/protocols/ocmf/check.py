"""Checks a file of OCMF records from any vendor, for `evidence check`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from pyocmf.core import Payload

from device_adapters import strict_json
from device_adapters.protocols.ocmf import rules
from device_adapters.protocols.ocmf.containers import Item, find_records
from device_adapters.protocols.ocmf.fields import device_of
from device_adapters.protocols.ocmf.record import decode, judged_readings
from device_adapters.protocols.ocmf.sections import Seal, Sections, open_record, read_seal
from device_adapters.protocols.ocmf.transactions import TransactionVerdict, judge_transactions
from device_adapters.registry import from_the_future
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import RecordCheck, Report, Table, Unproven, as_finding, findings_json


@dataclass
class OcmfCheck(RecordCheck):
    """One OCMF record: its sections, its signature and the result of the billing rules."""

    item: Item = field(default_factory=lambda: Item(b""))
    sections: Sections | None = None
    seal: Seal | None = None
    payload: Payload | None = None

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
            "readings": self._readings(),
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
        return [("", columns, rows)] if rows else []

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
        if self.event:
            return self.event.facts["readings"]
        try:
            return judged_readings(self.sections.payload)[0] if self.sections else []
        except Rejected:
            return []


def check_ocmf(data: bytes, given: str | bytes | None) -> Report:
    """Check every record; its key comes from the caller, else the container, else the record."""
    records = [_check(index, item, given) for index, item in enumerate(find_records(data))]
    report = Report(records=records, transactions=_judge_together(records))
    if all(record.unreadable and not _has_all_sections(record.record) for record in records):
        report.error = records[0].genuine_reasons[0]
    return report


def _has_all_sections(record: bytes) -> bool:
    """Return whether a record has all its sections, readable or not.

    Then the file counts as read, and its record as not genuine.
    """
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
    """Apply the billing rules to the content, genuine or not."""
    payload = check.sections.payload
    try:
        check.payload, deviations = rules.validate(payload)
        errors, cautions = rules.judge(check.payload)
        check.billable_reasons.extend(errors)
        check.warnings.extend([*cautions, *deviations])
        for reading in check.payload.RD:  # a time without a zone cannot be billed
            if reading.timestamp.tzinfo is None:
                raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time {reading.timestamp}")
    except Rejected as refusal:
        check.billable_reasons.append(as_finding(refusal))


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


def _judge_together(records: list[OcmfCheck]) -> list[dict[str, Any]]:
    """Judge begin and end of each transaction as a pair, then conclude each record."""
    transactions = judge_transactions(
        [(r.payload, r.item.transaction_id, r.item.context) for r in records]
    )
    for verdict in transactions:
        for index in verdict.members:
            check = records[index]
            check.billable_reasons = rules.once([*check.billable_reasons, *verdict.errors])
            check.warnings = list(dict.fromkeys([*check.warnings, *verdict.cautions]))
    forged = {record.index for record in records if record.genuine_reasons}
    for verdict in transactions:
        if forged.intersection(verdict.members):
            reason = (Unproven.NOT_GENUINE, "a record of this transaction is not genuine")
            verdict.errors.append(reason)
    for record in records:
        record.conclude()
    return [_transaction(verdict) for verdict in transactions]


def _transaction(verdict: TransactionVerdict) -> dict[str, Any]:
    return {
        "transaction_id": verdict.transaction_id,
        "records": list(verdict.members),
        "billable": not verdict.errors,
        "billable_reasons": findings_json(verdict.errors),
        "warnings": findings_json(verdict.cautions),
    }


def _kwh(mwh: int) -> str:
    return f"{mwh // 1_000_000}.{mwh % 1_000_000:06}"
