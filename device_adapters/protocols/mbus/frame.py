"""From a long frame of wired M-Bus to its readings.

    68 L L 68 C A CI  header of 12 bytes  records  checksum 16       (EN 13757-2, EN 13757-3)

The checksum is the sum of the bytes from C on, modulo 256. Only a present, total value of an
electricity meter becomes a register: no earlier storage, no tariff, no maximum, and of the
extensions only "forward" and "backward" contributions. All other records are shown only.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import meterbus
from meterbus.core_objects import DataEncoding, FunctionType, VIFTable

from device_adapters.content import Content, Reading
from device_adapters.registers import Register
from device_adapters.types import Reason, Rejected

_LONG, _STOP, _ELECTRICITY = 0x68, 0x16, 0x02
_SHORTEST = 21  # with a header of 12 bytes and no record
_FORWARD, _BACKWARD = 0x3B, 0x3C  # extensions of a unit (VIFE)
_VOLUME_END = 0x17  # the codes up to it count up: Wh, J and m3
_KINDS = {FunctionType.INSTANTANEOUS_VALUE}
_UNITS = {"Wh": "Wh", "J": "J", "m^3": "m3"}
_GROUP_OF = {None: 1, _FORWARD: 1, _BACKWARD: 2}
_ERRORS = 0x1F & ~0x04  # application error, permanent or temporary error; not "power low"


def as_bytes(content: bytes) -> bytes:
    """Return the raw bytes of a frame: as they are, or from hex text with any white space."""
    if content[:1] == bytes([_LONG]) and len(content) > 3 and content[3] == _LONG:
        return content
    try:
        return bytes.fromhex(content.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return content


def is_frame(data: bytes) -> bool:
    """Return whether the bytes begin like a long frame."""
    return len(data) > 6 and data[0] == data[3] == _LONG and data[1] == data[2]


def read_frame(data: bytes) -> Content:
    """Return the readings of one long frame; Rejected as in `reading.read`."""
    _check_frame(data)
    try:
        telegram = meterbus.load(data)
        header, records = telegram.body.bodyHeader, telegram.records
        device = f"{header.manufacturer_field.decodeManufacturer}{_serial(data[7:11])}"
        medium, status = data[14], data[16]
    except Rejected:
        raise
    except Exception as error:  # the library raises what its slices and tables raise
        raise Rejected(Reason.MALFORMED, f"the records of the frame: {error}"[:200]) from None
    shown: dict[str, Any] = {"medium": medium, "status": status, "records": []}
    readings = tuple(_readings(records, device, medium, not status & _ERRORS, shown))
    if not readings:
        raise Rejected(Reason.READING_MISSING, "the frame has no record that counts up")
    return Content(readings, (), shown)


def _check_frame(data: bytes) -> None:
    """Raise Rejected unless lengths and end are those of one frame; the library sums it up."""
    if not is_frame(data):
        raise Rejected(Reason.MALFORMED, "not a long frame (68 L L 68) of M-Bus")
    if len(data) < max(data[1] + 6, _SHORTEST):
        raise Rejected(Reason.TRUNCATED, f"{len(data)} bytes of a frame of {data[1] + 6}")
    if len(data) > data[1] + 6 or data[-1] != _STOP:
        raise Rejected(Reason.MALFORMED, "bytes follow the frame, or its end (16) is missing")
    if data[6] != 0x72:
        raise Rejected(Reason.MALFORMED, f"CI field {data[6]:02x}: only variable data (72) is read")
    if data[17] or data[18]:
        raise Rejected(Reason.MALFORMED, "the frame is encrypted: decrypt it at the gateway")


def _readings(
    records: list[Any], device: str, medium: int, usable: bool, shown: dict[str, Any]
) -> Iterator[Reading]:
    for record in records:
        try:
            counted = _value(record, medium)
            if counted is None:
                shown["records"].append(_described(record))
                continue
        except Rejected:
            raise
        except Exception as error:  # as in read_frame
            raise Rejected(Reason.MALFORMED, f"a record of the frame: {error!r}"[:200]) from None
        register, name, value, unit = counted
        yield Reading(device, None, name, value, unit, usable, register)


def _value(record: Any, medium: int) -> tuple[Register | None, str, str, str] | None:
    """Return (register, name, value, unit) of a present value that counts up; else None."""
    codes = record.vib.parts
    if not codes or not 0 <= codes[0] & 0x7F <= _VOLUME_END:
        return None
    extension = codes[1] & 0x7F if len(codes) == 2 else None
    storage, tariff, unit_number = record.dib.parse_dife()
    if len(codes) > 2 or extension not in _GROUP_OF or record.dib.function_type not in _KINDS:
        return None
    if storage or tariff or unit_number:
        return None
    multiplier, unit, kind = VIFTable.lut[codes[0] & 0x7F]
    number = _number(record)
    if number is None:
        return None
    value = f"{(Decimal(number) * Decimal(repr(multiplier))).normalize():f}"
    register = None
    if medium == _ELECTRICITY and unit.value == "Wh":
        register = Register(bytes([1, 0, _GROUP_OF[extension], 8, 0, 255]))
    name = register.text if register else str(kind).partition(".")[2].lower()
    return register, name, value, _UNITS[unit.value]


def _number(record: Any) -> int | None:
    """Return the whole number of a record; None for text, a real number or the mark of an error."""
    length, encoding = record.dib.length_encoding
    digits = list(record.dataField.parts)
    if len(digits) != length or not digits:
        return None
    if encoding is DataEncoding.ENCODING_INTEGER:
        return int.from_bytes(bytes(digits), "little", signed=True)
    if encoding is DataEncoding.ENCODING_BCD:
        text = bytes(reversed(digits)).hex()
        sign, number = (-1, text[1:]) if text[0] == "f" else (1, text)  # EN 13757-3, annex B
        return sign * int(number) if number.isdecimal() else None  # a letter marks an error
    return None


def _serial(digits: bytes) -> str:
    """Return the meter's number from BCD, least byte first; Rejected where a digit is none."""
    text = digits[::-1].hex()
    if not text.isdecimal():
        raise Rejected(Reason.DEVICE_MISSING, f"the meter's number {text} is not decimal (BCD)")
    return text


def _described(record: Any) -> dict[str, str]:
    try:
        return {key: str(value)[:80] for key, value in record.interpreted.items()}
    except Exception:  # a record that the library cannot name is shown as it is
        return {"raw": str(record.dataField)[:80]}
