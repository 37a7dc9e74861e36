"""The short way through plain records: no doubt about anything, or no answer at all.

What passes here is billable and within the specification in every field; all else is pyocmf's.
A property test holds the answer against pyocmf's.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pyocmf.enums.identifiers import (
    ChargePointIdentificationType,
    IdentificationFlagIso15118,
    IdentificationFlagOCPP,
    IdentificationFlagPLMN,
    IdentificationFlagRFID,
    IdentificationType,
    UserAssignmentStatus,
)

from ..types import Rejected
from ._ocmf_fields import read_time, register_mwh
from ._ocmf_rules import CLOCKS, INVALID_LEVELS, register_rank

Found = tuple[list[dict[str, Any]], int, tuple[str, ...], list[str]]

_TEXTS = frozenset(("FV", "GI", "GS", "GV", "PG", "MV", "MM", "MS", "MF", "ID", "CI"))
_LIMITS = {"TT": 250, "CF": 25}  # characters (tables 4 and 5)
_CHOICES: dict[str, frozenset[str]] = {
    "IL": frozenset(UserAssignmentStatus) - frozenset(INVALID_LEVELS),
    "IT": frozenset(IdentificationType),
    "CT": frozenset(ChargePointIdentificationType) | {""},
}
_FLAGS = frozenset(
    (
        *IdentificationFlagRFID,
        *IdentificationFlagOCPP,
        *IdentificationFlagIso15118,
        *IdentificationFlagPLMN,
    )
)
_FORMATTED = frozenset(
    ("ISO15693", "EMAID", "EVCCID", "EVCOID", "ISO7812", "PHONE_NUMBER")
)  # identifiers whose form pyocmf checks; ISO14443, the common one, is checked here
_CARD = re.compile("[0-9a-fA-F]{8}(?:[0-9a-fA-F]{6})?")
_PAGINATION = re.compile("[TF](?:0|[1-9][0-9]*)")
_READING_KEYS = frozenset(("TM", "TX", "RV", "RI", "RU", "RT", "EF", "ST"))
_MARKS = frozenset(("B", "C", "S", "T", "E", "L", "R", "A", "P"))
_CLOSING = frozenset("ELRAP")


def plain(payload: dict[str, Any]) -> Found | None:
    """(readings, time of the last, no refusals, cautions) or None: ask pyocmf."""
    if not _plain_header(payload):
        return None
    try:
        readings = _plain_readings(payload["RD"])
    except Rejected:
        return None  # pyocmf's way names the reason
    if not readings or (payload["PG"][0] == "T" and not _plain_session(readings)):
        return None
    clocks = {reading["clock"] for reading in readings}
    cautions = [CLOCKS[clock].value for clock in sorted(clocks) if clock != "S"]
    return readings, readings[-1]["at"], (), sorted(cautions)


def _plain_header(payload: dict[str, Any]) -> bool:
    for key, value in payload.items():
        if key in _TEXTS:
            if type(value) is not str:
                return False
        elif key in _CHOICES:
            if type(value) is not str or value not in _CHOICES[key]:
                return False
        elif key == "IF":
            if type(value) is not list or len(value) > 4 or not all(map(_is_flag, value)):
                return False
        elif key in _LIMITS:
            if type(value) is not str or len(value) > _LIMITS[key]:
                return False
        elif key not in ("IS", "RD") and key[:1] not in ("U", "V", "W", "X", "Y", "Z"):
            return False
    if type(payload.get("IS")) is not bool or type(payload.get("RD")) is not list:
        return False
    paged = _PAGINATION.fullmatch(payload.get("PG", ""))
    return paged is not None and _plain_identity(payload.get("IT"), payload.get("ID"))


def _is_flag(value: object) -> bool:
    return type(value) is str and value in _FLAGS


def _plain_identity(kind: str | None, identity: str | None) -> bool:
    if not identity or kind is None:
        return True
    if kind == "ISO14443":
        return _CARD.fullmatch(identity) is not None
    return kind not in _FORMATTED


def _plain_readings(items: list[Any]) -> list[dict[str, Any]] | None:
    """Readings of one billable register in one unit, all in order; None at any doubt."""
    readings = []
    time = register = unit = status = first = None
    kind, flags, mark = "AC", "", None
    for item in items:
        if type(item) is not dict or not _READING_KEYS.issuperset(item):
            return None
        time, mark = item.get("TM", time), item.get("TX", mark)
        register, unit = item.get("RI", register), item.get("RU", unit)
        status, flags = item.get("ST", status), item.get("EF", flags)
        kind, value = item.get("RT", kind), item.get("RV")
        first = first or (register, unit)
        if (
            status != "G"
            or flags != ""
            or (register, unit) != first
            or type(register) is not str
            or not plain_register(register)
            or unit not in ("kWh", "Wh")
            or kind not in ("AC", "DC")
            or type(value) not in (int, Decimal)
            or not (mark is None or (type(mark) is str and mark in _MARKS))
            or not _plain_time(time)
        ):
            return None
        at, clock = read_time(time)
        mwh = register_mwh(value, unit)
        readings.append(
            {"at": at, "mark": mark or "", "register": mwh, "obis": register, "clock": clock}
            | {"status": "G", "flags": ""}
        )
    return readings


def _plain_time(time: object) -> bool:
    """Milliseconds, a zone and a known clock state, as the specification writes them."""
    return type(time) is str and len(time) == 30 and time[28] == " " and time[29] in "UISR"


def _plain_session(readings: list[dict[str, Any]]) -> bool:
    """Not a whole transaction, or one with one begin, one end and nothing running back."""
    begins = [reading for reading in readings if reading["mark"] == "B"]
    ends = [reading for reading in readings if reading["mark"] in _CLOSING]
    if not begins or not ends:
        return True
    begin, end = begins[0], ends[0]
    return (
        len(begins) == len(ends) == 1
        and begin["register"] <= end["register"]
        and begin["at"] <= end["at"]
        and (begin["clock"] != "R" or end["clock"] == "R")
    )


@lru_cache(maxsize=1_024)
def plain_register(obis: str) -> bool:
    """A billable register, written without ornament."""
    return register_rank(obis) > 0 and obis == obis.strip() and not obis.endswith("*")
