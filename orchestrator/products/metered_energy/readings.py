"""Readings of one record by the register that the terms charge, and what they are compared with.

Which register is billed, and what of a session, `device_adapters.sessions` decides for auditor and
rail alike. The OCMF meter status separates actual, estimated and exchanged readings (specification,
table of meter states): S is a substitute value, X means that the meter was exchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from device_adapters import sessions
from device_adapters.registers import Register, choose, parse
from device_adapters.types import STREAM_BIT, Event
from oracles.types import ClaimReason
from orchestrator.products.metered_energy.abi import EnergyTerms
from orchestrator.products.metered_energy.register import band_of, total_of

BEGIN = sessions.BEGIN
CLOSES = sessions.CLOSING
_SUBSTITUTE, _EXCHANGED = "S", "X"
Refusal = tuple[ClaimReason, str]


class MeterReading(NamedTuple):
    """One reading of a record; `tx` is OCMF's transaction letter, "" where there is none.

    code: the register that was read; None where the terms state the reading (`start_register`).
    per_session: whether that register begins at zero with each session.
    """

    tx: str
    register: int  # mWh
    seconds: int
    status: str = ""
    code: Register | None = None
    per_session: bool = False

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


def readings(event: Event, terms: EnergyTerms) -> list[MeterReading]:
    """Return an event's readings of the register that the terms charge, in record order.

    Fiscal records have no sessions. The first reading of a new meter (status X) may be of another
    register than those of the meter before it.
    """
    entries = event.facts["readings"]
    if len({entry["obis"] for entry in entries}) == 1:  # the usual record
        code = _billed(entries, terms)
        return [_reading(event, entry, code, terms) for entry in entries] if code else []
    billed = {
        exchanged: _billed([e for e in entries if (e["status"] == _EXCHANGED) is exchanged], terms)
        for exchanged in (False, True)
    }
    return [
        _reading(event, entry, code, terms)
        for entry in entries
        if (code := billed[entry["status"] == _EXCHANGED]) and parse(entry["obis"]) == code
    ]


def usable_readings(
    event: Event, terms: EnergyTerms, session: Sequence[Event] = ()
) -> list[MeterReading]:
    """Return an event's readings without those that follow an error of the meter.

    Args:
        session: the records before it of the session that is open.
    """
    items = readings(event, terms)
    records = [item.facts for item in (*session, event)]
    if not any(map(has_error, records)):
        return items
    verdict = judge(records, terms)
    if not verdict.cut or verdict.register is None:
        return items
    entries = sessions.readings_of(event.facts, verdict.register)
    last = next((n for n, e in enumerate(entries, start=1) if e is verdict.end), 0)
    return items[:last]


def comparable(
    terms: EnergyTerms, previous: Event, session: Sequence[Event]
) -> Sequence[MeterReading]:
    """Return the readings that the next record's are compared with."""
    for count in range(len(session), 0, -1):
        if items := usable_readings(session[count - 1], terms, session[: count - 1]):
            return items
    return usable_readings(previous, terms) or readings(previous, terms)


def judge(records: Sequence[sessions.Facts], terms: EnergyTerms) -> sessions.SessionVerdict:
    """Return the verdict of the rule that auditor and rail share."""
    return sessions.judge(records, terms.direction, terms.rollover_at)


def has_error(facts: sessions.Facts) -> bool:
    """Return whether a reading says that energy can no longer be used from it on."""
    return any(map(sessions.is_unusable, (*facts["readings"], *facts.get("errors", ()))))


def opened_by(events: Sequence[Event], terms: EnergyTerms) -> list[Event]:
    """Return the records of the session that is open after these records; none where none is."""
    session: list[Event] = []
    for event in reversed(events):
        items = readings(event, terms)
        if not items or (not session and not items[-1].opens):
            return []
        session.append(event)
        if any(item.tx == BEGIN for item in items):
            break
    return session[::-1]


def last_actual(items: Sequence[MeterReading]) -> MeterReading:
    """Return the reading that the next record is compared with: the last without estimate."""
    return next((item for item in reversed(items) if not item.estimated), items[-1])


def stands_alone(items: Sequence[MeterReading]) -> bool:
    """Return whether a record ends in an estimate or a new meter: a claim of its own."""
    return items[-1].estimated or items[-1].exchanged


def register_refusal(event: Event, terms: EnergyTerms) -> Refusal:
    """Return why a record has no reading of a register that the terms charge."""
    codes = {code for entry in event.facts["readings"] if (code := parse(entry["obis"]))}
    names = ", ".join(sorted(code.text for code in codes)) or "none"
    wanted = [code for code in codes if _is_of_band(code, terms)]
    if not wanted:
        band = f" of tariff band {terms.band}" if terms.band else ""
        return (
            ClaimReason.KIND_NOT_PRICED,
            f"no reading of an {terms.direction} register{band}, which the terms charge: {names}",
        )
    if len(wanted) == 1 or all(code.per_session for code in wanted):
        return (
            ClaimReason.KIND_NOT_PRICED,
            f"{names} begins with each session, and the terms are continuous",
        )
    return (
        ClaimReason.NOT_BILLABLE,
        f"{sessions.BillingReason.REGISTERS_MIXED}: {names} count alike",
    )


def bands_refusal(terms: EnergyTerms, event: Event) -> Refusal | None:
    """Return why a record cannot be charged by tariff bands, or None; None without bands.

    All bands are one claim: their registers are read at the same times, outside sessions.
    """
    if not terms.band:
        return None
    if has_error(event.facts):
        return (
            ClaimReason.NOT_BILLABLE,
            "a reading of a tariff register after an error of the meter",
        )
    lists = [readings(event, band) for band in terms.by_band()]
    for band, items in zip(terms.by_band(), lists, strict=True):
        if not items:
            return register_refusal(event, band)
        if any(item.tx for item in items):
            return ClaimReason.NOT_BILLABLE, "a tariff register within a session"
    read = [[(item.seconds, item.status) for item in items] for items in lists]
    if any(times != read[0] for times in read):
        return ClaimReason.INCOMPLETE, "the tariff registers were not read at the same times"
    return None


def shape_refusal(
    terms: EnergyTerms, previous: Sequence[MeterReading], items: Sequence[MeterReading]
) -> Refusal | None:
    """Return why estimates and exchanges in a record cannot be settled, or None if they can.

    An estimate follows the actual reading it builds on, which is the last one of the previous
    record. So any later record can correct it, and nothing else can.
    """
    if items[0].per_session and not all(item.tx for item in items):
        name = items[0].code.text if items[0].code else ""
        return (
            ClaimReason.NOT_BILLABLE,
            f"{name} begins with each session, and a reading has no transaction letter",
        )
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
    terms: EnergyTerms, before: MeterReading | None, items: Sequence[MeterReading]
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


def _billed(entries: Iterable[Any], terms: EnergyTerms) -> Register | None:
    """Return the register that is charged; continuous terms need one that runs on."""
    codes = (code for entry in entries if (code := parse(entry["obis"])))
    taken = {
        total_of(code): code
        for code in codes
        if band_of(code) == terms.band and not (terms.continuous and _of_session(code, terms))
    }
    chosen = choose(taken, terms.direction)
    return taken[chosen] if chosen else None


def _is_of_band(code: Register, terms: EnergyTerms) -> bool:
    return band_of(code) == terms.band and total_of(code).direction is terms.direction


def _of_session(code: Register, terms: EnergyTerms) -> bool:
    """Return whether a register is treated as one that begins with each session.

    The contract of terms of version 1 compares every register with the one before.
    """
    return code.per_session and terms.version > 1


def _reading(event: Event, entry: Any, code: Register, terms: EnergyTerms) -> MeterReading:
    fiscal = event.counter >> STREAM_BIT
    return MeterReading(
        "" if fiscal else entry["mark"],
        entry["register"],
        entry["at"] // 1000,
        entry["status"],
        code,
        _of_session(code, terms),
    )
