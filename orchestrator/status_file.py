"""The files by which the processes of a rail show how they are, for a person on this machine.

`run/health.json` is the orchestrator's (health_monitor.py writes it), `run/processes.json` the
supervisor's. Whoever can read the home needs no API key for them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.core.health import HealthProblem, read_problem, stale_problem, stopped_problem
from orchestrator.core.health_rules import halted_problem, process_problem
from orchestrator.halts import Halts
from orchestrator.home_lock import LOCK_FILE, holder

STATUS_FILE = Path("run") / "health.json"
PROCESSES_FILE = Path("run") / "processes.json"
HALTS = "halts"  # the folder in the home
_NOT_RUNNING = ("resting", "stopped")
_LIVE_ONLY = "disk_low"  # a reader of the files looks at the disk itself


def read_status(home: Path, now: int) -> list[HealthProblem]:
    """Return what the running rail wrote about itself; a missing or old file is a problem too.

    A killed rail leaves a new file behind, so nothing in it counts while the home's lock is free.

    Args:
        home: The rail's home.
        now: Unix seconds.
    """
    if holder(home / LOCK_FILE) is None:
        return [stopped_problem(), *_halted(home)]
    try:
        body = json.loads((home / STATUS_FILE).read_bytes())
        at, problems = int(body["at"]), [read_problem(view) for view in body["problems"]]
    except (OSError, ValueError, KeyError, TypeError):
        at, problems = None, []
    stale = stale_problem(at, now, of_own_process=False)
    if stale is None:
        return [problem for problem in problems if problem.name != _LIVE_ONLY]
    # what it said may be over by now; halts and processes are known from their own files
    dead = [process_problem(*down) for down in dead_processes(home).items()]
    return [stale, *_halted(home), *dead]


def read_nodes(home: Path) -> list[dict[str, Any]]:
    """Return every node as the running rail saw it last; [] if none runs or there is no file."""
    if holder(home / LOCK_FILE) is None:
        return []
    try:
        return [node for node in json.loads((home / STATUS_FILE).read_bytes())["nodes"] if node]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def read_processes(home: Path) -> list[dict[str, Any]]:
    """Return the processes as their supervisor shows them; [] if there is no such file.

    Without a supervisor all of them have ended, also where it was killed and could not write so.
    """
    try:
        view = json.loads((home / PROCESSES_FILE).read_bytes())
        processes = [process for process in view["processes"] if process["name"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if holder(home / LOCK_FILE) is None:
        return [process | {"pid": None, "state": "stopped"} for process in processes]
    return processes


def dead_processes(home: Path) -> dict[str, str]:
    """Return {process: what its supervisor shows} of the processes that do not run."""
    return {
        process["name"]: f"{process.get('state')} after {process.get('restarts')} restarts, last "
        f"exit {process.get('last_exit')}"
        for process in read_processes(home)
        if process.get("state") in _NOT_RUNNING
        or (process.get("state") == "starting" and process.get("restarts"))
    }


def _halted(home: Path) -> list[HealthProblem]:
    standing = Halts(home / HALTS).standing().values()
    return [halted_problem(halt.step, halt.reason, halt.halted_at) for halt in standing]
