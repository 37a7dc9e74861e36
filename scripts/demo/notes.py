"""The rows of the demonstration's tables, and exact euro."""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    """One row: what happened, the expected answer, and its reason or amount.

    Attributes:
        seen: whether the answer really came; if not, the demonstration fails.
    """

    words: str
    answer: str
    why: str
    seen: bool


def euro(amount_micro: int) -> str:
    """Return micro-euro as exact text in euro."""
    sign, digits = ("-" if amount_micro < 0 else ""), f"{abs(amount_micro):07d}"
    return f"{sign}{digits[:-6]}.{digits[-6:]} €"
