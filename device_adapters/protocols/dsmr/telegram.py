"""From a P1 telegram to its readings.

A telegram is a line "/XXX5..." with the meter's type, lines "A-B:C.D.E(value)(value*unit)" with
decimal OBIS codes, and "!" with the CRC-16 (polynomial x16+x15+x2+1, least significant bit first)
over everything from "/" to "!" (P1 companion standard 5.0.2, section 5.2). Telegrams before
version 4 have no CRC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from device_adapters.content import Content, Reading
from device_adapters.registers import Register, parse
from device_adapters.types import Reason, Rejected
from device_adapters.verdicts import Finding

MAX_BYTES = 16 * 1024
_LINE = re.compile(r"(\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3})((?:\([^()]*\))+)", re.ASCII)
_VALUE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\*([A-Za-z0-9]{1,8})", re.ASCII)
_TIME = re.compile(r"(\d{12})([SW])", re.ASCII)
_HEAD = re.compile(rb"/[ -~]{3,}")
_ZONES = {"S": timezone(timedelta(hours=2)), "W": timezone(timedelta(hours=1))}  # CEST, CET
_VERSIONS, _CLOCK, _METER = {"1-3:0.2.8", "0-0:96.1.4"}, "0-0:1.0.0", ("0-0:96.1.1", "0-0:42.0.0")
_SUB_METER = re.compile(r"0-([1-4]):96\.1\.[0-2]")
_SUB_READING = re.compile(r"0-([1-4]):24\.2\.[13]")
_IMPORT, _EXPORT = ("1-0:1.8.1", "1-0:1.8.2"), ("1-0:2.8.1", "1-0:2.8.2")
_TOTALS = (("1-0:1.8.0", _IMPORT), ("1-0:2.8.0", _EXPORT))
_IDENTITY = {"1-3:0.2.8", "0-0:96.1.4", "0-0:1.0.0", "0-0:96.1.1", "0-0:42.0.0"}


class DsmrCautionReason(StrEnum):
    """What an auditor should know about a telegram. Stable codes."""

    NO_CHECKSUM = "no_checksum"  # before version 4: a bit may have flipped
    TOTAL_OF_TARIFFS = "total_of_tariffs"  # the sum of the registers of both tariffs


def recognise(data: bytes) -> bool:
    """Return whether the bytes look like a telegram, even a broken one."""
    start = data.lstrip(b"\r\n\0 \t")
    return _HEAD.match(start) is not None and b"(" in start and b"-" in start


def read(content: bytes) -> Content:
    """Return the readings of one telegram.

    Values that count up are readings with their unit; the meter's time is the telegram's, and a
    gas or water meter behind it has its own name and time. Where the meter has a register for each
    of two tariffs and none for the total, their sum is the total, with a caution.

    Raises:
        Rejected: TOO_LARGE, NOT_UTF8, EMPTY, TRUNCATED (no "!"), MALFORMED (also for a wrong CRC),
            TIME_MALFORMED or READING_MISSING.
    """
    text, cautions = _text_of(content)
    fields = dict(_lines(text))
    at_ms = _time(fields[_CLOCK][0]) if _CLOCK in fields else None
    device = next((_name(fields[code][0]) for code in _METER if code in fields), "")
    readings = [*_own(fields, device, at_ms, cautions), *_behind(fields)]
    if not readings:
        raise Rejected(Reason.READING_MISSING, "the telegram has no register with a unit")
    return Content(tuple(readings), tuple(cautions), _shown(text, fields))


def _text_of(content: bytes) -> tuple[str, list[Finding]]:
    if len(content) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"a telegram of more than {MAX_BYTES} bytes")
    body = content.strip(b"\r\n\0 \t")
    if not body:
        raise Rejected(Reason.EMPTY, "the telegram is empty")
    end = body.rfind(b"!")
    if not body.startswith(b"/") or end < 0:
        detail = 'a telegram begins with "/" and ends with "!": this is a part of one'
        raise Rejected(Reason.TRUNCATED, detail)
    cautions: list[Finding] = []
    if written := body[end + 1 :].strip():
        _check_crc(content.lstrip(b"\r\n\0 \t"), written)
    else:
        cautions.append((DsmrCautionReason.NO_CHECKSUM, "the telegram has no CRC (before DSMR 4)"))
    try:
        return body[:end].decode("ascii"), cautions
    except UnicodeDecodeError:
        raise Rejected(Reason.NOT_UTF8, "the telegram is not ASCII") from None


def _check_crc(telegram: bytes, written: bytes) -> None:
    """Raise Rejected unless the CRC is that of the bytes; line ends may have been changed."""
    covered = telegram[: telegram.rfind(b"!") + 1]
    as_sent = covered.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    expected = {f"{_crc16(data):04X}" for data in (covered, as_sent)}
    if written.decode("ascii", "replace").upper() not in expected:
        raise Rejected(Reason.MALFORMED, f"the CRC {written[:8]!r} is not that of the telegram")


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (code, values) of each data line; the same code twice is refused."""
    seen = set()
    for line in text.splitlines()[1:]:
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            if line.lstrip().startswith("("):
                continue  # DSMR 2.2 and 3 write a gas reading on a line of its own: shown only
            raise Rejected(Reason.MALFORMED, f"not a line of a telegram: {line.strip()[:60]!r}")
        code = match[1]
        if code in seen and not code.startswith("1-0:99."):
            raise Rejected(Reason.DUPLICATE_KEY, f"{code} stands twice")
        seen.add(code)
        yield code, match[2][1:-1].split(")(")


def _own(
    fields: dict[str, list[str]], device: str, at_ms: int | None, cautions: list[Finding]
) -> Iterator[Reading]:
    """Yield the meter's own values, then the totals that follow from its tariffs."""
    values = {}
    for code, items in fields.items():
        match = _VALUE.fullmatch(items[0]) if code.startswith("1-") and len(items) == 1 else None
        register = parse(code, decimal=True)
        if match and register:
            values[code] = match[1], match[2]
            yield Reading(device, at_ms, register.text, _plain(match[1]), match[2], obis=register)
    for total, tariffs in _TOTALS:
        if total in values or not all(code in values for code in tariffs):
            continue
        units = {values[code][1] for code in tariffs}
        if len(units) == 1:
            register = parse(total, decimal=True)
            amount = _sum([values[code][0] for code in tariffs])
            detail = f"{total} is the sum of {' and '.join(tariffs)}"
            cautions.append((DsmrCautionReason.TOTAL_OF_TARIFFS, detail))
            yield _total(device, at_ms, register, amount, units.pop())


def _total(
    device: str, at_ms: int | None, register: Register | None, amount: str, unit: str
) -> Reading:
    assert register is not None, "the codes of the totals are constants"
    return Reading(device, at_ms, register.text, amount, unit, obis=register)


def _plain(number: str) -> str:
    """Return a decimal without the zeros that fill its places in front."""
    whole, point, fraction = number.partition(".")
    return f"{int(whole)}{point}{fraction}"


def _sum(numbers: list[str]) -> str:
    """Return the exact sum of decimals, with as many decimals as the longest has."""
    places = max(len(number.partition(".")[2]) for number in numbers)
    total = sum(
        int(whole + fraction.ljust(places, "0"))
        for whole, _, fraction in (number.partition(".") for number in numbers)
    )
    digits = str(total).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def _behind(fields: dict[str, list[str]]) -> Iterator[Reading]:
    """Yield the readings of the meters behind this one (M-Bus channels 1 to 4: gas, water)."""
    names = {m[1]: _name(v[0]) for c, v in fields.items() if (m := _SUB_METER.fullmatch(c))}
    for code, items in fields.items():
        channel = _SUB_READING.fullmatch(code)
        match = _VALUE.fullmatch(items[-1]) if channel and len(items) == 2 else None
        if channel and match:
            name = names.get(channel[1], "")
            yield Reading(name, _time(items[0]), code, _plain(match[1]), match[2])


def _time(text: str) -> int:
    """Return Unix ms of YYMMDDhhmmssX; X is S in summer (UTC+2) and W in winter (UTC+1)."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        local = datetime.strptime(match[1], "%y%m%d%H%M%S")
        moment = local.replace(tzinfo=_ZONES[match[2]]).astimezone(UTC)
    except ValueError:
        detail = f"the time {text[:20]!r} is not YYMMDDhhmmss with S or W"
        raise Rejected(Reason.TIME_MALFORMED, detail) from None
    return int(moment.timestamp()) * 1000


def _name(text: str) -> str:
    """Return an equipment identifier, which is hex of ASCII, as text; else as it is written."""
    try:
        name = bytes.fromhex(text).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        name = text
    return name.strip() if name.isprintable() else text.strip()


def _shown(text: str, fields: dict[str, list[str]]) -> dict[str, Any]:
    version = next((fields[code][0] for code in _VERSIONS if code in fields), "")
    others = {
        code: " ".join(items)[:200] for code, items in fields.items() if code not in _IDENTITY
    }
    return {"type": text.splitlines()[0][1:].strip(), "version": version, "lines": others}
