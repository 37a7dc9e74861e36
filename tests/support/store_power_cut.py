"""The rail's worker in this process, with a power cut around each commit and each send.

A cut is an exception that nothing catches, raised before or after a commit, a broadcast or a bank
file. All that the worker holds in memory is then dropped, and a new worker starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import structlog

from device_adapters.types import Message
from orchestrator.assembly import SENDING_ROLES, load_accounts, rail_from_home
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.sender import Sender
from orchestrator.edges.store import Session, Store
from orchestrator.ingest.intake import Intake, RecordOutcome
from orchestrator.steps import StepContext
from orchestrator.worker import Step, Worker
from tests.support.whole_rail import PATIENCE_S, WholeRail


class StorePowerCut(BaseException):
    """The end of the process; no code of the rail may catch it."""


class Cutter:
    """Cuts once at each point.

    Attributes:
        step: the step that runs.
        cut: the points so far, as (step, place).
    """

    def __init__(self) -> None:
        self.step = ""
        self.cut: list[tuple[str, str]] = []

    def at(self, place: str) -> None:
        """Cut at this point, unless it was cut before."""
        if (self.step, place) not in self.cut:
            self.cut.append((self.step, place))
            raise StorePowerCut(f"{self.step}: {place}")

    def around(self, what: str, act: Callable[[], Any]) -> Any:
        """Run `act` with a point before and after it."""
        self.at(f"before {what}")
        result = act()
        self.at(f"after {what}")
        return result


class CutStore(Store):
    """A store with a power cut around each commit."""

    cutter: Cutter

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            base = session.connection().connection.dbapi_connection
            untouched = base.total_changes
            yield session
            session.flush()
            changed = base.total_changes != untouched
            if changed:  # an empty commit is no point
                self.cutter.at("before a commit")
        if changed:
            self.cutter.at("after a commit")


class CutChain(Chain):
    """A chain with a power cut around each broadcast."""

    cutter: Cutter

    def broadcast(self, raws: Sequence[str]) -> list[str]:
        return self.cutter.around("a broadcast", lambda: super(CutChain, self).broadcast(raws))


class CutFolder(Folder):
    """A bank channel with a power cut around each file, in both directions."""

    cutter: Cutter

    def send(self, name: str, data: bytes) -> bool:
        return self.cutter.around("a file", lambda: super(CutFolder, self).send(name, data))

    def done(self, name: str) -> None:
        self.cutter.around("a file is archived", lambda: super(CutFolder, self).done(name))


class CutWorker(Worker):
    """A worker that reports its step to the cutter."""

    cutter: Cutter

    def _step(self, step: Step) -> int:
        self.cutter.step = step.__name__
        return super()._step(step)

    def recover(self) -> None:
        self.cutter.step = "recover"
        super().recover()


def fresh(whole: WholeRail, cutter: Cutter) -> CutWorker:
    """Return a worker built from the home alone, as a new process builds it."""
    settings = whole.stack.settings.model_copy(update={"finality_blocks": 2})
    rail = rail_from_home(settings, structlog.get_logger())
    rail.store.close()
    worker = CutWorker(_with_cuts(rail, whole.stack.artifacts, cutter))
    worker.cutter = cutter
    return worker


def _with_cuts(rail: StepContext, artifacts: dict[str, Any], cutter: Cutter) -> StepContext:
    store = CutStore(rail.settings.database)
    chain = CutChain(rail.chain.url, rail.chain.deployment, artifacts)
    bank = CutFolder(rail.bank.outbox, rail.bank.inbox)
    for part in (store, chain):
        part.cutter = cutter
    object.__setattr__(bank, "cutter", cutter)  # the channel itself is frozen
    accounts = load_accounts(rail.settings, SENDING_ROLES)
    senders = {role: Sender(store, chain, account) for role, account in accounts.items()}
    return replace(rail, store=store, chain=chain, bank=bank, **senders)


def drive(whole: WholeRail, cutter: Cutter, is_over: Callable[[], bool]) -> None:
    """Start worker after worker, each until its power cut, until `is_over` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_over():
        worker = fresh(whole, cutter)
        try:
            worker.recover()
            while not is_over():
                assert time.monotonic() < deadline, f"not over; stages {whole.stages()}"
                assert worker.halted == {}
                if not worker.turn():
                    whole.payees.tick()
                    time.sleep(0.02)
        except StorePowerCut:
            pass
        finally:
            worker.context.store.close()


def take(
    whole: WholeRail, cutter: Cutter, messages: Sequence[Message]
) -> list[list[RecordOutcome]]:
    """Send messages to new intakes until no power cut interrupts."""
    while True:
        rail = fresh(whole, cutter).context
        cutter.step = "intake"
        intake = Intake(rail.store, rail.registry, rail.rules, time.time)
        try:
            return intake.take(messages)
        except StorePowerCut:
            continue
        finally:
            rail.store.close()
