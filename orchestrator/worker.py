"""Runs the steps in turn, each on a bounded batch, until `stop` is called.

There are three answers to failure. The input is wrong: the step stores a reason. The outside world
is slow: Retry, and the step runs again later; so does a step that the machine fails for a while
(errors.passing_trouble). Our own code or data is wrong: Halt. A halted step stays stopped, also
over a restart, until a person has looked (`proofrail resume`); the other steps go on, but no step
that moves money.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.errors import Halt, passing_trouble
from orchestrator.halts import Halts, StandingHalt
from orchestrator.steps import StepContext
from orchestrator.steps.attest import attest
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.breaks import register_breaks
from orchestrator.steps.collect import collect, verify
from orchestrator.steps.deliver import deliver_effects
from orchestrator.steps.dispute import dispute_compromised
from orchestrator.steps.equivocation import report_equivocations
from orchestrator.steps.finalise import finalise, reconsider
from orchestrator.steps.follow import broadcast_open, follow
from orchestrator.steps.holds import decide_holds
from orchestrator.steps.mint import mint
from orchestrator.steps.moved import end_moved
from orchestrator.steps.payouts import order_payouts, send_files
from orchestrator.steps.quarantine import quarantine
from orchestrator.steps.refund import refund
from orchestrator.steps.release import release_matured
from orchestrator.steps.rulings import expire_disputes, rule_disputes
from orchestrator.steps.settle import settle
from orchestrator.steps.unallocated_credits import decide_credits

Step = Callable[[StepContext], int]

STEPS: tuple[Step, ...] = (
    follow,
    finalise,
    quarantine,
    dispute_compromised,
    rule_disputes,
    expire_disputes,
    end_moved,
    decide_holds,
    collect,
    verify,
    attest,
    report_equivocations,
    settle,
    release_matured,
    order_payouts,
    read_bank,
    decide_credits,
    mint,
    reconsider,
    refund,
    deliver_effects,
    register_breaks,
)
# no money moves while the rail's own ledger or its chain is in doubt
_MOVES_MONEY = (
    rule_disputes,
    expire_disputes,
    decide_holds,
    attest,
    settle,
    release_matured,
    order_payouts,
    decide_credits,
    mint,
    refund,
)
_FOLLOWS = ("follow", "finalise")  # these work whenever a block is new, also an empty one
_BUSY_POLL_S, _QUIET_POLL_S = 0.2, 1.0
_BUSY_S = 5.0  # this long after work, more is expected: a block, an answer of the bank


class StepWatch(Protocol):
    """What is informed of each step (metrics, traces); it must not raise."""

    def step(self, name: str, outcome: str, seconds: float, done: int) -> None:
        """Take note of one step: outcome is "done", "waited" or "halted"."""


@dataclass(frozen=True, slots=True)
class StepWait:
    """A step that waits for something outside.

    Attributes:
        since: Unix seconds of its first wait in a row.
        reason: Why it waits now.
    """

    since: int
    reason: str


class Worker:
    """The one worker of a rail.

    Attributes:
        context: what the steps work on.
        halted: step name -> why it stopped.
        turns: step name -> how much work it has done.
        waits: step name -> since when and why it waits.

    Args:
        halts: where halts stay over a restart; None keeps them in memory.
        watch: what is informed of each step.
        clock: Unix seconds.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        context: StepContext,
        halts: Halts | None = None,
        watch: StepWatch | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context
        self._halts, self._watch, self._clock, self._monotonic = halts, watch, clock, monotonic
        self._standing: dict[str, StandingHalt] = halts.standing() if halts else {}
        self._unsaved: set[str] = set()  # halts that the disk refused so far
        self.turns: dict[str, int] = {step.__name__: 0 for step in STEPS}
        self.waits: dict[str, StepWait] = {}
        self._busy: tuple[str, float] | None = None
        self._stop, self._woken = threading.Event(), threading.Event()

    @property
    def halted(self) -> dict[str, str]:
        """Return {step name: why it stopped}."""
        return {step: halt.reason for step, halt in self._standing.items()}

    @property
    def standing_halts(self) -> tuple[StandingHalt, ...]:
        """Return the halts with their times."""
        return tuple(self._standing.values())

    def recover(self) -> None:
        """Send stored transactions and stored bank files again, before anything new is done."""
        self.context.chain.check_identity()
        self.context.registry.refresh()
        broadcast_open(self.context)
        send_files(self.context)

    def run(self) -> None:
        """Work until `stop`; wait when a whole turn had nothing to do.

        The wait is short while work is going on, and a second when nothing was done for a while.
        `wake` ends it.
        """
        worked_at, count = time.monotonic(), self._count()
        while not self._stop.is_set():
            self._woken.clear()
            done = self.turn()
            if count != (count := self._count()):
                worked_at = time.monotonic()
            if not done:
                is_busy = time.monotonic() - worked_at < _BUSY_S
                self._woken.wait(_BUSY_POLL_S if is_busy else _QUIET_POLL_S)

    def _count(self) -> int:
        return sum(done for name, done in self.turns.items() if name not in _FOLLOWS)

    def wake(self) -> None:
        """Begin the next turn now: something was stored."""
        self._woken.set()

    def stop(self) -> None:
        """End `run` after the current step."""
        self._stop.set()
        self._woken.set()

    def report(self) -> dict[str, dict]:
        """Return what the steps did, and which wait or halted, for `/v1/status`."""
        waits = {step: wait.reason for step, wait in self.waits.copy().items()}
        return {"turns": dict(self.turns), "halted": self.halted, "waits": waits}

    def busy(self) -> tuple[str, float] | None:
        """Return (the step at work, for how many seconds); None between two steps."""
        busy = self._busy
        return busy and (busy[0], self._monotonic() - busy[1])

    def turn(self) -> int:
        """Run every step once; return how much work was done."""
        self._end_halts()
        return sum(self._step(step) for step in STEPS if not self._stop.is_set())

    def _step(self, step: Step) -> int:
        name = step.__name__
        if name in self._standing or (self._standing and step in _MOVES_MONEY):
            return 0
        began = self._monotonic()
        self._busy = name, began
        done, outcome = self._attempt(step)
        self._busy = None
        self.turns[name] += done
        if self._watch:
            self._watch.step(name, outcome, self._monotonic() - began, done)
        return done

    def _attempt(self, step: Step) -> tuple[int, str]:
        """Run one step; return (work done, outcome)."""
        name, log = step.__name__, self.context.log
        try:
            done = step(self.context)
        except Exception as error:
            trouble = passing_trouble(error)
            if trouble is not None:
                before = self.waits.get(name)
                self.waits[name] = StepWait(before.since if before else int(self._clock()), trouble)
                if before is None or before.reason != trouble:  # or a night fills the log
                    log.info("step waits", step=name, reason=trouble)
                return 0, "waited"
            # a bug of ours is a Halt without a text of its own: it stops the same steps
            is_halt = isinstance(error, Halt)
            reason = str(error) if is_halt else f"{type(error).__name__}: {error}"
            self.waits.pop(name, None)
            self._standing[name] = StandingHalt(name, reason, int(self._clock()))
            self._unsaved.add(name)
            log.error("step halted", step=name, error=reason, exc_info=not is_halt)
            self._save_halts()
            return 0, "halted"
        if self.waits.pop(name, None):
            log.info("step goes on", step=name)
        return done, "done"

    def _save_halts(self) -> None:
        """Store new halts; a full disk leaves them for the next turn."""
        for name in sorted(self._unsaved) if self._halts else ():
            try:
                self._halts.record(self._standing[name])
                self._unsaved.discard(name)
            except OSError as error:
                self.context.log.error("halt not stored", step=name, error=str(error))

    def _end_halts(self) -> None:
        """Let the steps continue for which a person left a request."""
        if not (self._standing and self._halts):
            return
        self._save_halts()
        for name, halt in list(self._standing.items()):
            try:
                request = self._halts.take(halt)
            except OSError as error:
                self.context.log.error("request not taken", step=name, error=str(error))
                continue
            if request is not None:
                del self._standing[name]
                self._unsaved.discard(name)
                self.context.log.warning(
                    "step resumed", step=name, by=request.by, reason=request.reason
                )
