"""Runs the steps in turn, each on a bounded batch, until `stop` is called.

There are three answers to failure. The input is wrong: the step stores a reason. The outside world
is slow: Retry, and the step runs again later. Our own code or data is wrong: Halt. A halted step
stays stopped until a person has looked at it; the other steps go on, but no step that moves money.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator.errors import Halt, Retry
from orchestrator.steps import StepContext
from orchestrator.steps.attest import attest
from orchestrator.steps.bank_files import read_bank
from orchestrator.steps.breaks import register_breaks
from orchestrator.steps.collect import collect, verify
from orchestrator.steps.dispute import dispute_compromised
from orchestrator.steps.equivocation import report_equivocations
from orchestrator.steps.finalise import finalise, reconsider
from orchestrator.steps.follow import follow
from orchestrator.steps.mint import mint
from orchestrator.steps.payouts import order_payouts, send_files
from orchestrator.steps.quarantine import quarantine
from orchestrator.steps.refund import refund
from orchestrator.steps.settle import release_matured, settle
from orchestrator.steps.unallocated_credits import decide_credits

Step = Callable[[StepContext], int]

STEPS: tuple[Step, ...] = (
    follow,
    finalise,
    quarantine,
    dispute_compromised,
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
    register_breaks,
)
# no money moves while the rail's own ledger or its chain is in doubt
_MOVES_MONEY = (attest, settle, release_matured, order_payouts, decide_credits, mint, refund)
_FOLLOWS = ("follow", "finalise")  # these work whenever a block is new, also an empty one
_BUSY_POLL_S, _QUIET_POLL_S = 0.2, 1.0
_BUSY_S = 5.0  # this long after work, more is expected: a block, an answer of the bank


class Worker:
    """The one worker of a rail.

    Attributes:
        context: what the steps work on.
        halted: step name -> why it stopped.
        turns: step name -> how much work it has done.
    """

    def __init__(self, context: StepContext) -> None:
        self.context = context
        self.halted: dict[str, str] = {}
        self.turns: dict[str, int] = {step.__name__: 0 for step in STEPS}
        self._stop, self._woken = threading.Event(), threading.Event()

    def recover(self) -> None:
        """Send stored transactions and stored bank files again, before anything new is done."""
        self.context.chain.check_identity()
        self.context.registry.refresh()
        for sender in self.context.senders:
            sender.broadcast()
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
        """Return what the steps did and which of them halted, for `/v1/status`."""
        return {"turns": dict(self.turns), "halted": dict(self.halted)}

    def turn(self) -> int:
        """Run every step once; return how much work was done."""
        return sum(self._step(step) for step in STEPS if not self._stop.is_set())

    def _step(self, step: Step) -> int:
        name, log = step.__name__, self.context.log
        if name in self.halted or (self.halted and step in _MOVES_MONEY):
            return 0
        try:
            done = step(self.context)
        except Retry as delay:
            log.info("step waits", step=name, reason=str(delay))
            return 0
        except Exception as error:
            # a bug of ours is a Halt without a text of its own: it stops the same steps
            is_halt = isinstance(error, Halt)
            self.halted[name] = str(error) if is_halt else f"{type(error).__name__}: {error}"
            log.error("step halted", step=name, error=self.halted[name], exc_info=not is_halt)
            return 0
        self.turns[name] += done
        return done
