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
    """Return Unix microseconds, rounded to whole milliseconds (half to even: CBV 2.0, section 8.9).

    Raises:
        Rejected: TIME_MALFORMED or TIME_WITHOUT_ZONE.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise Rejected(Reason.TIME_MALFORMED, f"{text[:40]!r} is not a date and time")
    if match[2] is None:
        raise Rejected(Reason.TIME_WITHOUT_ZONE, f"the time {text[:40]!r} has no zone")
    try:
        whole = datetime.fromisoformat(text.strip().replace("." + (match[1] or ""), "", 1))
    except ValueError:
        raise Rejected(Reason.TIME_MALFORMED, f"{text[:40]!r} is not a date and time") from None
    micro = int((match[1] or "").ljust(6, "0")[:6])
    return round((whole - _EPOCH) // _MICROSECOND + micro, -3)


def in_utc(text: str) -> str:
    """Return the instant with "Z" and milliseconds; any other text is returned unchanged."""
    try:
        moment = _EPOCH + timedelta(microseconds=read_time(text))
    except (Rejected, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
