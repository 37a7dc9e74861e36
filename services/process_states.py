"""The states of a supervised process, as a table, and how long it rests after it died."""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.machine import Machine

FIRST_REST_S, LONGEST_REST_S = 0.5, 30.0
LIVED_WELL_S = 60.0  # a process that lived this long rests briefly again


class ProcessState(StrEnum):
    """Where a process of the rail stands."""

    WAITING = "waiting"  # for the processes that it needs
    STARTING = "starting"  # it runs and does not serve yet
    READY = "ready"  # it serves
    DONE = "done"  # a job that has ended well
    RESTING = "resting"  # it died; it is started again after a wait
    STOPPING = "stopping"  # it was asked to end
    STOPPED = "stopped"  # it has ended because it was asked to


class ProcessFact(StrEnum):
    """What can happen to a process of the rail."""

    STARTED = "started"
    SERVES = "serves"  # its ready file is there
    FINISHED = "finished"  # a job ended with 0
    DIED = "died"  # it ended without being asked to, or a job with an error
    ASKED = "asked"  # to end
    ENDED = "ended"  # after it was asked to
    WANTED = "wanted"  # it is to run again


_RUNNING = (ProcessState.STARTING, ProcessState.READY)
_IDLE = (ProcessState.WAITING, ProcessState.RESTING, ProcessState.DONE)

_MOVES: dict[tuple[ProcessState, ProcessFact], ProcessState] = {
    (ProcessState.WAITING, ProcessFact.STARTED): ProcessState.STARTING,
    (ProcessState.RESTING, ProcessFact.STARTED): ProcessState.STARTING,
    (ProcessState.STARTING, ProcessFact.SERVES): ProcessState.READY,
    (ProcessState.STARTING, ProcessFact.FINISHED): ProcessState.DONE,
    **{(state, ProcessFact.DIED): ProcessState.RESTING for state in _RUNNING},
    **{(state, ProcessFact.ASKED): ProcessState.STOPPING for state in _RUNNING},
    **{(state, ProcessFact.ASKED): ProcessState.STOPPED for state in _IDLE},
    (ProcessState.STOPPING, ProcessFact.ENDED): ProcessState.STOPPED,
    (ProcessState.STOPPED, ProcessFact.WANTED): ProcessState.WAITING,
}

_KNOWN: dict[ProcessFact, tuple[ProcessState, ...]] = {
    ProcessFact.SERVES: (ProcessState.READY,),
    ProcessFact.ASKED: (ProcessState.STOPPING, ProcessState.STOPPED),
}

# the states at which another process may rely on this one
AVAILABLE = (ProcessState.READY, ProcessState.DONE)

PROCESS_MACHINE = Machine(
    "process", _MOVES, _KNOWN, "see `proofrail logs supervisor`, and report it as a bug."
)


def next_rest(last: float | None, lived_s: float) -> float:
    """Return how many seconds a process that died rests.

    Args:
        last: its rest before this one; None if it has not died yet.
        lived_s: how long it lived since.
    """
    if last is None or lived_s >= LIVED_WELL_S:
        return FIRST_REST_S
    return min(last * 2, LONGEST_REST_S)
