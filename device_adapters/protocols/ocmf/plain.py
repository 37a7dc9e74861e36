"""Fast decoder for plain records: an event without any warning, or no answer at all.

A record that passes here is billable and within the specification in every field, so no rule is
left to apply; pyocmf reads all others. A property test compares the answers with pyocmf's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder
from msgspec.structs import astuple
from pyocmf.enums.identifiers import (
    ChargePointIdentificationType,
    IdentificationFlagIso15118,
    IdentificationFlagOCPP,
    IdentificationFlagPLMN,
    IdentificationFlagRFID,
    IdentificationType,
    UserAssignmentStatus,
)

from device_adapters.protocols.ocmf.fields import place_of, read_time
from device_adapters.protocols.ocmf.rules import CLOCKS, INVALID_LEVELS, register_rank
from device_adapters.protocols.ocmf.sections import ALGORITHMS, DEFAULT_ALGORITHM
from device_adapters.types import STREAM_BIT, Place, Rejected, Signed

# device, counter, time, facts, signed, place
Parts = tuple[str, int, int, dict[str, Any], Signed, Place | None]

_LEVELS = tuple(level.value for level in UserAssignmentStatus if level not in INVALID_LEVELS)
_KINDS = tuple(kind.value for kind in IdentificationType)
_POINTS = ("", *(kind.value for kind in ChargePointIdentificationType))
_FLAGS = tuple(
    flag.value
    for group in (
        IdentificationFlagRFID,
        IdentificationFlagOCPP,
        IdentificationFlagIso15118,
        IdentificationFlagPLMN,
    )
    for flag in group
)
_CARD = re.compile("[0-9a-fA-F]{8}(?:[0-9a-fA-F]{6})?")
# identifiers whose form pyocmf checks; ISO14443, the common one, is checked here
_FORMATTED = {"ISO15693", "EMAID", "EVCCID", "EVCOID", "ISO7812", "PHONE_NUMBER"}
_PAGINATION = re.compile("([TF])(0|[1-9][0-9]{0,10})")
_DECIMALS = {"kWh": 6, "Wh": 3}  # of a milliwatt-hour
_CLOSING = frozenset("ELRAP")


class PlainReading(Struct, forbid_unknown_fields=True):
    """One reading (RD) of a plain record, with the names of the specification."""

    TM: str | UnsetType = UNSET
    TX: Literal["B", "C", "S", "T", "E", "L", "R", "A", "P"] | UnsetType = UNSET
    RV: Raw | UnsetType = UNSET
    RI: str | UnsetType = UNSET
    RU: Literal["kWh", "Wh"] | UnsetType = UNSET
    RT: Literal["AC", "DC"] | UnsetType = UNSET
    EF: Literal[""] | UnsetType = UNSET
    ST: Literal["G"] | UnsetType = UNSET


class PlainPayload(Struct, forbid_unknown_fields=True):
    """The payload of a plain record, with the names of the specification."""

    PG: str
    IS: bool
    RD: list[PlainReading]
    FV: str | UnsetType = UNSET
    GI: str | UnsetType = UNSET
    GS: str | UnsetType = UNSET
    GV: str | UnsetType = UNSET
    MV: str | UnsetType = UNSET
    MM: str | UnsetType = UNSET
    MS: str | UnsetType = UNSET
    MF: str | UnsetType = UNSET
    IL: Literal[_LEVELS] | UnsetType = UNSET
    IF: Annotated[list[Literal[_FLAGS]], Meta(max_length=4)] | UnsetType = UNSET
    IT: Literal[_KINDS] | UnsetType = UNSET
    ID: str | UnsetType = UNSET
    TT: Annotated[str, Meta(max_length=250)] | UnsetType = UNSET
    CF: Annotated[str, Meta(max_length=25)] | UnsetType = UNSET
    CT: Literal[_POINTS] | UnsetType = UNSET
    CI: str | UnsetType = UNSET


class _Signature(Struct, forbid_unknown_fields=True):
    SD: str
    SA: str | UnsetType = UNSET
    SE: Literal["hex"] | UnsetType = UNSET
    SM: Literal["application/x-der"] | UnsetType = UNSET


_PAYLOAD, _SIGNATURE = Decoder(PlainPayload), Decoder(_Signature)


def plain(record: bytes) -> Parts | None:
    """Return the parts of a plain record, or None if pyocmf must read it."""
    pipe = record.find(b"}|{") + 1
    # without escapes, a string cannot contain a quote, so each key is exactly one '":'
    if record[:6] != b"OCMF|{" or not pipe or b"\\" in record:
        return None
    content = record[5:pipe]
    try:
        payload, signature = _PAYLOAD.decode(content), _SIGNATURE.decode(record[pipe + 1 :])
        if _has_key_twice(payload, content) or record.count(b'":', pipe) != _written(signature):
            return None
        return _parts(payload, content, signature)
    except (DecodeError, Rejected, KeyError, ValueError, RecursionError):
        return None  # pyocmf's path gives the reason


def _parts(payload: PlainPayload, content: bytes, signature: _Signature) -> Parts | None:
    paged = _PAGINATION.fullmatch(payload.PG)
    device = _device(payload)
    readings = _readings(payload.RD)
    if not paged or not device or not readings or not _known_identity(payload):
        return None
    stream, number = paged[1], int(paged[2])
    if number >> STREAM_BIT or (stream == "T" and not _sound_session(readings)):
        return None
    curve, digest = ALGORITHMS[(signature.SA or DEFAULT_ALGORITHM).lower()]
    der = bytes.fromhex(signature.SD)
    decode_dss_signature(der)
    clocks = {reading["clock"] for reading in readings}
    facts = {
        "readings": readings,
        "format": (payload.FV or "").strip(),
        "meter": (payload.MS or "").strip(),
        "gateway": (payload.GS or "").strip(),
        "pagination": payload.PG,
        "tariff": (payload.TT or "").strip(),
        "cautions": sorted(CLOCKS[clock].value for clock in clocks if clock != "S"),
    }
    counter = number | (stream == "F") << STREAM_BIT
    place = place_of(payload.MS or "", payload.CT or "", payload.CI or "")
    return device, counter, readings[-1]["at"], facts, Signed(content, der, curve, digest), place


def _device(payload: PlainPayload) -> str:
    name = payload.MS or payload.GS or ""
    return name if name.isalnum() or name.replace("-", "").isalnum() else ""


def _known_identity(payload: PlainPayload) -> bool:
    identity, kind = payload.ID, payload.IT
    if not identity:
        return True
    return _CARD.fullmatch(identity) is not None if kind == "ISO14443" else kind not in _FORMATTED


def _readings(items: list[PlainReading]) -> list[dict[str, Any]] | None:
    """Return the readings of one billable register in one unit, or None for any other record."""
    time = mark = register = unit = status = first = UNSET
    readings = []
    for item in items:
        time = item.TM if item.TM is not UNSET else time
        mark = item.TX if item.TX is not UNSET else mark
        register = item.RI if item.RI is not UNSET else register
        unit = item.RU if item.RU is not UNSET else unit
        status = item.ST if item.ST is not UNSET else status
        first = first or (register, unit)
        if UNSET in (time, register, unit, status, item.RV) or (register, unit) != first:
            return None
        if not _regular_time(time) or not plain_register(register):
            return None
        at, clock = read_time(time)
        readings.append(
            {
                "at": at,
                "mark": mark or "",
                "register": _milliwatt_hours(bytes(item.RV), _DECIMALS[unit]),
                "obis": register,
                "clock": clock,
                "status": "G",
                "flags": "",
            }
        )
    return readings


def _milliwatt_hours(token: bytes, decimals: int) -> int:
    """Return exact mWh; ValueError unless plain digits with at most `decimals` decimals."""
    whole, _, fraction = token.partition(b".")
    if not whole.isdigit() or len(whole) > 12 or len(fraction) > decimals:
        raise ValueError(token)
    return int(whole + fraction.ljust(decimals, b"0"))


def _regular_time(time: str) -> bool:
    """Milliseconds, a zone and a known clock state, as the specification writes them."""
    return len(time) == 30 and time[28] == " " and time[29] in "UISR"


def _sound_session(readings: list[dict[str, Any]]) -> bool:
    """Return whether begin and end, if both are there, do not contradict each other."""
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


def _has_key_twice(payload: PlainPayload, content: bytes) -> bool:
    """Return whether the text has more keys (or texts that look like keys) than the payload."""
    keys = sum(map(_written, payload.RD), _written(payload))
    return content.count(b'":') != keys


def _written(struct: Struct) -> int:
    values = astuple(struct)
    return len(values) - values.count(UNSET)


@lru_cache(maxsize=1_024)
def plain_register(obis: str) -> bool:
    """Return whether a register is billable and written in its plain form."""
    return register_rank(obis) > 0 and obis == obis.strip() and not obis.endswith("*")
