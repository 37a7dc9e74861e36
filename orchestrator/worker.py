"""Runs the steps in turn, each on a bounded batch, at the worker's own pace, until told to stop.

Three answers to failure: the world is wrong (a reason, stored by the step), the world is slow
(Retry: the step comes round again), we are wrong (Halt: this step stops until a person looks, the
rest go on, and no step that moves money runs any more).
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
from orchestrator.steps.follow import follow
from orchestrator.steps.mint import mint
from orchestrator.steps.payouts import hand_over, order_payouts
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
# a rail whose own books or whose chain are in doubt must not move money
_MOVES_MONEY = (attest, settle, release_matured, order_payouts, decide_credits, mint, refund)
_IDLE_S = 0.2


class Worker:
    """One worker of one rail. `halted`: step name -> why; `turns`: work found by each step."""

    def __init__(self, rail: StepContext) -> None:
        self.rail = rail
        self.halted: dict[str, str] = {}
        self.turns: dict[str, int] = {step.__name__: 0 for step in STEPS}
        self._stop = threading.Event()

    def recover(self) -> None:
        """Before anything new: sends again what was stored, and hands over stored files again."""
        self.rail.chain.check_identity()
        self.rail.registry.refresh()
        for sender in self.rail.senders:
            sender.broadcast()
        hand_over(self.rail)

    def run(self) -> None:
        """Works until `stop`; sleeps a moment when a whole turn found nothing to do."""
        while not self._stop.is_set():
            if not self.turn():
                self._stop.wait(_IDLE_S)

    def stop(self) -> None:
        """Ends `run` after the step at hand."""
        self._stop.set()

    def report(self) -> dict[str, dict]:
        """What the steps did and which of them halted, for `/v1/status`."""
        return {"turns": dict(self.turns), "halted": dict(self.halted)}

    def turn(self) -> int:
        """Every step once; returns how much work was found."""
        return sum(self._step(step) for step in STEPS if not self._stop.is_set())

    def _step(self, step: Step) -> int:
        name, log = step.__name__, self.rail.log
        if name in self.halted or (self.halted and step in _MOVES_MONEY):
            return 0
        try:
            found = step(self.rail)
        except Retry as delay:
            log.info("step waits", step=name, reason=str(delay))
            return 0
        except Exception as error:
            # a bug of ours is a Halt without a name: it stops the same things
            known = isinstance(error, Halt)
            self.halted[name] = str(error) if known else f"{type(error).__name__}: {error}"
            log.error("step halted", step=name, error=self.halted[name], exc_info=not known)
            return 0
        self.turns[name] += found
        return found
