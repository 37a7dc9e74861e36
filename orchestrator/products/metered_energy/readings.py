"""Readings of one record, and which of them the next records are compared with.

The OCMF meter status separates actual, estimated and exchanged readings (specification, table of
meter states): S is a substitute value, X means that the meter was exchanged.
"""

from __future__ import annotations

from typing import NamedTuple

from device_adapters.types import STREAM_BIT, Event
from oracles.types import ClaimReason
from orchestrator.products.metered_energy.abi import EnergyTerms

BEGIN = "B"
CLOSES = frozenset("ELRAP")
_SUBSTITUTE, _EXCHANGED = "S", "X"
Refusal = tuple[ClaimReason, str]


class MeterReading(NamedTuple):
    """One reading of a record; `tx` is OCMF's transaction letter, "" where there is none."""

    tx: str
    register: int  # mWh
    seconds: int
    status: str = ""

    @property
    def estimated(self) -> bool:
        """Return whether it is a substitute value."""
        return self.status == _SUBSTITUTE

    @property
    def exchanged(self) -> bool:
        """Return whether it is the first reading of a new meter."""
        return self.status == _EXCHANGED

    @property
    def opens(self) -> bool:
        """Return whether a session is open after it; readings outside sessions have no letter."""
        return bool(self.tx) and self.tx not in CLOSES


def readings(event: Event) -> list[MeterReading]:
    """Return an event's readings in record order; fiscal records have no sessions."""
    fiscal = event.counter >> STREAM_BIT
    return [
        MeterReading(
            "" if fiscal else entry["mark"],
            entry["register"],
            entry["at"] // 1000,
            entry.get("status", ""),
        )
        for entry in event.facts["readings"]
    ]


def last_actual(items: list[MeterReading]) -> MeterReading:
    """Return the reading that the next record is compared with: the last without estimate."""
    return next((item for item in reversed(items) if not item.estimated), items[-1])


def stands_alone(event: Event) -> bool:
    """Return whether the record ends in an estimate or a new meter: a claim of its own."""
    last = readings(event)[-1]
    return last.estimated or last.exchanged


def shape_refusal(
    terms: EnergyTerms, previous: list[MeterReading], items: list[MeterReading]
) -> Refusal | None:
    """Return why estimates and exchanges in a record cannot be settled, or None if they can.

    An estimate follows the actual reading it builds on, which is the last one of the previous
    record. So any later record can correct it, and nothing else can.
    """
    special = [item for item in items if item.estimated or item.exchanged]
    if not special:
        return None
    if any(item.tx for item in items):
        return ClaimReason.NOT_BILLABLE, "an estimate or an exchanged meter within a session"
    if len(special) > 1 or len(items) > 2 or special[0] is not items[-1]:
        return (
            ClaimReason.INCOMPLETE,
            "an estimate or a new meter must come last, after one actual reading",
        )
    if special[0].exchanged:
        if previous and special[0].seconds < previous[-1].seconds:
            return ClaimReason.TIME_BACKWARDS, "the meter was exchanged before its last reading"
        return None
    if not terms.continuous:
        return (
            ClaimReason.NOT_BILLABLE,
            "a substitute value, and the terms charge for sessions only",
        )
    return _base_refusal(terms, last_actual(previous) if previous else None, items)


def _base_refusal(
    terms: EnergyTerms, before: MeterReading | None, items: list[MeterReading]
) -> Refusal | None:
    if len(items) == 1:
        return ClaimReason.INCOMPLETE, "an estimate without the actual reading it builds on"
    base = items[0]
    same = (
        base.register == terms.start_register or not terms.start_register
        if before is None
        else (base.register, base.seconds) == (before.register, before.seconds)
    )
    return None if same else (ClaimReason.INCOMPLETE, "an estimate that builds on another reading")
