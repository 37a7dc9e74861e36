"""Looks at a running rail every few seconds, and keeps what is wrong for /ready and `status`.

Each question to the outside has a short timeout, and all of them are asked at the same time; so a
silent oracle delays nothing. The result also goes to `run/health.json` in the home, for a person on
this machine who has no API key.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from orchestrator.core.committee import Committee
from orchestrator.core.health import (
    VERSION,
    ChainState,
    DiskState,
    HealthLimits,
    HealthProblem,
    HeldState,
    Observations,
    OpenSend,
    OracleState,
    StatementState,
    dated,
    node_view,
    problem_view,
    stale_problem,
)
from orchestrator.core.health_rules import problems_of
from orchestrator.edges.bank.calendar import statement_due
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.bank.files import write_atomically
from orchestrator.edges.bank.reachable import ALIVE, bank_problem
from orchestrator.edges.chain.nodes import names_of
from orchestrator.edges.chain.probe import probe_node
from orchestrator.edges.chain.rails import RAIL
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import bank_files, blocks, effects, holds, sends
from orchestrator.errors import Retry
from orchestrator.settings import Settings
from orchestrator.status_file import STATUS_FILE, dead_processes
from orchestrator.steps import StepContext

_EVERY_S = 5
_PATIENCE_S = 6  # for all probes together; each has a timeout of 3 s for a connection
_MOST_SENDS = 100
_NEVER = 24  # the setting statement_hour: no statement is expected
_FORGET_JUMP_S = 900  # after that, a changed clock is the clock


class WatchedWorker(Protocol):
    """What the monitor asks the worker."""

    @property
    def standing_halts(self) -> Sequence[Any]: ...
    @property
    def waits(self) -> Mapping[str, Any]: ...
    def busy(self) -> tuple[str, float] | None: ...


@dataclass(frozen=True)
class WatchedParts:
    """What the monitor looks at next to the rail's context.

    Attributes:
        broker: Returns why the broker is not reached; "" if it is.
        dead_threads: Returns the threads that ended by themselves.
        clock: Unix seconds.
        monotonic: Seconds of a clock that never jumps.
    """

    broker: Callable[[], str]
    dead_threads: Callable[[], Sequence[str]] = tuple
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class HealthMonitor:
    """The health of one rail. `run` in a thread; `problems` from any thread."""

    def __init__(self, context: StepContext, worker: WatchedWorker, parts: WatchedParts) -> None:
        self._context, self._worker, self._parts = context, worker, parts
        self._limits = limits_of(context.settings)
        self._seen: Observations | None = None
        self._seen_at = 0.0  # by the clock that never jumps
        self._problems: list[HealthProblem] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._pool = ThreadPoolExecutor(
            max_workers=len(context.oracles) + len(context.chain.urls), thread_name_prefix="probe"
        )
        self._offset = parts.clock() - parts.monotonic()  # between the two clocks, when they agreed
        self._jumped_at: float | None = None

    def run(self) -> None:
        """Look until `stop`. A look that fails is logged, and the status grows stale."""
        while not self._stop.is_set():
            try:
                self.look()
            except (Retry, OSError) as error:
                self._context.log.warning("the rail's health is not known", reason=str(error))
            except RuntimeError:  # the pool takes nothing more: `stop` came within this look
                if not self._stop.is_set():
                    raise
            self._stop.wait(_EVERY_S)

    def stop(self) -> None:
        """End `run` after the current look."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def look(self) -> list[HealthProblem]:
        """Look at everything once, and write the status file.

        Raises:
            Retry: the database does not answer.
            OSError: the status file cannot be written.
        """
        seen = self._observe()
        self._seen, self._seen_at = seen, self._parts.monotonic()
        problems = self.problems()
        body = {
            "version": VERSION,
            "at": seen.at,
            "pid": os.getpid(),
            "block": seen.chain.followed,
            "problems": [problem_view(problem) for problem in problems],
            "nodes": [node_view(node) for node in seen.nodes],
        }
        home = self._context.settings.home
        write_atomically(home / STATUS_FILE, json.dumps(body, indent=1).encode())
        return problems

    def problems(self) -> list[HealthProblem]:
        """Return what is wrong, with the worker as it is now and the rest as of the last look."""
        now, seen = int(self._parts.clock()), self._seen
        age = self._parts.monotonic() - self._seen_at
        stale = stale_problem(None if seen is None else int(now - age), now, of_own_process=True)
        current = [] if stale is None else [stale]
        if seen is not None:
            # a clock that jumped makes nothing old: times are compared as of the look
            current += problems_of(replace(seen, **self._of_worker()), self._limits)
        with self._lock:
            self._problems = dated(current, self._problems, now)
            return list(self._problems)

    def head(self) -> int:
        """Return the node's newest block at the last look; 0 if it is not known."""
        seen = self._seen
        return seen.chain.number if seen else 0

    def nodes(self) -> Sequence[ChainState]:
        """Return every node as it was at the last look; () before the first one."""
        seen = self._seen
        return seen.nodes if seen else ()

    def _of_worker(self) -> dict[str, Any]:
        busy = self._worker.busy()
        return {
            "halted": {
                halt.step: (halt.reason, halt.halted_at) for halt in self._worker.standing_halts
            },
            "waits": {
                step: (item.reason, item.since) for step, item in self._worker.waits.copy().items()
            },
            "busy": busy and (busy[0], int(busy[1])),
            "dead_threads": tuple(self._parts.dead_threads()),
        }

    def _observe(self) -> Observations:
        context, now = self._context, int(self._parts.clock())
        committee = context.committee()
        paused = self._pool.submit(self._paused_until)
        nodes, oracles = self._probe(committee)
        wait([paused], timeout=_PATIENCE_S)
        chain = next((node for node in nodes if not (node.error or node.other)), nodes[0])
        with context.store.read() as session:
            newest = blocks.newest(session)
            waiting = [
                OpenSend(row.tx_hash, row.purpose, row.ref, row.created_at, row.verdict)
                for row in sends.waiting(session, _MOST_SENDS)
            ]
            account = context.safeguarding["iban"]
            statement_day = bank_files.newest_statement_day(session, account)
            first_file = bank_files.first_at(session)
            targets, untargeted = effects.states(session), effects.without_target(session)
            held = HeldState(*holds.count_and_oldest(session))
        # before the first block is read no member is known
        need = committee.need if newest or committee.seats else 0
        usage = shutil.disk_usage(context.settings.home)
        return Observations(
            at=now,
            oracles=oracles,
            need=need,
            min_domains=committee.min_domains,
            broker=self._parts.broker(),
            bank=bank_problem(context.bank, now, context.settings.bank_fetch_s),
            chain=replace(chain, followed=newest.number if newest else 0),
            nodes=nodes,
            sends=waiting,
            statement=self._statement(now, statement_day, first_file),
            disks=[DiskState(str(context.settings.home), usage.free, usage.total)],
            clock_jump_s=self._clock_jump(),
            dead_processes=dead_processes(context.settings.home),
            paused_until=_result(paused, 0),
            targets=targets,
            untargeted=untargeted,
            held=held,
            **self._of_worker(),
        )

    def _paused_until(self) -> int:
        """Return when the rail's newest pause ends; 0 if there was none or no node answers.

        The pause of contracts of 0.5.0 and before has no end, and shows at each settlement.
        """
        chain = self._context.chain
        try:
            return chain.view(RAIL, "pauses")[0] if chain.knows(RAIL, "pauses") else 0
        except Retry:
            return 0

    def _probe(self, committee: Committee) -> tuple[list[ChainState], list[OracleState]]:
        """Ask all nodes and all oracles at the same time."""
        chain, oracles = self._context.chain, self._context.oracles
        nodes = [self._pool.submit(probe_node, url, chain.deployment) for url in chain.urls]
        asked = [self._pool.submit(oracle.probe) for oracle in oracles]
        wait([*nodes, *asked], timeout=_PATIENCE_S)
        silent = f"no answer within {_PATIENCE_S} s"
        states = [
            _seated(
                _result(answer, OracleState(oracle.name, oracle.domain, silent)), oracle, committee
            )
            for oracle, answer in zip(oracles, asked, strict=True)
        ]
        before = {node.name: node.answered_at for node in self.nodes()}
        views = [
            replace(_result(answer, ChainState(error=silent)), name=name)
            for name, answer in zip(names_of(chain.urls), nodes, strict=True)
        ]
        return [
            node if node.answered_at else replace(node, answered_at=before.get(node.name, 0))
            for node in views
        ], states

    def _statement(self, now: int, newest: str, first_file: int | None) -> StatementState:
        """Return which statement is due; none before the first file of the bank.

        The days of a simulated bank end on request and not by the calendar.
        """
        bank, hour = self._context.bank, self._limits.statement_hour
        is_simulated = isinstance(bank, Folder) and (bank.inbox.parent / ALIVE).exists()
        if hour >= _NEVER or is_simulated or first_file is None:
            return StatementState(newest)
        due = statement_due(datetime.fromtimestamp(now, UTC), hour)
        began = datetime.fromtimestamp(first_file, UTC).date()
        return StatementState(newest, due.isoformat() if began <= due else "")

    def _clock_jump(self) -> int:
        """Return by how many seconds the clock has moved against the one that never jumps."""
        monotonic = self._parts.monotonic()
        jump = self._parts.clock() - monotonic - self._offset
        if abs(jump) <= self._limits.clock_s:
            self._jumped_at = None
            return 0
        self._jumped_at = monotonic if self._jumped_at is None else self._jumped_at
        if monotonic - self._jumped_at > _FORGET_JUMP_S:
            self._offset, self._jumped_at = self._parts.clock() - monotonic, None
            return 0
        return int(jump)


def limits_of(settings: Settings) -> HealthLimits:
    """Return the limits that the settings set."""
    return HealthLimits(
        block_age_s=settings.block_age_s,
        send_age_s=settings.send_age_s,
        statement_hour=settings.statement_hour,
        effect_age_s=settings.effect_age_s,
        free_bytes=settings.free_disk_mb << 20,
    )


def _seated(state: OracleState, oracle: OracleClient, committee: Committee) -> OracleState:
    """Return the state of an oracle that answers or not, with whether its signature counts."""
    # before the first block is read no member is known
    return replace(state, counts=not committee.seats or oracle.address in committee.members)


def _result(answer: Future[Any], silent: Any) -> Any:
    return answer.result() if answer.done() and not answer.cancelled() else silent
