"""What an offline check says of a file and of each record in it, whatever the protocol.

A protocol file (`protocols/<name>.py`) that takes part in `proofrail evidence check` offers two
functions, and touches nothing else:

    recognise(data: bytes) -> bool
        Whether a file is this protocol's; quick, never raises, and a broken file of it still is.
    check(data: bytes, key: str | bytes | None) -> Report
        Judges every record in the file (`data` is UTF-8 where it is text; `key` the one given on
        the command line). Raises Rejected where nothing can be read: that is exit code 2.

`evidence.py` asks the protocols in order of their names; the first that recognises it, checks it.
A protocol's own fields go into `RecordCheck.protocol_json` (JSON) and `tables` (for people).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from .keys import PublicKey, genuine, load_public_key
from .types import Event, Rejected, Signed

Finding = tuple[StrEnum, str]  # a stable code and a sentence
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, columns (> means right), rows
UNREADABLE = 2  # the exit code of a file that could not be read


class Unproven(StrEnum):
    """Why a readable record is not shown to be genuine. Stable codes, beside `Reason`'s."""

    NO_KEY = "no_key"  # neither given, nor in the container, nor behind the record
    KEY_CURVE_MISMATCH = "key_curve_mismatch"  # the key lies on another curve than declared
    SIGNATURE_FORGED = "signature_forged"  # the key did not make this signature over this content
    NOT_GENUINE = "not_genuine"  # stands under billable and settleable
    NOT_BILLABLE = "not_billable"  # stands under settleable
    CURVE_NOT_SETTLED = "curve_not_settled"  # genuine, but no contract can check this curve


@dataclass
class RecordCheck:
    """What was found out about one record. An empty list of reasons is a yes."""

    index: int
    record: bytes
    unreadable: bool = False
    genuine_reasons: list[Finding] = field(default_factory=list)
    billable_reasons: list[Finding] = field(default_factory=list)
    settleable_reasons: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    key: PublicKey | None = None
    key_source: str = ""  # given | container | record
    event: Event | None = None

    @property
    def device(self) -> str | None:
        """The device's name, as far as it can be read."""
        return self.event.device if self.event else None

    @property
    def counter(self) -> int | None:
        """The device's own number of the record, as far as it can be read."""
        return self.event.counter if self.event else None

    def protocol_json(self) -> dict[str, Any]:
        """The members of the record's JSON that are its protocol's own."""
        return {"evidence_sha256": sha256(self.record).hexdigest()}

    def tables(self) -> list[Table]:
        """What people see besides the single fields."""
        return []

    def as_json(self) -> dict[str, Any]:
        """JSON-ready: the three verdicts with their reasons, the key, and `told`."""
        return {
            "index": self.index,
            "genuine": not self.genuine_reasons,
            "genuine_reasons": findings_json(self.genuine_reasons),
            "billable": not self.billable_reasons,
            "billable_reasons": findings_json(self.billable_reasons),
            "settleable": not self.settleable_reasons,
            "settleable_reasons": findings_json(self.settleable_reasons),
            "warnings": findings_json(self.warnings),
            "key": self._key_json(),
            "device": self.device,
            "counter": self.counter,
        } | self.protocol_json()

    def prove(self, signed: Signed, sources: Mapping[str, str | bytes | None]) -> None:
        """Notes whether the first key among `sources` (source -> text) made this signature.

        Raises Rejected where that key cannot be read.
        """
        self.key_source = next((name for name, text in sources.items() if text), "")
        if not self.key_source:
            self.genuine_reasons.append((Unproven.NO_KEY, "no key is known for this record"))
            return
        self.key = load_public_key(sources[self.key_source], signed.curve)
        if self.key.curve is not signed.curve:
            detail = f"the record declares {signed.curve}, the key lies on {self.key.curve}"
            self.genuine_reasons.append((Unproven.KEY_CURVE_MISMATCH, detail))
        elif not genuine(signed, self.key):
            detail = "this key did not make this signature over this content"
            self.genuine_reasons.append((Unproven.SIGNATURE_FORGED, detail))

    def conclude(self) -> None:
        """What is not genuine is not billable, and what is not billable does not settle."""
        if self.genuine_reasons:
            self.billable_reasons.append((Unproven.NOT_GENUINE, "the record is not genuine"))
        if self.billable_reasons:
            self.settleable_reasons.append((Unproven.NOT_BILLABLE, "it may not be billed"))

    def _key_json(self) -> dict[str, str] | None:
        if self.key is None:
            return None
        fingerprint = self.key.fingerprint
        return {"source": self.key_source, "curve": self.key.curve, "fingerprint": fingerprint}


@dataclass
class Report:
    """The outcome for one file; `error` is set, and `records` may be empty, on exit code 2.

    transactions: what a protocol judges across records, JSON-ready.
    """

    file: str = ""
    records: list[Any] = field(default_factory=list)  # of RecordCheck
    transactions: list[dict[str, Any]] = field(default_factory=list)
    error: Finding | None = None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return UNREADABLE
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
            "error": findings_json([self.error])[0] if self.error else None,
            "summary": self.summary,
            "records": [record.as_json() for record in self.records],
            "transactions": self.transactions,
        }


def as_finding(refusal: Rejected) -> Finding:
    """A decoder's refusal as a finding."""
    return refusal.reason, refusal.detail


def findings_json(findings: list[Finding]) -> list[dict[str, str]]:
    """Findings as JSON has them."""
    return [{"code": code.value, "detail": detail} for code, detail in findings]
