"""Judges the readings of a record, a pair or a charging session: one rule for auditor and rail.

`evidence check` and the product metered energy call `judge`, so that a session that the check calls
billable is paid, with the same energy, and no other is. Pure: facts in, verdict out.

Sources: OCMF specification, tables 7 (TX, EF, ST), 19 (clock states) and 25 (registers); the rules
for a pair are those of the Transparenzsoftware (register, unit, serial number, clock, order).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from device_adapters.registers import Direction, Register, choose, parse
from device_adapters.verdicts import Finding

BEGIN = "B"
CLOSING = frozenset("ELRAP")
EXCEPTION = "X"  # from this reading on, time or energy can no longer be used
_GOOD, _RELATIVE = "G", "R"
Facts = Mapping[str, Any]  # of an event of kind "meter.reading"
Entry = Mapping[str, Any]  # one of facts["readings"]


class BillingReason(StrEnum):
    """Why a genuine record or session may not be billed. Stable codes."""

    METER_STATUS_NOT_OK = "meter_status_not_ok"  # a billing reading has a status other than G
    ENERGY_ERROR_FLAG = "energy_error_flag"  # the meter reports that its energy is unusable
    IDENTIFICATION_LEVEL_INVALID = "identification_level_invalid"  # the user check failed
    NO_BILLING_REGISTER = "no_billing_register"  # no reading of a register that may be billed
    EXPORT_REGISTER = "export_register"  # only energy fed back, and consumption is billed
    IMPORT_REGISTER = "import_register"  # only consumption, and energy fed back is billed
    NO_READINGS = "no_readings"  # the record has no readings at all
    REGISTERS_MIXED = "registers_mixed"  # several billing registers: it is unclear which one counts
    BEGIN_MISSING = "begin_missing"  # an end without its begin
    END_MISSING = "end_missing"  # a begin without its end
    SEVERAL_BEGINS = "several_begins"  # a transaction begins once
    SEVERAL_ENDS = "several_ends"  # a transaction ends once
    READINGS_OUT_OF_ORDER = "readings_out_of_order"  # outside begin and end, or without a letter
    SERIAL_MISMATCH = "serial_mismatch"  # begin and end come from different devices
    REGISTER_MISMATCH = "register_mismatch"  # the records of a session read different registers
    UNIT_MISMATCH = "unit_mismatch"  # begin and end count in different units
    REGISTER_BACKWARDS = "register_backwards"  # a reading is below the one before
    TIME_BACKWARDS = "time_backwards"  # a reading is before the one before
    CLOCK_INCONSISTENT = "clock_inconsistent"  # relative time at the begin only
    PAGINATION_INCONSISTENT = "pagination_inconsistent"  # begin and end of different streams
    EVENT_COUNTER_MISMATCH = "event_counter_mismatch"  # events between begin and end (EI)


_OPEN = (BillingReason.BEGIN_MISSING, BillingReason.END_MISSING)


@dataclass(frozen=True, slots=True)
class SessionVerdict:
    """The result for the records of one session, in order; no reasons mean that it is billed.

    register: the one that is billed; None where no single one can be. begin, end: the readings
    between which energy is billed (entries of facts["readings"]); None where there is none.
    reasons: why it is not billed. cut: the sentence about an error of the meter during the
    session, after which nothing is billed; "" without one. in_session: whether the readings have
    letters (TX); others are no session, and are billed from one record to the next.
    """

    register: Register | None = None
    begin: Entry | None = None
    end: Entry | None = None
    reasons: tuple[Finding, ...] = ()
    cut: str = ""
    in_session: bool = False

    @property
    def energy(self) -> int | None:
        """Return the billable mWh; None where the session is not billable."""
        if self.reasons or self.begin is None or self.end is None:
            return None
        return self.end["register"] - self.begin["register"]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Return the reasons that no further record can lift: all but a missing begin or end."""
        return tuple(finding for finding in self.reasons if finding[0] not in _OPEN)


def chosen(facts: Facts, direction: Direction) -> Register | None:
    """Return the register that a record is billed by; None where there is no single one."""
    return choose(_registers(facts), direction)


def readings_of(facts: Facts, register: Register) -> list[Entry]:
    """Return a record's readings of one register, in the order of the record."""
    return [entry for entry in facts["readings"] if parse(entry["obis"]) == register]


def is_unusable(entry: Entry) -> bool:
    """Return whether a reading says that energy can no longer be used from it on.

    Either by the error flag E, or by TX=X. Where X has the flag t alone, only time is affected.
    """
    flags = entry["flags"]
    return "E" in flags or (entry["mark"] == EXCEPTION and flags != "t")


def judge(
    records: Sequence[Facts], direction: Direction = Direction.IMPORT, rollover_at: int = 0
) -> SessionVerdict:
    """Return what of a session is billed, or the reasons why nothing is.

    Every record of a session must by itself choose the same register (`registers.choose`). So two
    neighbours that agree, and all neighbours agreeing, is the same as the whole session agreeing.
    From the first reading on that reports an error of energy (see `is_unusable`) nothing is
    billed: the session ends at the reading before, or is not billed where only its begin is left.

    Args:
        records: the facts of each record in the order of the counters, all of one meter.
        direction: whether consumption or energy fed back is billed.
        rollover_at: mWh at which the register begins at zero again; 0: it never does. A lower
            reading is then no reason, and `energy` is for the caller to compute.
    """
    fiscal, reasons = _streams(records)
    reasons += _serial_reasons(records)
    register, without = _register_of(records, direction)
    if register is None:
        return SessionVerdict(reasons=_once([*reasons, *without]))
    entries = [entry for facts in records for entry in readings_of(facts, register)]
    usable, cut = _usable(records, register)
    marks = [] if fiscal else [entry["mark"] for entry in entries]
    reasons += _order_reasons(marks) + _value_reasons(usable, rollover_at)
    begin = next((entry for entry in usable if entry["mark"] == BEGIN and not fiscal), None)
    end = _end_of(usable, cut) if any(marks) else None
    if cut and (begin is None or end is begin) and (BEGIN in marks or not any(marks)):
        reasons.append((BillingReason.ENERGY_ERROR_FLAG, cut))
    if begin is not None and end is not None:
        reasons += _pair_reasons(begin, end)
    return SessionVerdict(register, begin, end, _once(reasons), cut, any(marks))


def _streams(records: Sequence[Facts]) -> tuple[bool, list[Finding]]:
    """Return whether all records are fiscal (they have no sessions), and whether streams mix."""
    streams = sorted({str(facts.get("pagination", ""))[:1] for facts in records})
    if len(streams) < 2:
        return streams == ["F"], []
    detail = f"records of the streams {' and '.join(name or '-' for name in streams)}"
    return False, [(BillingReason.PAGINATION_INCONSISTENT, detail)]


def _registers(facts: Facts) -> list[Register]:
    return [item for entry in facts["readings"] if (item := parse(entry["obis"])) is not None]


def _register_of(
    records: Sequence[Facts], direction: Direction
) -> tuple[Register | None, list[Finding]]:
    """Return the register of a session, or why it has none."""
    choices = {chosen(facts, direction) for facts in records}
    if len(choices) == 1 and (register := choices.pop()) is not None:
        return register, []
    for facts in records:
        if chosen(facts, direction) is None:
            return None, [_without_register(facts, direction)]
    names = " and ".join(sorted(register.text for register in choices if register))
    return None, [(BillingReason.REGISTER_MISMATCH, f"the records read {names}")]


def _without_register(facts: Facts, direction: Direction) -> Finding:
    """Return why a record has no single register in this direction."""
    registers = _registers(facts)
    wanted = sorted({item.text for item in registers if item.direction is direction})
    if wanted:
        return BillingReason.REGISTERS_MIXED, "billable registers: " + ", ".join(wanted)
    if errors := facts.get("errors"):
        return BillingReason.ENERGY_ERROR_FLAG, _sentence(errors[0])
    others = ", ".join(sorted({item.text for item in registers}))
    if not others:
        return BillingReason.NO_BILLING_REGISTER, "no reading of a register that may be billed"
    if direction is Direction.IMPORT:
        return BillingReason.EXPORT_REGISTER, f"{others} counts energy that is fed back"
    return BillingReason.IMPORT_REGISTER, f"{others} counts energy that is taken"


def _usable(records: Sequence[Facts], register: Register) -> tuple[list[Entry], str]:
    """Return the readings of a register before the first error, and a sentence about the error.

    An error of the register itself ends it by position, whichever time it has. An error that
    another register reports ends it by time, because a record lists one register after another.
    """
    others = [
        error
        for facts in records
        for error in (*facts["readings"], *facts.get("errors", ()))
        if is_unusable(error) and parse(error["obis"]) != register
    ]
    usable: list[Entry] = []
    for facts in records:
        own = [error for error in facts.get("errors", ()) if _ends(error, register)]
        for index, entry in enumerate(facts["readings"]):
            if parse(entry["obis"]) != register:
                continue
            causes = [entry] if is_unusable(entry) else []
            causes += [error for error in own if error["before"] <= index]
            causes += [error for error in others if error["at"] <= entry["at"]]
            if causes:
                return usable, _sentence(causes[0])
            usable.append(entry)
        if own:
            return usable, _sentence(own[0])
    return usable, ""


def _ends(error: Entry, register: Register) -> bool:
    """Return whether an error without a value is the register's own; one without a code is."""
    return is_unusable(error) and parse(error["obis"]) in (None, register)


def _sentence(error: Entry) -> str:
    marks = f"TX={error['mark']} " * bool(error["mark"]) + f"EF={error['flags']!r}"
    return f"the meter reports that its energy cannot be used from a reading with {marks} on"


def _end_of(usable: Sequence[Entry], cut: str) -> Entry | None:
    """Return the reading that ends the billable stretch: after an error the last usable one."""
    if cut:
        return usable[-1] if usable else None
    return next((entry for entry in usable if entry["mark"] in CLOSING), None)


def _order_reasons(marks: list[str]) -> list[Finding]:
    """Return how the letters break the order of a session; none where no reading has a letter."""
    if not any(marks):
        return []
    begins, ends = marks.count(BEGIN), sum(mark in CLOSING for mark in marks)
    reasons: list[Finding] = []
    if not begins:
        reasons.append((BillingReason.BEGIN_MISSING, "no reading with TX=B: its begin is missing"))
    if not ends:
        reasons.append(
            (BillingReason.END_MISSING, "no reading with TX=E, L, R, A or P: its end is missing")
        )
    if begins > 1:
        reasons.append((BillingReason.SEVERAL_BEGINS, f"{begins} readings with TX=B"))
    if ends > 1:
        reasons.append((BillingReason.SEVERAL_ENDS, f"{ends} readings that end a session"))
    outside = (begins and marks[0] != BEGIN) or (ends and marks[-1] not in CLOSING)
    if outside or "" in marks:
        detail = "a reading lies before the begin, after the end, or has no letter (TX)"
        reasons.append((BillingReason.READINGS_OUT_OF_ORDER, detail))
    return reasons


def _value_reasons(usable: Sequence[Entry], rollover_at: int) -> list[Finding]:
    """Return what is wrong with single readings, and with neighbours."""
    reasons: list[Finding] = []
    for entry in usable:
        if entry["status"] != _GOOD:
            detail = f"a reading has the meter status (ST) {entry['status']!r}, not G"
            reasons.append((BillingReason.METER_STATUS_NOT_OK, detail))
    for before, after in pairwise(usable):
        if after["register"] < before["register"] and not rollover_at:
            detail = f"{after['register']} mWh after {before['register']} mWh"
            reasons.append((BillingReason.REGISTER_BACKWARDS, detail))
        if after["at"] < before["at"]:
            detail = f"{after['at']} ms after {before['at']} ms"
            reasons.append((BillingReason.TIME_BACKWARDS, detail))
    return reasons


def _pair_reasons(begin: Entry, end: Entry) -> list[Finding]:
    """Return how the two readings between which energy is billed do not fit each other."""
    reasons: list[Finding] = []
    if begin["clock"] == _RELATIVE and end["clock"] != _RELATIVE:
        detail = f"the begin has relative time (R), the end has {end['clock']}"
        reasons.append((BillingReason.CLOCK_INCONSISTENT, detail))
    units = [entry.get("unit", "").lower() for entry in (begin, end)]
    if units[0] != units[1] and all(units):
        reasons.append((BillingReason.UNIT_MISMATCH, f"begin in {units[0]}, end in {units[1]}"))
    events = begin.get("events"), end.get("events")
    if events[1] is not None and events[0] != events[1]:
        detail = f"the event counter (EI) is {events[0]} at the begin and {events[1]} at the end"
        reasons.append((BillingReason.EVENT_COUNTER_MISMATCH, detail))
    return reasons


def _serial_reasons(records: Sequence[Facts]) -> list[Finding]:
    """Return whether records name different meters, or different components that sign for one."""
    names = {_names(facts) for facts in records}
    if len(names) < 2:
        return []
    listed = "; ".join(sorted(" ".join(filter(None, name)) or "no name" for name in names))
    return [(BillingReason.SERIAL_MISMATCH, f"records of several devices: {listed}")]


def _names(facts: Facts) -> tuple[str, str, str]:
    """Return meter and gateway, and the charge point where it is the only name."""
    meter, gateway = facts.get("meter", ""), facts.get("gateway", "")
    return meter, gateway, "" if meter or gateway else facts.get("charge_point", "")


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return each code once, with its first sentence."""
    first: dict[StrEnum, str] = {}
    for code, text in findings:
        first.setdefault(code, text)
    return tuple(first.items())
