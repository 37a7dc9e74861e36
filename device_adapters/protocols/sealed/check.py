"""Checks a file of sealed records offline, for `evidence check`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from device_adapters.content import Content
from device_adapters.cose import is_sign1
from device_adapters.protocols.sealed.envelope import Envelope, open_envelope, split
from device_adapters.protocols.sealed.meter import METER
from device_adapters.protocols.sealed.record import content_of, event_of
from device_adapters.registers import Direction
from device_adapters.registry import from_the_future, load_unsigned
from device_adapters.sessions import chosen
from device_adapters.types import Assurance, Reason, Rejected
from device_adapters.unsigned_check import reading_tables, registers_json
from device_adapters.verdicts import RecordCheck, Report, Table, Unproven, as_finding

_JWS = re.compile(rb"\s*eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\s*(?:\n|$)")
_REPORT = (  # of a report, what people see, in this order
    *("subject", "ordinal", "from", "to", "coverage", "sources", "commitment", "consent"),
)


@dataclass
class SealedCheck(RecordCheck):
    """One envelope: its signer, the device that it is about, and its content."""

    envelope: Envelope | None = None
    content: Content = field(default_factory=lambda: Content(()))
    direction: Direction = Direction.IMPORT

    def protocol_json(self) -> dict[str, Any]:
        """Return the claims, the assurance as claimed, and the readings or the report."""
        claims = self.envelope.claims if self.envelope else {}
        facts = self.event.facts if self.event else {}
        return super().protocol_json() | {
            "form": self.envelope.form if self.envelope else None,
            "assurance": self._assurance(),
            "iss": _text(claims.get("iss")),
            "sub": _text(claims.get("sub")),
            "sealed_at": claims["iat"] if type(claims.get("iat")) is int else None,
            "inner_protocol": _text(claims.get("protocol")),
            "kind": self.event.kind if self.event else None,
            "readings": [reading.as_json() for reading in self.content.readings],
            "registers": registers_json(self.content.readings, self.direction),
            "report": facts if "report" in claims else None,
            "events": facts.get("events", []),
            "shown": self.content.shown,
        }

    def tables(self) -> list[Table]:
        """Return the readings, or the report."""
        tables = reading_tables(self.content.readings, self.direction)
        if self.event and self.envelope and "report" in self.envelope.claims:
            facts = self.event.facts
            rows = [(name, str(facts[name])) for name in _REPORT if facts[name] != ""]
            rows += [(f"metric {name}", str(value)) for name, value in facts["metrics"].items()]
            tables.append(("report", ("member", ">value"), rows))
        return tables

    def _assurance(self) -> str | None:
        """Return who would stand for the record if its key is the issuer's, as it claims."""
        if self.event is None:
            return None
        if self.event.assurance is Assurance.FILE:
            return Assurance.FILE.value
        return (Assurance.GATEWAY if self.event.gateway else Assurance.DEVICE).value


def holds_sealed(data: bytes) -> bool:
    """Return whether a file begins with a tagged COSE_Sign1 or with a compact JWS."""
    return is_sign1(data) or _JWS.match(data) is not None


def check_sealed(data: bytes, given: str | bytes | None, direction: Direction) -> Report:
    """Check every record with the key `given`: that of the issuer, device or gateway."""
    records = [_check(index, record, given, direction) for index, record in enumerate(split(data))]
    report = Report(records=records)
    if all(record.envelope is None for record in records):
        report.error = records[0].genuine_reasons[0] if records else (Reason.EMPTY, "no record")
    return report


def _check(
    index: int, record: bytes, given: str | bytes | None, direction: Direction
) -> SealedCheck:
    check = SealedCheck(index, record, direction=direction)
    try:
        check.envelope = open_envelope(record)
        check.prove(check.envelope.signed, {"given": given})
    except Rejected as refusal:
        check.unreadable = check.envelope is None
        check.genuine_reasons.append(as_finding(refusal))
    if check.envelope is not None:
        _check_content(check, check.envelope)
    check.conclude()
    return check


def _check_content(check: SealedCheck, envelope: Envelope) -> None:
    """Check the claims and the content: billable where the rail's decoder takes them."""
    protocol = load_unsigned(str(envelope.claims.get("protocol")))
    try:
        if protocol is not None:
            check.content = protocol.read(content_of(envelope.claims))
            check.warnings.extend(check.content.cautions)
        check.event = event_of(envelope, check.record)
        if late := from_the_future(check.event, int(time.time() * 1000)):
            check.settleable_reasons.append(as_finding(late))
    except Rejected as refusal:
        check.billable_reasons.append(as_finding(refusal))
        return
    if check.event.kind == METER and chosen(check.event.facts, check.direction) is None:
        detail = f"no register of {check.direction.value}, or several that are equal"
        check.billable_reasons.append((Unproven.REGISTER_MISSING, detail))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
