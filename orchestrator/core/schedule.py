"""When an agreement settles: the 64 bits of the mandate, as contracts/libraries/Schedules.sol.

From the lowest bit: 16 bits records, 16 bits minutes, 24 bits cents, 8 bits flags. What is complete
settles as soon as one of the parts that are set is reached; 0: at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from orchestrator.core.chart import euro_text

_SESSION_END, _DAY_CLOSE = 1 << 56, 1 << 57
_LIMITS = {"records": 16, "minutes": 16, "cents": 24}  # bits, from the lowest on
AT_ONCE = "at once"


@dataclass(frozen=True, slots=True)
class SettlementSchedule:
    """The parts of a schedule; 0 and False: that part does not count."""

    records: int = 0
    minutes: int = 0
    cents: int = 0
    session_end: bool = False
    day_close: bool = False

    def pack(self) -> int:
        """Return the mandate's number; raises ValueError if a part is out of range."""
        number, shift = 0, 0
        for name, bits in _LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name} is {value}, and the most is {(1 << bits) - 1}")
            number |= value << shift
            shift += bits
        return number | self.session_end * _SESSION_END | self.day_close * _DAY_CLOSE


def unpack(number: int) -> SettlementSchedule:
    """Return the schedule of a mandate's number; raises ValueError if it has an unknown flag."""
    if not 0 <= number < _DAY_CLOSE << 1:
        raise ValueError(f"the schedule {number} has a flag that is not known")
    values, shift = {}, 0
    for name, bits in _LIMITS.items():
        values[name] = number >> shift & ((1 << bits) - 1)
        shift += bits
    flags = {"session_end": bool(number & _SESSION_END), "day_close": bool(number & _DAY_CLOSE)}
    return SettlementSchedule(**values, **flags)


def parse(text: str) -> int:
    """Return the number of a schedule as people type it, as in "records=10,minutes=60,session".

    Args:
        text: records=N, minutes=N, amount=EURO, session and day, with commas between; "": at once.

    Raises:
        ValueError: A part is not known, is given twice, or is out of range.
    """
    values: dict[str, int | bool] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        name, equals, value = part.partition("=")
        known = _PARTS.get(name)
        if known is None or bool(equals) != (known[1] is not None):
            raise ValueError(
                f"{part!r} is none of records=N, minutes=N, amount=EURO, session and day"
            )
        field, read = known
        if field in values:
            raise ValueError(f"{name} is given twice")
        values[field] = read(value) if read else True
    return SettlementSchedule(**values).pack()


def describe(number: int) -> str:
    """Return a schedule in words, as in "10 records, 60 minutes or 5.00 EUR"."""
    schedule = unpack(number)
    parts = [
        *([f"{schedule.records} records"] if schedule.records else []),
        *([f"{schedule.minutes} minutes"] if schedule.minutes else []),
        *([euro_text(schedule.cents)] if schedule.cents else []),
        *(["the end of a session"] if schedule.session_end else []),
        *(["the end of a day"] if schedule.day_close else []),
    ]
    if not parts:
        return AT_ONCE
    *others, last = parts
    return f"after {', '.join(others)} or {last}" if others else f"after {last}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{text!r} is no whole number above 0")
    return int(text)


def _cents(text: str) -> int:
    try:
        cents = Decimal(text) * 100
    except InvalidOperation:
        cents = Decimal(0)
    if not cents.is_finite() or cents <= 0 or cents != cents.to_integral_value():
        raise ValueError(f"{text!r} is no amount in euro and cents")
    return int(cents)


# as people type it -> (field, what reads its value; None: it has none)
_PARTS: dict[str, tuple[str, Callable[[str], int] | None]] = {
    "records": ("records", _count),
    "minutes": ("minutes", _count),
    "amount": ("cents", _cents),
    "session": ("session_end", None),
    "day": ("day_close", None),
}
