"""From an SML file to its readings: its messages, and the lists of values in them.

A message is a list of six: transaction id, group, abort on error, [tag, body], CRC-16, end mark.
Only the body of GetList.Response (0x701) has readings; open and close (0x101, 0x201) frame them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from device_adapters.content import Content, Reading
from device_adapters.protocols.sml.elements import Reader
from device_adapters.protocols.sml.transport import START, as_bytes, crc16, crc16_kermit, payload
from device_adapters.registers import Register
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding

_OPEN, _CLOSE, _LIST = 0x0101, 0x0201, 0x0701
_COUNTS_UP = 8  # group D of a register that never falls below zero
_UNITS = {30: "Wh", 27: "W", 13: "m3", 33: "A", 35: "V", 44: "Hz", 8: "deg", 32: "varh", 29: "var"}
_MAX_SCALE = 9
_TIMESTAMP = 2  # of the choice SML_Time; 1 counts seconds since the meter started


class SmlCautionReason(StrEnum):
    """What an auditor should know about an SML file. Stable codes."""

    SIGN_OCTET_MISSING = "sign_octet_missing"  # a counter sent as a signed number, top bit set


def recognise(data: bytes) -> bool:
    """Return whether the bytes, raw or as hex text, hold the start of an SML file."""
    return START in data or START.hex().encode() in bytes(data[:400]).lower().translate(
        None, b" \t\r\n"
    )


def read(content: bytes) -> Content:
    """Return the readings of one SML file.

    Every value with a unit is a reading; the device is the meter's name (DIN 43863-5), read from
    the server id of its list. A value has a time only where the meter gives one as Unix seconds.

    Raises:
        Rejected: as `transport.payload`; MALFORMED, TOO_DEEP, WRONG_TYPE or READING_MISSING.
    """
    reader = Reader(payload(as_bytes(content)))
    readings: list[Reading] = []
    cautions: list[Finding] = []
    shown: dict[str, Any] = {"identifiers": {}, "statuses": {}}
    while not reader.at_end():
        tag, body = _message(reader)
        if tag == _LIST:
            readings += _list(body, shown, cautions)
        elif tag not in (_OPEN, _CLOSE):
            raise Rejected(Reason.MALFORMED, f"an SML message of kind {tag:#06x} has no readings")
    if not readings:
        raise Rejected(Reason.READING_MISSING, "the SML file has no value with a unit")
    return Content(tuple(readings), tuple(cautions), shown)


def _message(reader: Reader) -> tuple[int, Any]:
    start = reader.position
    reader.list_of(6)
    reader.element()  # transaction id
    reader.element()  # group
    reader.element()  # abort on error
    reader.list_of(2)
    tag, body = reader.element(), reader.element()
    covered = reader.data[start : reader.position]
    written = reader.element()
    if not isinstance(written, int) or written not in (
        int.from_bytes(crc16(covered).to_bytes(2, "little"), "big"),
        int.from_bytes(crc16_kermit(covered).to_bytes(2, "little"), "big"),
    ):
        raise Rejected(Reason.MALFORMED, "the CRC of an SML message does not match its bytes")
    reader.end_of_message()
    if not isinstance(tag, int):
        raise Rejected(Reason.WRONG_TYPE, "the kind of an SML message is not a number")
    return tag, body


def _list(body: Any, shown: dict[str, Any], cautions: list[Finding]) -> Iterator[Reading]:
    """Yield the values with a unit of one GetList.Response."""
    if not isinstance(body, list) or len(body) != 7 or not isinstance(body[4], list):
        raise Rejected(Reason.WRONG_TYPE, "a GetList.Response is not a list of seven")
    device, list_time = _server(body[1]), _time(body[3])
    for entry in body[4]:
        if not isinstance(entry, list) or len(entry) != 7:
            raise Rejected(Reason.WRONG_TYPE, "an entry of a list is not a list of seven")
        name, status, at, unit, scaler, value, _ = entry
        if not isinstance(name, bytes) or len(name) != 6:
            raise Rejected(Reason.WRONG_TYPE, "an entry of a list has no OBIS code of six bytes")
        register = Register(name)
        if unit is None or type(value) is not int:
            shown["identifiers"][register.text] = _plain(value)
            continue
        if status is not None:
            shown["statuses"][register.text] = _plain(status)
        if value < 0 and name[3] == _COUNTS_UP:
            value = _unsigned(value)
            detail = f"{register.text} counts up, and its sign octet is left out"
            cautions.append((SmlCautionReason.SIGN_OCTET_MISSING, detail))
        own_time = _time(at)
        yield Reading(
            device,
            own_time if own_time is not None else list_time,
            register.text,
            _scaled(value, scaler),
            _UNITS.get(unit, f"unit {unit}") if isinstance(unit, int) else "",
            obis=register,
        )


def _unsigned(value: int) -> int:
    """Return a number that was sent in its fewest octets without the one for the sign."""
    octets = next(size for size in range(1, 9) if value >= -(1 << 8 * size - 1))
    return value + (1 << 8 * octets)


def _scaled(value: int, scaler: Any) -> str:
    """Return value x 10^scaler as an exact decimal."""
    scale = 0 if scaler is None else scaler
    if type(scale) is not int or abs(scale) > _MAX_SCALE:
        raise Rejected(Reason.NUMBER_OUT_OF_RANGE, f"a scaler of {scaler!r:.20}")
    if scale >= 0:
        return str(value * 10**scale)
    digits = str(abs(value)).rjust(1 - scale, "0")
    return f"{'-' if value < 0 else ''}{digits[:scale]}.{digits[scale:]}"


def _time(choice: Any) -> int | None:
    """Return Unix ms of an SML_Time that is a timestamp; None for a counter of seconds."""
    if not isinstance(choice, list) or len(choice) != 2 or choice[0] != _TIMESTAMP:
        return None
    return choice[1] * 1000 if type(choice[1]) is int and choice[1] > 0 else None


def _server(identity: Any) -> str:
    """Return a meter's name: DIN 43863-5 ("1EMH0012345678"), else the id in hex."""
    if not isinstance(identity, bytes) or not identity:
        return ""
    medium, maker = identity[1:2], identity[2:5]
    if len(identity) == 10 and identity[0] == 0x0A and maker.isalpha() and maker.isascii():
        number = int.from_bytes(identity[6:], "big")
        return f"{medium[0]:X}{maker.decode()}{identity[5]:02X}{number:08d}"
    return identity.hex().upper()


def _plain(value: Any) -> Any:
    return (
        value.hex().upper() if isinstance(value, bytes) else value if value is None else str(value)
    )
