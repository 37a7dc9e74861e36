"""Fast decoder for plain records: an event without any warning, or no answer at all.

A record that passes here is billable and within the specification in every field, so no rule is
left to apply; pyocmf reads all others. A property test compares the answers with pyocmf's.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
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
from device_adapters.protocols.ocmf.rules import CLOCKS, INVALID_LEVELS
from device_adapters.protocols.ocmf.sections import ALGORITHMS, DEFAULT_ALGORITHM
from device_adapters.registers import Direction, choose, parse
from device_adapters.types import STREAM_BIT, Place, Rejected, Signed

# device, gateway, counter, time, facts, signed, place
Parts = tuple[str, str, int, int, dict[str, Any], Signed, Place | None]

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
_POINT = re.compile(r"[0-9A-Za-z*_.-]{1,40}")
_NAME = 100
_CLOSING = frozenset("ELRAP")
_ENERGY = (Direction.IMPORT, Direction.EXPORT)


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
    names = _names(payload)
    readings = _readings(payload.RD)
    if not paged or not names or not readings or not _known_identity(payload):
        return None
    stream, number = paged[1], int(paged[2])
    if number >> STREAM_BIT or not _sound(readings, stream):
        return None
    meter, gateway, point = names
    curve, digest = ALGORITHMS[(signature.SA or DEFAULT_ALGORITHM).lower()]
    der = bytes.fromhex(signature.SD)
    decode_dss_signature(der)
    clocks = {reading["clock"] for reading in readings}
    facts = {
        "readings": readings,
        "format": (payload.FV or "").strip(),
        "meter": meter,
        "gateway": gateway,
        "charge_point": point,
        "pagination": payload.PG,
        "tariff": (payload.TT or "").strip(),
        "cautions": sorted(CLOCKS[clock].value for clock in clocks if clock != "S"),
    }
    counter = number | (stream == "F") << STREAM_BIT
    device, at = meter or gateway, readings[-1]["at"]
    signer = gateway if gateway != device else ""
    signed = Signed(content, der, curve, digest)
    return device, signer, counter, at, facts, signed, place_of(meter, point)


def _names(payload: PlainPayload) -> tuple[str, str, str] | None:
    """Return meter, gateway and charge point where all are plain and one of the first is there."""
    meter, gateway = payload.MS or "", payload.GS or ""
    kind, point = payload.CT or "", payload.CI or ""
    if not (meter or gateway) or not (_is_plain(meter) and _is_plain(gateway)):
        return None
    if not kind or not point:
        return meter, gateway, ""
    return (meter, gateway, f"{kind}:{point}") if _POINT.fullmatch(point) else None


def _is_plain(name: str) -> bool:
    return name.isascii() and len(name) <= _NAME and (not name or name.replace("-", "").isalnum())


def _known_identity(payload: PlainPayload) -> bool:
    identity, kind = payload.ID, payload.IT
    if not identity:
        return True
    return _CARD.fullmatch(identity) is not None if kind == "ISO14443" else kind not in _FORMATTED


def _readings(items: list[PlainReading]) -> list[dict[str, Any]] | None:
    """Return the readings of energy in one unit, or None for any other record."""
    time = mark = register = unit = status = first = UNSET
    readings = []
    for item in items:
        time = item.TM if item.TM is not UNSET else time
        mark = item.TX if item.TX is not UNSET else mark
        register = item.RI if item.RI is not UNSET else register
        unit = item.RU if item.RU is not UNSET else unit
        status = item.ST if item.ST is not UNSET else status
        first = first or unit
        if UNSET in (time, register, unit, status, item.RV) or unit != first:
            return None
        code = plain_register(register)
        if not _regular_time(time) or not code:
            return None
        at, clock = read_time(time)
        readings.append(
            {
                "at": at,
                "clock": clock,
                "mark": mark or "",
                "status": "G",
                "flags": "",
                "register": _milliwatt_hours(bytes(item.RV), _DECIMALS[unit]),
                "unit": unit,
                "obis": code,
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


def _sound(readings: list[dict[str, Any]], stream: str) -> bool:
    """Return whether `sessions.judge` finds nothing in a record, in whichever direction."""
    by_register: dict[str, list[dict[str, Any]]] = {}
    for reading in readings:
        by_register.setdefault(reading["obis"], []).append(reading)
    if len(by_register) > 1:
        registers = [register for code in by_register if (register := parse(code))]
        for direction in {register.direction for register in registers}:
            if choose(registers, direction) is None:
                return False
    return all(_sound_session(own, stream) for own in by_register.values())


def _sound_session(readings: list[dict[str, Any]], stream: str) -> bool:
    """Return whether the readings of one register do not contradict each other."""
    for before, after in pairwise(readings):
        if before["register"] > after["register"] or before["at"] > after["at"]:
            return False
    begin, end = readings[0], readings[-1]
    if stream == "F" or begin is end:
        return True
    marks = [reading["mark"] for reading in readings]
    if not any(marks):
        return True
    if "" in marks or "B" in marks[1:] or not _CLOSING.isdisjoint(marks[:-1]):
        return False
    both = marks[0] == "B" and marks[-1] in _CLOSING
    return not both or begin["clock"] != "R" or end["clock"] == "R"


def _has_key_twice(payload: PlainPayload, content: bytes) -> bool:
    """Return whether the text has more keys (or texts that look like keys) than the payload."""
    keys = sum(map(_written, payload.RD), _written(payload))
    return content.count(b'":') != keys


def _written(struct: Struct) -> int:
    values = astuple(struct)
    return len(values) - values.count(UNSET)


@lru_cache(maxsize=1_024)
def plain_register(obis: str) -> str:
    """Return the canonical code of a register of energy in its plain form; "" for any other."""
    register = parse(obis)
    plain_form = register is not None and " " not in obis and register.direction in _ENERGY
    return register.text if register is not None and plain_form else ""
