"""When the keeper mines and when it stores the chain's state: rules only, no clock of its own.

A sender that waits for each receipt gets a block per transaction after a short silence; a burst
gets one block per `block_s`. When no more work comes, empty blocks cover the newest work, so that
it is as deep as the rail's own rule of finality asks, and one dump holds both. While work goes on,
dumps follow it at a distance: each one costs time that grows with the chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

_SILENCE_S = 0.05  # a sender that waits for its receipt sends nothing for this long
_DUMP_SHARE = 4  # between two dumps pass at least four times what the last one took
_DUMP_AGAIN_S = 5.0  # after a dump that could not be written


class Action(IntEnum):
    """What the keeper does next; of two that are due at once, the lower one comes first."""

    MINE = 1  # a block with the waiting transactions
    COVER = 2  # empty blocks on top of the newest work
    DUMP = 3  # store the chain's state
    HEARTBEAT = 4  # an empty block, so that an idle chain has a recent one


@dataclass
class Schedule:
    """The plan of one chain; all times are seconds of one monotonic clock.

    Attributes:
        block_s: a transaction waits at most this long for a block.
        heartbeat_s: an idle chain mines an empty block this often.
        depth: empty blocks that cover the newest work; 0 for none.
        last_block: when the newest block was mined.
    """

    block_s: float
    heartbeat_s: float
    depth: int
    last_block: float
    _first_work: float | None = field(default=None, init=False)  # of work in no block yet
    _last_work: float = field(default=0.0, init=False)
    _uncovered: bool = field(default=False, init=False)
    _undumped: float | None = field(default=None, init=False)  # since when
    _next_dump: float = field(default=0.0, init=False)

    @property
    def waiting(self) -> bool:
        """Whether a transaction waits for its block."""
        return self._first_work is not None

    @property
    def undumped(self) -> bool:
        """Whether the chain has changed since the newest dump."""
        return self._undumped is not None

    def next(self, now: float) -> tuple[Action, float]:
        """Return the next action and in how many seconds it is due; 0 or less is now."""
        due = [self._next_block()]
        if self._undumped is not None:
            at = self._next_dump
            if self._uncovered or self.waiting:  # soon one dump can hold work and cover
                at = max(at, self._undumped + 3 * self.block_s)
            due.append((at, Action.DUMP))
        overdue = [action for at, action in due if at <= now]
        if overdue:
            return min(overdue), 0.0
        at, action = min(due)
        return action, at - now

    def _next_block(self) -> tuple[float, Action]:
        if self._first_work is not None:
            silent_at = self._last_work + _SILENCE_S
            return min(silent_at, self._first_work + self.block_s), Action.MINE
        if self._uncovered:
            return self.last_block + self.block_s, Action.COVER
        return self.last_block + self.heartbeat_s, Action.HEARTBEAT

    def work(self, now: float) -> None:
        """Note that the node accepted a transaction."""
        if self._first_work is None:
            self._first_work = now
        self._last_work = now

    def mining(self) -> None:
        """Note that a block is being mined: work from now on needs another one."""
        self._first_work = None

    def mined(self, now: float, *, work: bool) -> None:
        """Note that blocks were mined.

        Args:
            now: the time.
            work: whether they need cover; empty blocks do not.
        """
        self.last_block = now
        self._uncovered = work and self.depth > 0
        self.changed(now)

    def changed(self, now: float) -> None:
        """Note that the chain is no longer as the newest dump has it."""
        if self._undumped is None:
            self._undumped = now

    def dumped(self, now: float, took_s: float) -> None:
        """Note that a dump holds the chain."""
        self._undumped = None
        self._next_dump = now + max(self.block_s, _DUMP_SHARE * took_s)

    def not_dumped(self, now: float) -> None:
        """Note that a dump could not be written; it is tried again later."""
        self._next_dump = now + max(self.block_s, _DUMP_AGAIN_S)
