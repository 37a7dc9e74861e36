"""Checks a file of vouchers offline, for `evidence check`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from device_adapters import strict_json
from device_adapters.registry import from_the_future
from device_adapters.types import Event, Reason, Rejected
from device_adapters.verdicts import RecordCheck, Report, Table, as_finding


class VoucherCautionReason(StrEnum):
    """What a reader of vouchers should know; no reason to reject. Stable codes."""

    DOUBLE_SPENT = "double_spent"  # another voucher in this file has the same counter
    SUPERSEDED = "superseded"  # this file has a newer voucher to the same payee


class VoucherCheck(RecordCheck):
    """One voucher: its typed data and the three verdicts."""

    def protocol_json(self) -> dict[str, Any]:
        """Return the voucher and the bytes that were signed."""
        facts = self.event.facts if self.event else {}
        digest = self.event.signed.content.hex() if self.event else None
        return super().protocol_json() | {"voucher": facts, "signing_input": digest}

    def tables(self) -> list[Table]:
        """Return the voucher with amounts in euro; the chain counts millionths."""
        if not self.event:
            return []
        facts = self.event.facts
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(facts["signed_at"]))
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(facts["expiry"]))
        amounts = (_euro(facts["total"]), str(facts["taps"]), _euro(facts["cap"]))
        where = f"{facts['contract']} on chain {facts['chain']}"
        row = (at, facts["payee"], *amounts, str(facts["merchant_class"]), until, where)
        columns = ("signed (UTC)", "payee", ">total euro", ">taps", ">cap euro", "class", "until")
        return [("", (*columns, "for contract"), [row])]


def check_vouchers(
    lines: list[bytes], decode: Callable[[bytes], Event], given: str | bytes | None
) -> Report:
    """Check the records of a file.

    Args:
        decode: reads one record; raises only Rejected.
        given: the wearable's key. Vouchers contain none: without it no voucher is genuine.
    """
    records = [_check(index, line, decode, given) for index, line in enumerate(lines)]
    report = Report(records=records)
    if not any(_is_object(line) for line in lines):
        first = report.records[0].genuine_reasons[0] if report.records else None
        report.error = first or (Reason.EMPTY, "the file has no record")
    _compare(report.records)
    return report


def _check(
    index: int, record: bytes, decode: Callable[[bytes], Event], given: str | bytes | None
) -> VoucherCheck:
    check = VoucherCheck(index, record)
    try:
        check.event = decode(record)
        check.prove(check.event.signed, {"given": given})
        if late := from_the_future(check.event, int(time.time() * 1000)):
            check.settleable_reasons.append(as_finding(late))
    except Rejected as refusal:
        check.unreadable = check.event is None
        check.genuine_reasons.append(as_finding(refusal))
    check.conclude()
    return check


def _compare(records: list[VoucherCheck]) -> None:
    """Add warnings about genuine vouchers of one wearable that contradict or replace others."""
    contents, newest = defaultdict(set), defaultdict(int)
    genuine = [(r, r.event) for r in records if r.event and not r.genuine_reasons]
    for _, event in genuine:
        account = (event.device, event.facts["payee"], event.signed.content[:34])
        contents[event.device, event.counter].add(event.signed.content)
        newest[account] = max(newest[account], event.facts["total"])
    for record, event in genuine:
        account = (event.device, event.facts["payee"], event.signed.content[:34])
        if len(contents[event.device, event.counter]) > 1:
            detail = f"counter {event.counter} was signed over different vouchers"
            record.warnings.append((VoucherCautionReason.DOUBLE_SPENT, detail))
        if event.facts["total"] < newest[account]:
            detail = "a newer voucher to this payee replaces it"
            record.warnings.append((VoucherCautionReason.SUPERSEDED, detail))


def _is_object(record: bytes) -> bool:
    try:
        return isinstance(strict_json.decode(record.decode()), dict)
    except (Rejected, UnicodeDecodeError):
        return False


def _euro(micro: int) -> str:
    return f"{micro // 1_000_000}.{micro % 1_000_000:06}"
