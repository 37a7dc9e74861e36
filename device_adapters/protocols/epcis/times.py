"""Reads the times of EPCIS events (xsd:dateTimeStamp: a zone is required)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from device_adapters.types import Reason, Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
OFFSET = re.compile(r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)", re.ASCII)  # EPCIS 2.0, section 7.3.2


@lru_cache(maxsize=4_096)
def read_time(text: str) -> int:
    """Unix microseconds, rounded to whole milliseconds (half to even, as the Event Hash wants).

    Rejected: time_malformed, time_without_zone.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise Rejected(Reason.TIME_MALFORMED, f"{text[:40]!r} is no date and time")
    if found[2] is None:
        raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time {text[:40]!r} has no zone")
    try:
        whole = datetime.fromisoformat(text.strip().replace("." + (found[1] or ""), "", 1))
    except ValueError:
        raise Rejected(Reason.TIME_MALFORMED, f"{text[:40]!r} is no date and time") from None
    micro = int((found[1] or "").ljust(6, "0")[:6])
    return round((whole - _EPOCH) // _MICROSECOND + micro, -3)


def in_utc(text: str) -> str:
    """The same instant with "Z" and milliseconds; what is no instant stays as it is."""
    try:
        moment = _EPOCH + timedelta(microseconds=read_time(text))
    except (Rejected, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
