"""Checks a file of energy attestation tokens offline, with the chain of their hashes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from device_adapters.protocols.eat.token import (
    METER,
    Token,
    event_of,
    open_token,
    split,
    token_hash,
)
from device_adapters.registers import Direction
from device_adapters.registry import from_the_future
from device_adapters.sessions import chosen
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import RecordCheck, Report, Table, Unproven, as_finding


class ChainReason(StrEnum):
    """What is wrong with a token's place in the chain of its device. Stable codes."""

    CHAIN_BROKEN = "chain_broken"  # it names another previous token than the one before it
    CHAIN_FORKED = "chain_forked"  # two tokens of this file have the same sequence number
    CHAIN_GAP = "chain_gap"  # the token before it is not in this file; a caution


@dataclass
class TokenCheck(RecordCheck):
    """One token: its claims, its signature and its place in the chain."""

    token: Token | None = None

    def protocol_json(self) -> dict[str, Any]:
        """Return the claims as facts, and the hash that the next token must name."""
        facts = self.event.facts if self.event else {}
        return super().protocol_json() | {
            "kind": self.event.kind if self.event else None,
            "hash": token_hash(self.record).hex(),
            **{name: facts.get(name) for name in ("sequence", "previous", "delta")},
            "readings": facts.get("readings", []),
            "claims": {name: facts.get(name) for name in ("firmware", "model", "configuration")},
        }

    def tables(self) -> list[Table]:
        """Return the token's energy in Wh."""
        if self.event is None:
            return []
        facts = self.event.facts
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.event.observed_at_ms // 1000))
        total = [str(reading["register"] // 1000) for reading in facts.get("readings", [])]
        row = (at, str(facts["sequence"]), str(facts["delta"] // 1000), "".join(total))
        return [("", ("at (UTC)", ">sequence", ">Wh since the last", ">Wh in all"), [row])]


def check_tokens(data: bytes, given: str | bytes | None, direction: Direction) -> Report:
    """Check every token with the key `given`: a file of tokens contains no key."""
    records = [_check(index, record, given) for index, record in enumerate(split(data))]
    _check_chain(records)
    for record in records:
        if record.event is None:
            continue
        if record.event.kind != METER:
            detail = "the token has only the energy since the last one, and no register"
            record.billable_reasons.append((Unproven.REGISTER_MISSING, detail))
        elif chosen(record.event.facts, direction) is None:
            detail = f"no register of {direction.value}: the token is about generation"
            record.billable_reasons.append((Unproven.REGISTER_MISSING, detail))
    for record in records:
        record.conclude()
    report = Report(records=records)
    if all(record.unreadable for record in records):
        report.error = records[0].genuine_reasons[0] if records else (Reason.EMPTY, "no token")
    return report


def _check(index: int, record: bytes, given: str | bytes | None) -> TokenCheck:
    check = TokenCheck(index, record)
    try:
        check.token = open_token(record)
        check.event = event_of(check.token, record)
        check.prove(check.token.signed, {"given": given})
        if late := from_the_future(check.event, int(time.time() * 1000)):
            check.settleable_reasons.append(as_finding(late))
    except Rejected as refusal:
        check.unreadable = check.event is None
        check.genuine_reasons.append(as_finding(refusal))
    return check


def _check_chain(records: list[TokenCheck]) -> None:
    """Compare each token with the one before it, of the same device in this file."""
    by_place: dict[tuple[str, int], TokenCheck] = {}
    for record in records:
        if record.event is None:
            continue
        place = record.event.device, record.event.facts["sequence"]
        if by_place.setdefault(place, record).record != record.record:
            detail = f"sequence number {place[1]} was signed for different tokens"
            record.billable_reasons.append((ChainReason.CHAIN_FORKED, detail))
    for (device, sequence), record in by_place.items():
        before = by_place.get((device, sequence - 1))
        if sequence == 1:
            continue
        if before is None:
            detail = f"token {sequence - 1}, which it names, is not in this file"
            record.warnings.append((ChainReason.CHAIN_GAP, detail))
        elif token_hash(before.record).hex() != record.event.facts["previous"]:
            detail = f"it does not name the hash of token {sequence - 1}"
            record.billable_reasons.append((ChainReason.CHAIN_BROKEN, detail))
