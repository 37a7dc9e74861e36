"""A simulated device on credit: it works for the days that typed tokens gave it (OpenPAYGO Token).

A real one has only its key, its count and a keypad. Nothing of the rail reaches it but digits.
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.effect import UnlockMode
from orchestrator.core.unlock import MAX_DAYS, WINDOW, UnlockKey, digits_of, starting_code

_OLDER = 16  # counts back at which a token that adds time is still taken once
_VALUES = 1_000


class LockAnswer(StrEnum):
    """What the device shows for digits: the two modes of a token, or why it takes none."""

    ADD_TIME = UnlockMode.ADD_TIME
    SET_TIME = UnlockMode.SET_TIME
    USED = "used"
    INVALID = "invalid"


class SimulatedLock:
    """A keypad on a device.

    Args:
        key: 16 bytes, which its maker put in.
        count: of the last token that it took before.

    Attributes:
        days: what its tokens gave it.
    """

    def __init__(self, key: bytes, count: int = 1) -> None:
        self._key, self.count, self.days = UnlockKey(key), count, 0
        self._used = {count}

    def enter(self, digits: str) -> LockAnswer:
        """Type nine digits in; the device looks 64 counts ahead."""
        value = (int(digits) - starting_code(self._key.key)) % _VALUES
        if value > MAX_DAYS:
            return LockAnswer.INVALID
        last = self.count + WINDOW
        counts = (n for n in range(1, last + 1) if digits_of(self._key, n, value) == digits)
        count = next(counts, None)
        if count is None:
            return LockAnswer.INVALID
        adds = count % 2 == 0
        older = adds and count > self.count - _OLDER and count not in self._used
        if count <= self.count and not older:
            return LockAnswer.USED
        self.count = max(self.count, count)
        if adds:
            self._used.add(count)
            self.days += value
            return LockAnswer.ADD_TIME
        self._used.update(range(self.count - _OLDER, self.count + 1))
        self.days = value
        return LockAnswer.SET_TIME
