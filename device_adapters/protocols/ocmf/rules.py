"""Billing rules for an OCMF payload, by pyocmf: its readings, and why it may not be billed.

The rules are those of pyocmf's Eichrecht checks, which follow the Transparenzsoftware: errors
make a record not billable, warnings are cautions for an auditor.

Clock states (OCMF specification, table 19: U unknown or unsynchronised, I informative,
S synchronised, R relative: a legally exact duration counted from an informative start). Energy is
billed by its registers, and most chargers in the field record I at the begin and R at the end, so
U, I and R are cautions; a product that prices time must refuse them. Only R at the begin without R
at the end is refused: the two times have no common origin.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from threading import Lock
from typing import Any

import pydantic
from pyocmf.compliance import (
    EichrechtIssue,
    IssueCode,
    IssueSeverity,
    check_eichrecht_payload,
    check_eichrecht_transaction,
)
from pyocmf.core import Payload, Reading
from pyocmf.exceptions import PyOCMFError, SpecWarning
from pyocmf.registries.obis import is_law_relevant, is_loss_compensated

from device_adapters import strict_json
from device_adapters.protocols.ocmf.fields import clock_of
from device_adapters.types import Reason, Rejected

_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?\s*")
_TEXTS = ("FV", "GI", "GS", "GV", "PG", "MV", "MM", "MS", "MF", "ID", "TT", "CF", "CI")
INVALID_LEVELS = ("MISMATCH", "INVALID", "OUTDATED", "UNKNOWN")  # table 11, group "Error"


class BillingReason(StrEnum):
    """Why a genuine record may not be billed. Stable codes."""

    METER_STATUS_NOT_OK = "meter_status_not_ok"  # a billing reading has a status other than G
    ENERGY_ERROR_FLAG = "energy_error_flag"  # the meter reports that its energy is unusable
    IDENTIFICATION_LEVEL_INVALID = "identification_level_invalid"  # the user check failed
    NO_BILLING_REGISTER = "no_billing_register"  # no reading of a register that may be billed
    NO_READINGS = "no_readings"  # the record has no readings at all
    REGISTERS_MIXED = "registers_mixed"  # several billing registers: it is unclear which one counts
    BEGIN_MISSING = "begin_missing"  # an end without its begin
    END_MISSING = "end_missing"  # a begin without its end
    SEVERAL_BEGINS = "several_begins"  # a transaction begins once
    SEVERAL_ENDS = "several_ends"  # a transaction ends once
    SERIAL_MISMATCH = "serial_mismatch"  # begin and end come from different devices
    REGISTER_MISMATCH = "register_mismatch"  # begin and end read different registers
    UNIT_MISMATCH = "unit_mismatch"  # begin and end count in different units
    REGISTER_BACKWARDS = "register_backwards"  # the end is below the begin
    TIME_BACKWARDS = "time_backwards"  # the end is before the begin
    CLOCK_INCONSISTENT = "clock_inconsistent"  # relative time at the begin only
    PAGINATION_INCONSISTENT = "pagination_inconsistent"  # begin and end of different streams
    EVENT_COUNTER_MISMATCH = "event_counter_mismatch"  # events between begin and end (EI)
    RULE_BROKEN = "rule_broken"  # another error of the compliance check


class OcmfCautionReason(StrEnum):
    """What an auditor should know, without effect on billing. Stable codes."""

    CLOCK_UNKNOWN = "clock_unknown"  # time status U: unknown or unsynchronised
    CLOCK_INFORMATIVE = "clock_informative"  # time status I
    CLOCK_RELATIVE = "clock_relative"  # time status R: exact duration, informative start
    TIME_ERROR_FLAG = "time_error_flag"  # the meter reports that its time is unusable
    CUMULATED_LOSS = "cumulated_loss"  # the cable loss (CL) does not follow its rules
    CHARGING_EXCEPTION = "charging_exception"  # an error occurred during charging (TX X)
    PAGINATION_NOT_RISING = "pagination_not_rising"  # the page of the end is not after its begin
    IDENTIFICATION_DIFFERS = "identification_differs"  # begin and end name different users
    OUTSIDE_SPECIFICATION = "outside_specification"  # accepted, as the Transparenzsoftware does
    SIGNATURE_NOT_DER = "signature_not_der"  # r||s where the specification requires DER


CLOCKS = {
    "U": OcmfCautionReason.CLOCK_UNKNOWN,
    "I": OcmfCautionReason.CLOCK_INFORMATIVE,
    "R": OcmfCautionReason.CLOCK_RELATIVE,
}
_ERRORS = {
    IssueCode.METER_STATUS: BillingReason.METER_STATUS_NOT_OK,
    IssueCode.ERROR_FLAGS: BillingReason.ENERGY_ERROR_FLAG,
    IssueCode.TIME_SYNC: BillingReason.CLOCK_INCONSISTENT,
    IssueCode.NO_READINGS: BillingReason.NO_READINGS,
    IssueCode.BEGIN_TX: BillingReason.BEGIN_MISSING,
    IssueCode.END_TX: BillingReason.END_MISSING,
    IssueCode.MULTIPLE_BEGIN: BillingReason.SEVERAL_BEGINS,
    IssueCode.MULTIPLE_END: BillingReason.SEVERAL_ENDS,
    IssueCode.SERIAL_MISMATCH: BillingReason.SERIAL_MISMATCH,
    IssueCode.OBIS_MISMATCH: BillingReason.REGISTER_MISMATCH,
    IssueCode.UNIT_MISMATCH: BillingReason.UNIT_MISMATCH,
    IssueCode.VALUE_REGRESSION: BillingReason.REGISTER_BACKWARDS,
    IssueCode.TIME_REGRESSION: BillingReason.TIME_BACKWARDS,
    IssueCode.ID_LEVEL_INVALID: BillingReason.IDENTIFICATION_LEVEL_INVALID,
    IssueCode.PAGINATION_INCONSISTENT: BillingReason.PAGINATION_INCONSISTENT,
    IssueCode.EVENT_COUNTER_MISMATCH: BillingReason.EVENT_COUNTER_MISMATCH,
}
_WARNINGS = {
    IssueCode.ERROR_FLAGS: OcmfCautionReason.TIME_ERROR_FLAG,
    IssueCode.CL_BEGIN: OcmfCautionReason.CUMULATED_LOSS,
    IssueCode.CL_NEGATIVE: OcmfCautionReason.CUMULATED_LOSS,
    IssueCode.CL_REGISTER: OcmfCautionReason.CUMULATED_LOSS,
    IssueCode.PAGINATION_INCONSISTENT: OcmfCautionReason.PAGINATION_NOT_RISING,
    IssueCode.ID_MISMATCH: OcmfCautionReason.IDENTIFICATION_DIFFERS,
}
_RECORDING = Lock()  # Python's warning filters are global to the process
Finding = tuple[StrEnum, str]  # a code of this module and a sentence


@lru_cache(maxsize=1_024)
def register_rank(obis: str) -> int:
    """Return 0: not billable; 1: billable energy; 2: loss-compensated, which has precedence."""
    if not is_law_relevant(obis):
        return 0
    return 2 if is_loss_compensated(obis.split("*")[0]) else 1


def validate(payload: dict[str, Any]) -> tuple[Payload, list[Finding]]:
    """Return pyocmf's payload and the deviations it accepted; Rejected (WRONG_TYPE) otherwise."""
    with _RECORDING, warnings.catch_warnings(record=True) as deviations:
        warnings.simplefilter("always", SpecWarning)
        try:
            parsed = Payload.model_validate(tolerant(payload))
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Rejected(Reason.WRONG_TYPE, f"{where}: {first['msg']}"[:300]) from None
        except (PyOCMFError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise Rejected(Reason.WRONG_TYPE, f"the payload: {error}"[:300]) from None
    texts = dict.fromkeys(str(deviation.message) for deviation in deviations)
    return parsed, [(OcmfCautionReason.OUTSIDE_SPECIFICATION, text) for text in texts]


def tolerant(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload with vendors' spellings made regular, without any guess."""
    regular = {key: value for key, value in payload.items() if value is not None}
    for key in _TEXTS:
        if type(regular.get(key)) is int:
            regular[key] = str(regular[key])
    for key in ("PG", "MS", "GS"):
        if isinstance(regular.get(key), str):
            regular[key] = regular[key].strip()
    if not isinstance(regular.get("IF", []), list):
        del regular["IF"]
    readings = regular.get("RD")
    if not isinstance(readings, list) or not all(isinstance(item, dict) for item in readings):
        raise Rejected(Reason.READING_MISSING, "the readings (RD) are not a list of objects")
    regular["RD"] = [_regular_reading(reading) for reading in readings]
    return regular


def _regular_reading(reading: dict[str, Any]) -> dict[str, Any]:
    regular = dict(reading)
    for key in ("TM", "RI", "RU", "ST", "EF"):
        if isinstance(regular.get(key), str):
            regular[key] = " ".join(regular[key].split())
    for key in ("RV", "CL"):
        value = regular.get(key)
        if isinstance(value, str):  # Decimal would accept "1_0" and digits of any script
            if not _NUMBER.fullmatch(value):
                raise Rejected(Reason.WRONG_TYPE, f"{key} is not a number: {value[:40]!r}")
            regular[key] = strict_json.exact_decimal(value.strip())
    return regular


def billing_readings(parsed: Payload) -> list[Reading]:
    """Return the readings that count: loss-compensated registers, else other billable ones."""
    ranked = [(register_rank(str(item.RI)) if item.RI else 0, item) for item in parsed.RD]
    best = max((rank for rank, _ in ranked), default=0)
    return [item for rank, item in ranked if rank == best and rank and item.RV is not None]


def judge(parsed: Payload) -> tuple[list[Finding], list[Finding]]:
    """Return (reasons why the record by itself may not be billed, warnings)."""
    errors, cautions = _by_severity(check_eichrecht_payload(parsed))
    billable = billing_readings(parsed)
    if parsed.RD and not billable:
        errors.append((BillingReason.NO_BILLING_REGISTER, "no reading of a billable register"))
    registers = sorted({str(item.RI) for item in billable})
    if len(registers) > 1:
        errors.append(
            (BillingReason.REGISTERS_MIXED, "billable registers: " + ", ".join(registers))
        )
    if parsed.IL in INVALID_LEVELS:
        detail = f"the identification level (IL) is {parsed.IL}"
        errors.append((BillingReason.IDENTIFICATION_LEVEL_INVALID, detail))
    cautions.extend(_clock_cautions(parsed.RD))
    if any(item.TX == "X" for item in parsed.RD):
        cautions.append((OcmfCautionReason.CHARGING_EXCEPTION, "a reading reports an error (TX X)"))
    return once(errors), once(cautions)


def judge_pair(begin: Payload, end: Payload) -> tuple[list[Finding], list[Finding]]:
    """Return the same for a transaction whose begin and end are two records."""
    return _by_severity(check_eichrecht_transaction(begin, end))


def once(findings: Iterable[Finding]) -> list[Finding]:
    """Return each code once, with its first sentence."""
    first: dict[StrEnum, str] = {}
    for code, text in findings:
        first.setdefault(code, text)
    return list(first.items())


def _clock_cautions(readings: Iterable[Reading]) -> list[Finding]:
    states = dict.fromkeys(clock_of(str(item.time_status)) for item in readings)
    return [(CLOCKS[s], f"a reading's time has status {s}") for s in states if s != "S"]


def _by_severity(issues: list[EichrechtIssue]) -> tuple[list[Finding], list[Finding]]:
    errors: list[Finding] = []
    cautions: list[Finding] = []
    for issue in issues:
        if issue.severity == IssueSeverity.ERROR:
            errors.append((_ERRORS.get(issue.code, BillingReason.RULE_BROKEN), issue.message))
        elif issue.code != IssueCode.TIME_SYNC:  # _clock_cautions is more exact
            code = _WARNINGS.get(issue.code, OcmfCautionReason.OUTSIDE_SPECIFICATION)
            cautions.append((code, issue.message))
    return once(errors), once(cautions)
