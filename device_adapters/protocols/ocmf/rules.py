"""Rules for an OCMF payload: it is read by pyocmf, and judged for what its readings do not show.

Which readings are billed, and when a session is not, is decided by `device_adapters.sessions` for
auditor and rail alike. Cautions for an auditor are the warnings of pyocmf's Eichrecht checks,
which follow the Transparenzsoftware, and some of our own.

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
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from threading import Lock
from typing import Any

import pydantic
from pyocmf.compliance import (
    EichrechtIssue,
    IssueCode,
    IssueSeverity,
    check_eichrecht_reading,
    check_eichrecht_transaction,
)
from pyocmf.core import Payload, Reading
from pyocmf.exceptions import PyOCMFError, SpecWarning

from device_adapters import strict_json
from device_adapters.protocols.ocmf.fields import clock_of
from device_adapters.registers import Direction, Register, parse
from device_adapters.sessions import EXCEPTION, BillingReason
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding

_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?\s*")
_TEXTS = ("FV", "GI", "GS", "GV", "PG", "MV", "MM", "MS", "MF", "ID", "TT", "CF", "CI")
INVALID_LEVELS = ("MISMATCH", "INVALID", "OUTDATED", "UNKNOWN")  # table 11, group "Error"


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
    SIGNATURE_DER_UNSIGNED = "signature_der_unsigned"  # its integers lack the octet for the sign
    REGISTER_FLOORED = "register_floored"  # finer than a milliwatt-hour, and rounded down
    ENERGY_CUT = "energy_cut"  # billed only up to the reading before an error of the meter
    RECORD_REPEATED = "record_repeated"  # another record of the file shows the same readings


CLOCKS = {
    "U": OcmfCautionReason.CLOCK_UNKNOWN,
    "I": OcmfCautionReason.CLOCK_INFORMATIVE,
    "R": OcmfCautionReason.CLOCK_RELATIVE,
}
_WARNINGS = {
    IssueCode.ERROR_FLAGS: OcmfCautionReason.TIME_ERROR_FLAG,
    IssueCode.CL_BEGIN: OcmfCautionReason.CUMULATED_LOSS,
    IssueCode.CL_NEGATIVE: OcmfCautionReason.CUMULATED_LOSS,
    IssueCode.CL_REGISTER: OcmfCautionReason.CUMULATED_LOSS,
    IssueCode.PAGINATION_INCONSISTENT: OcmfCautionReason.PAGINATION_NOT_RISING,
    IssueCode.ID_MISMATCH: OcmfCautionReason.IDENTIFICATION_DIFFERS,
}
_FORMS = {
    "raw": (OcmfCautionReason.SIGNATURE_NOT_DER, "the signature is a raw r||s"),
    "der_unsigned": (
        OcmfCautionReason.SIGNATURE_DER_UNSIGNED,
        "the integers of the signature lack the octet for their sign; they are read as positive",
    ),
}
_EVENT_COUNTER_UNTIL = Decimal("0.5")  # readings have an event counter (EI) only before FV 0.5
_RECORDING = Lock()  # Python's warning filters are global to the process


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


def energy_register(obis: object) -> Register | None:
    """Return the register of total active energy that a code names; None for any other code."""
    register = parse(str(obis)) if obis is not None else None
    return register if register and register.direction is not Direction.OTHER else None


def event_counter(parsed: Payload, reading: Reading) -> str:
    """Return the event counter (EI) of a reading; "" where the format has none (0.5 and later)."""
    try:
        old = Decimal(parsed.FV or "") < _EVENT_COUNTER_UNTIL
    except InvalidOperation:
        old = False
    value = (reading.model_extra or {}).get("EI") if old else None
    return "" if value is None else str(value)


def judge(parsed: Payload) -> tuple[list[Finding], list[Finding]]:
    """Return (reasons why the record by itself may not be billed, cautions), without its session.

    What single readings say is in the facts, for `sessions.judge`.
    """
    issues = [
        issue
        for item in parsed.RD
        if energy_register(item.RI)
        for issue in check_eichrecht_reading(item)
    ]
    errors, cautions = [], _cautions(issues)
    if parsed.IL in INVALID_LEVELS:
        detail = f"the identification level (IL) is {parsed.IL}"
        errors.append((BillingReason.IDENTIFICATION_LEVEL_INVALID, detail))
    cautions.extend(_clock_cautions(parsed.RD))
    if any(item.TX == EXCEPTION for item in parsed.RD):
        cautions.append((OcmfCautionReason.CHARGING_EXCEPTION, "a reading reports an error (TX X)"))
    return errors, once(cautions)


def form_cautions(form: str) -> list[Finding]:
    """Return how the form of a signature differs from DER, which the specification requires."""
    return [_FORMS[form]] if form in _FORMS else []


def pair_cautions(begin: Payload, end: Payload) -> list[Finding]:
    """Return the cautions about a session whose begin and end are two records."""
    return _cautions(check_eichrecht_transaction(begin, end))


def once(findings: Iterable[Finding]) -> list[Finding]:
    """Return each code once, with its first sentence."""
    first: dict[StrEnum, str] = {}
    for code, text in findings:
        first.setdefault(code, text)
    return list(first.items())


def _clock_cautions(readings: Iterable[Reading]) -> list[Finding]:
    states = dict.fromkeys(clock_of(str(item.time_status)) for item in readings)
    return [(CLOCKS[s], f"a reading's time has status {s}") for s in states if s != "S"]


def _cautions(issues: list[EichrechtIssue]) -> list[Finding]:
    """Return pyocmf's warnings; its errors are for `sessions.judge`, register by register."""
    return once(
        (_WARNINGS.get(issue.code, OcmfCautionReason.OUTSIDE_SPECIFICATION), issue.message)
        for issue in issues
        if issue.severity == IssueSeverity.WARNING
        and issue.code != IssueCode.TIME_SYNC  # _clock_cautions is more exact
    )
