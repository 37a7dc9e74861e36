"""What can be wrong with a rail: observations, limits, and named problems with a next step. Pure.

The rules are in health_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from orchestrator.core.effect_delivery import TargetState

VERSION = 1  # of the status file
STALE_S = 30  # a status file older than this says nothing about now
_GIB = 1 << 30


class Severity(StrEnum):
    """Whether the rail still does its work."""

    WARNING = "warning"  # it works, and somebody should look
    ERROR = "error"  # part of its work has stopped: /ready answers 503


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """One thing that is wrong.

    Attributes:
        name: What kind of problem, for programs; stable.
        subject: What it concerns (an oracle, a step, a transaction); "" for the whole rail.
        what: What is wrong, one sentence for people.
        next_step: What to do, safe to follow.
        since: Unix seconds.
    """

    name: str
    subject: str
    what: str
    next_step: str
    severity: Severity
    since: int = 0


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """From when on something is wrong."""

    block_age_s: int = 600
    blocks_behind: int = 100
    node_blocks_behind: int = 8
    send_age_s: int = 300
    wait_s: int = 120
    turn_s: int = 300
    clock_s: int = 30
    free_bytes: int = _GIB
    least_free_bytes: int = _GIB // 10
    statement_hour: int = 8
    effect_age_s: int = 900


@dataclass(frozen=True, slots=True)
class HeldState:
    """The payments that are held.

    Attributes:
        oldest_at: When the oldest hold began, Unix seconds; 0: none is held.
    """

    count: int = 0
    oldest_at: int = 0


@dataclass(frozen=True, slots=True)
class OracleState:
    """The last answer of one oracle.

    Attributes:
        error: Why it does not answer; "" if it does.
        unwell: What it reports to be wrong with itself; it still answers.
        reader: How it says that it reads records, such as "own" or "library"; "" if it does not.
        counts: Whether its signature counts; if it does not, it is as good as down.
    """

    name: str
    domain: int
    error: str = ""
    unwell: str = ""
    reader: str = ""
    counts: bool = True


@dataclass(frozen=True, slots=True)
class ChainState:
    """A node, as it answers now.

    Attributes:
        name: Its URL without what may be secret in it.
        error: Why it does not answer; "" if it does.
        other: How it differs from the rail's chain; "" if it is the right one.
        number: Its newest block.
        block_time: Of that block, Unix seconds.
        followed: The newest block that the rail has read.
        answered_at: When it answered last, Unix seconds; 0: not since the rail started.
    """

    name: str = ""
    error: str = ""
    other: str = ""
    number: int = 0
    block_time: int = 0
    followed: int = 0
    answered_at: int = 0


@dataclass(frozen=True, slots=True)
class OpenSend:
    """A signed transaction that no block holds yet; `verdict` is the node's last answer."""

    tx_hash: str
    purpose: str
    ref: str
    created_at: int
    verdict: str


@dataclass(frozen=True, slots=True)
class DiskState:
    """The space of one file system, in bytes."""

    path: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class StatementState:
    """The newest statement (camt.053) of the rail's account, and the day that is expected.

    Attributes:
        newest: ISO 8601 day; "" for none.
        expected: The bank day whose statement is due by now; "" if none is due.
    """

    newest: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Observations:
    """Everything that was looked at, at one time.

    Attributes:
        at: Unix seconds.
        chain: The first node that answers and is of the rail's chain; else the first one.
        nodes: All nodes, if there are several.
        broker: Why the broker is not reached; "" if it is.
        bank: Why the bank is not reached; "" if it is.
        halted: step -> (why, since).
        waits: step -> (why, since).
        busy: (step, seconds) of the step at work.
        dead_threads: Names of threads that ended by themselves.
        clock_jump_s: How far the clock moved against a clock that never jumps.
        dead_processes: process -> what its supervisor says about it.
        paused_until: When the newest pause of the rail ends or ended, Unix seconds; 0: none.
        targets: What waits for each target of effects.
        untargeted: (how many effects no target takes, the time of the oldest in Unix seconds).
    """

    at: int
    oracles: Sequence[OracleState] = ()
    need: int = 0
    min_domains: int = 0
    broker: str = ""
    bank: str = ""
    chain: ChainState = field(default_factory=ChainState)
    nodes: Sequence[ChainState] = ()
    halted: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    waits: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    busy: tuple[str, int] | None = None
    sends: Sequence[OpenSend] = ()
    statement: StatementState = field(default_factory=StatementState)
    disks: Sequence[DiskState] = ()
    dead_threads: Sequence[str] = ()
    clock_jump_s: int = 0
    dead_processes: Mapping[str, str] = field(default_factory=dict)
    paused_until: int = 0
    targets: Sequence[TargetState] = ()
    untargeted: tuple[int, int] = (0, 0)
    held: HeldState = field(default_factory=HeldState)


def dated(
    problems: Iterable[HealthProblem], before: Iterable[HealthProblem], now: int
) -> list[HealthProblem]:
    """Give each problem the time since when it stands.

    Args:
        problems: As they are now; one that knows its own time keeps it.
        before: As they were at the last look.
        now: Unix seconds.
    """
    since = {(problem.name, problem.subject): problem.since for problem in before}
    return [
        problem
        if problem.since
        else replace(problem, since=since.get((problem.name, problem.subject), now))
        for problem in problems
    ]


def is_ready(problems: Iterable[HealthProblem]) -> bool:
    """Return whether nothing has stopped."""
    return all(problem.severity is not Severity.ERROR for problem in problems)


def problem_view(problem: HealthProblem) -> dict[str, Any]:
    """Return the JSON view of a problem."""
    return asdict(problem)


def node_view(node: ChainState) -> dict[str, Any]:
    """Return the JSON view of a node: its name, newest block, last answer, and what is wrong."""
    fields = ("name", "number", "block_time", "answered_at")
    return {name: getattr(node, name) for name in fields} | {"error": node.error or node.other}


def read_problem(view: Mapping[str, Any]) -> HealthProblem:
    """Return a problem from its JSON view; raises KeyError or ValueError for anything else."""
    fields = {name: view[name] for name in HealthProblem.__slots__}
    return HealthProblem(**fields | {"severity": Severity(view["severity"])})


def stale_problem(at: int | None, now: int, of_own_process: bool) -> HealthProblem | None:
    """Return the problem of a status that is missing (None) or too old.

    Args:
        at: When the status was made, Unix seconds.
        now: Unix seconds.
        of_own_process: Whether the process that asks made the status itself.
    """
    if at is not None and abs(now - at) <= STALE_S:
        return None
    age = "was not made yet" if at is None else f"is {now - at} s old"
    what = f"The orchestrator's status {age}: it does not run, or cannot write to its home."
    if of_own_process:
        what = f"The status of this process {age}: nothing is known about the rail."
    return HealthProblem(
        "status_stale",
        "",
        what,
        "Start the rail (`proofrail up`). If it runs, read the end of logs/orchestrator.log.",
        Severity.ERROR,
        at or 0,
    )


def stopped_problem() -> HealthProblem:
    """Return the problem of a home on which no process works."""
    return HealthProblem(
        "status_stale",
        "",
        "The rail does not run: no process works on this home.",
        "Start the rail (`proofrail up`). If it ends again, read logs/supervisor.log.",
        Severity.ERROR,
    )
