"""What one record says of the register, and which of its readings the next ones are judged by.

Actual, estimated and exchanged readings are told apart by the OCMF meter status (specification,
table of meter states): S is a substitute value, X says that the meter was exchanged.
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
        return self.status == _SUBSTITUTE

    @property
    def exchanged(self) -> bool:
        return self.status == _EXCHANGED

    @property
    def opens(self) -> bool:
        """Whether a session is open after it; readings outside sessions carry no letter."""
        return bool(self.tx) and self.tx not in CLOSES


def readings(event: Event) -> list[MeterReading]:
    """An event's readings in the order of the record; fiscal records know no sessions."""
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
    """What the next record is judged by: an estimate never is."""
    return next((one for one in reversed(items) if not one.estimated), items[-1])


def stands_alone(event: Event) -> bool:
    """Whether the record is a claim of its own: one that ends in an estimate or a new meter."""
    last = readings(event)[-1]
    return last.estimated or last.exchanged


def shape(
    terms: EnergyTerms, previous: list[MeterReading], items: list[MeterReading]
) -> Refusal | None:
    """Whether estimates and exchanges stand where they can be settled; None: they do.

    An estimate stands behind the actual reading it builds on, which is the last one of the record
    before: so it can be corrected by what any later record says, and by nothing else.
    """
    special = [one for one in items if one.estimated or one.exchanged]
    if not special:
        return None
    if any(one.tx for one in items):
        return ClaimReason.NOT_BILLABLE, "an estimate or an exchanged meter within a session"
    if len(special) > 1 or len(items) > 2 or special[0] is not items[-1]:
        return (
            ClaimReason.INCOMPLETE,
            "an estimate or a new meter stands last, behind one actual reading",
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
    return _builds_on(terms, last_actual(previous) if previous else None, items)


def _builds_on(
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
