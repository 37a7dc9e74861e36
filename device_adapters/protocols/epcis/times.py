"""Reads the times of EPCIS events (xsd:dateTimeStamp: a zone is required)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from device_adapters.types import Reason, Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ZONE = r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)"  # XSD 1.1, 3.3.7; EPCIS 2.0, section 7.3.2
_FORM = re.compile(
    rf"(\d{{4}}-\d\d-\d\dT)(\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|{_ZONE})?",
    re.ASCII,
)
OFFSET = re.compile(_ZONE, re.ASCII)
_MIDNIGHT = ("24:00:00", "00:00:00")  # the first is that of the next day (XSD 1.1, 3.3.7)


@lru_cache(maxsize=4_096)
def read_time(text: str) -> int:
    """Return Unix microseconds, rounded to whole milliseconds (half to even: CBV 2.0, section 8.9).

    A fraction may have any number of digits; those after the sixth do not count.

    Raises:
        Rejected: TIME_MALFORMED or TIME_WITHOUT_ZONE.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise Rejected(Reason.TIME_MALFORMED, f"{text[:40]!r} is not a date and time")
    day, clock, fraction, zone = match.groups()
    if zone is None:
        raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time {text[:40]!r} has no zone")
    try:
        is_next_day = clock == _MIDNIGHT[0] and not (fraction or "").strip("0")
        moment = datetime.fromisoformat(f"{day}{_MIDNIGHT[1] if is_next_day else clock}{zone}")
        whole = moment + timedelta(days=is_next_day)
        since = (whole - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise Rejected(Reason.TIME_MALFORMED, f"{text[:40]!r} is not a date and time") from None
    micro = int((fraction or "").ljust(6, "0")[:6])
    return round(since + micro, -3)


def in_utc(text: str) -> str:
    """Return the instant with "Z" and milliseconds; any other text is returned unchanged."""
    try:
        moment = _EPOCH + timedelta(microseconds=read_time(text))
    except (Rejected, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
