"""What the demonstration's tables are made of: rows that were seen or not, and exact euro."""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    """One thing that happened: in words, what it was answered with, by which reason or amount.

    seen: whether it really was answered so; what was not fails the demonstration.
    """

    words: str
    answer: str
    why: str
    seen: bool


def euro(amount_micro: int) -> str:
    """Micro-euro as euro text, exactly."""
    sign, digits = ("-" if amount_micro < 0 else ""), f"{abs(amount_micro):07d}"
    return f"{sign}{digits[:-6]}.{digits[-6:]} €"
