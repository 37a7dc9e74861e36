"""Runs the steps in turn, each on a bounded batch, until `stop` is called.

There are three answers to failure. The input is wrong: the step stores a reason. The outside world
is slow: Retry, and the step runs again later. Our own code or data is wrong: Halt. A halted step
stays stopped until a person has looked at it; the other steps go on, but no step that moves money.
"""

from __future__ import annotations

import threading
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
from orchestrator.steps.follow import broadcast_open, follow
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
_IDLE_S = 0.2


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
        self._stop = threading.Event()

    def recover(self) -> None:
        """Send stored transactions and stored bank files again, before anything new is done."""
        self.context.chain.check_identity()
        self.context.registry.refresh()
        broadcast_open(self.context)
        send_files(self.context)

    def run(self) -> None:
        """Work until `stop`; sleep briefly when a whole turn had nothing to do."""
        while not self._stop.is_set():
            if not self.turn():
                self._stop.wait(_IDLE_S)

    def stop(self) -> None:
        """End `run` after the current step."""
        self._stop.set()

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
