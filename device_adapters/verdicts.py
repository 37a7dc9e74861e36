"""The result of an offline check of a file, for each record and any protocol.

A protocol (`protocols/<name>`) that takes part in `proofrail evidence check` has two functions:

    recognise(data: bytes) -> bool
        Return whether a file is this protocol's, even if it is broken; quick, never raises.
    check(data: bytes, key: str | bytes | None) -> Report
        Check every record in the file (`data` is UTF-8 where it is text; `key` is the one from the
        command line). Raises Rejected where nothing can be read: that is exit code 2. A protocol
        with registers takes a third argument, `direction` (`registers.Direction`), and names the
        register that is billed in that direction.

`evidence.py` asks the protocols in order of their names; the first that recognises a file checks
it. A protocol without signatures has no `check` (see `content`). A protocol's own fields go into
`RecordCheck.protocol_json` and `tables` (for people).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from device_adapters.keys import PublicKey, genuine, load_public_key
from device_adapters.types import Event, Rejected, Signed

Finding = tuple[StrEnum, str]  # a stable code and a sentence
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]  # title, columns (> means right), rows
UNREADABLE = 2  # the exit code of a file that could not be read


class Unproven(StrEnum):
    """Why a readable record is not shown to be genuine. Stable codes, in addition to `Reason`."""

    NO_KEY = "no_key"  # not given, not in the container, not after the record
    KEY_CURVE_MISMATCH = "key_curve_mismatch"  # the key is on another curve than declared
    SIGNATURE_FORGED = "signature_forged"  # the key did not make this signature over this content
    NOT_GENUINE = "not_genuine"  # a reason for not billable and not settleable
    NOT_BILLABLE = "not_billable"  # a reason for not settleable
    CURVE_NOT_SETTLED = "curve_not_settled"  # genuine, but no contract can check this curve
    PROTOCOL_AMBIGUOUS = "protocol_ambiguous"  # several protocols recognise the file
    UNSIGNED = "unsigned"  # the protocol has no signature: a device or its gateway must seal it
    REGISTER_MISSING = "register_missing"  # no register, or no single one, of the direction asked
    UNIT_UNREGISTERED = "unit_unregistered"  # the unit is not in its protocol's registry


@dataclass
class RecordCheck:
    """The result for one record. An empty list of reasons means yes."""

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
        """Return the device's name, or None if it cannot be read."""
        return self.event.device if self.event else None

    @property
    def counter(self) -> int | None:
        """Return the device's own number of the record, or None if it cannot be read."""
        return self.event.counter if self.event else None

    def protocol_json(self) -> dict[str, Any]:
        """Return the members of the record's JSON that only its protocol has."""
        return {"evidence_sha256": sha256(self.record).hexdigest()}

    def tables(self) -> list[Table]:
        """Return the tables that people see in addition to the single fields."""
        return []

    @property
    def is_genuine(self) -> bool | None:
        """Return whether the record is genuine; None where its protocol has no signatures."""
        return not self.genuine_reasons

    def as_json(self) -> dict[str, Any]:
        """Return the JSON view: three verdicts with reasons, the key, the protocol's members."""
        return {
            "index": self.index,
            "genuine": self.is_genuine,
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
        """Check the signature with the first key there is, and note why it is not genuine.

        Args:
            sources: text of the key by its source, in order of preference; empty: none there.

        Raises:
            Rejected: the key cannot be read.
        """
        self.key_source = next((name for name, text in sources.items() if text), "")
        if not self.key_source:
            self.genuine_reasons.append((Unproven.NO_KEY, "no key is known for this record"))
            return
        self.key = load_public_key(sources[self.key_source], signed.curve)
        if self.key.curve is not signed.curve:
            detail = f"the record declares {signed.curve}, the key is on {self.key.curve}"
            self.genuine_reasons.append((Unproven.KEY_CURVE_MISMATCH, detail))
        elif not genuine(signed, self.key):
            detail = "this key did not make this signature over this content"
            self.genuine_reasons.append((Unproven.SIGNATURE_FORGED, detail))

    def conclude(self) -> None:
        """Add that a record is not billable if not genuine, and not settleable if not billable."""
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
    """The result for one file; on exit code 2 `error` is set, and `records` may be empty.

    transactions: a protocol's verdicts over several records, JSON-ready. incomplete: the file has
    a part only of something that is judged as a whole. protocol: its name, "" for none. candidates:
    the protocols that recognise a file whose protocol is not clear.
    """

    file: str = ""
    records: list[Any] = field(default_factory=list)  # of RecordCheck
    transactions: list[dict[str, Any]] = field(default_factory=list)
    error: Finding | None = None
    incomplete: bool = False
    protocol: str = ""
    candidates: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 0, 1 or 2 (see `evidence`)."""
        if self.error is not None:
            return UNREADABLE
        ungenuine = any(record.is_genuine is False for record in self.records)
        return int(self.incomplete or ungenuine)

    @property
    def summary(self) -> dict[str, int]:
        """Return how many records got each verdict."""
        records = self.records
        verdicts = [record.is_genuine for record in records]
        return {
            "records": len(records),
            "genuine": verdicts.count(True),
            "not_genuine": verdicts.count(False),
            "unsigned": verdicts.count(None),
            "unreadable": sum(record.unreadable for record in records),
            "billable": sum(not record.billable_reasons for record in records),
            "settleable": sum(not record.settleable_reasons for record in records),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the JSON view; numbers of a payload are strings exactly as written."""
        return {
            "file": self.file,
            "protocol": self.protocol or None,
            "candidates": list(self.candidates),
            "exit_code": self.exit_code,
            "error": findings_json([self.error])[0] if self.error else None,
            "summary": self.summary,
            "records": [record.as_json() for record in self.records],
            "transactions": self.transactions,
        }


def as_finding(refusal: Rejected) -> Finding:
    """Return a decoder's rejection as a finding."""
    return refusal.reason, refusal.detail


def findings_json(findings: list[Finding]) -> list[dict[str, str]]:
    """Return the JSON view of findings."""
    return [{"code": code.value, "detail": detail} for code, detail in findings]
