"""Start the processes of a rail, start again what dies, and stop all: `proofrail up` runs this.

    python -m services.supervisor --home .proofrail

It holds the lock of the home. `run/processes.json` shows what it does; a file in `run/restart`
with the name of a process asks it to restart that process; SIGTERM asks it to stop all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

import structlog

from orchestrator.addresses import configured_addresses, read_addresses, write_addresses
from orchestrator.edges.bank.files import write_atomically
from orchestrator.errors import Halt
from orchestrator.home_lock import HomeInUse, hold
from orchestrator.settings import CONFIGURATION, Settings, read_settings
from orchestrator.status_file import STATUS_FILE
from services import processes
from services.metrics import process_registry
from services.metrics import serve as serve_metrics
from services.process_states import (
    AVAILABLE,
    PROCESS_MACHINE,
    ProcessFact,
    ProcessState,
    next_rest,
)
from services.processes import Process

STATE_FORMAT = 1  # of run/processes.json
STOP_S = 20.0  # how long a process may take to end before it is killed
_POLL_S = 0.2  # how late a request may be seen; the end of a process is seen at once
_QUICK_POLL_S = 0.02  # while a process starts


class RunningProcess(Protocol):
    """A process that runs, such as multiprocessing's."""

    pid: int
    sentinel: int

    @property
    def exitcode(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass
class Supervised:
    """One process with its state.

    Attributes:
        started: when it was started, by the supervisor's clock.
        due: from when on it may be started, or, while it stops, is killed.
        rest: how long it rested last.
        since: Unix seconds of its state.
        restart: whether it is to run again once it has stopped.
    """

    process: Process
    child: RunningProcess | None = None
    state: ProcessState = ProcessState.WAITING
    started: float = 0.0
    due: float = 0.0
    rest: float | None = None
    restarts: int = 0
    since: float = 0.0
    last_exit: int | None = None
    restart: bool = False


class Supervisor:
    """Keeps the processes of one home running.

    Args:
        start: starts a process.
        clock: seconds that never go back.
        served: called with the name of each process that begins to serve.
        say: takes a line about what happens.
    """

    def __init__(
        self,
        settings: Settings,
        rail: Sequence[Process],
        start: Callable[[Process], RunningProcess],
        clock: Callable[[], float] = time.monotonic,
        served: Callable[[str], None] = lambda name: None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._settings, self._start_process, self._clock = settings, start, clock
        self._served, self._print = served, say
        self.supervised = {process.name: Supervised(process, since=time.time()) for process in rail}
        self._stopping = False
        self._shown: bytes = b""

    def run(self) -> None:
        """Work until `stop` was called and every process has ended."""
        while not self.turn():
            sentinels = [member.child.sentinel for member in self._running()]
            busy = {ProcessState.STARTING, ProcessState.STOPPING}
            quick = any(member.state in busy for member in self.supervised.values())
            wait(sentinels, _QUICK_POLL_S if quick else _POLL_S)

    def stop(self) -> None:
        """Have `run` stop every process, the last one of the table first."""
        self._stopping = True

    def turn(self) -> bool:
        """Take note of what happened and do what is due; return whether all has been stopped."""
        for member in self.supervised.values():
            self._observe(member)
        self._read_requests()
        if self._stopping:
            self._stop_last_group()
        for member in self.supervised.values():
            if member.state is ProcessState.STOPPING and self._clock() >= member.due:
                member.child.kill()
            if not self._stopping:
                self._start_if_due(member)
        self._publish()
        states = {member.state for member in self.supervised.values()}
        return self._stopping and states <= {ProcessState.STOPPED}

    # --- what happened

    def _running(self) -> list[Supervised]:
        return [member for member in self.supervised.values() if member.child is not None]

    def _observe(self, member: Supervised) -> None:
        if member.child is None:
            return
        if member.child.exitcode is not None:
            self._ended(member, member.child.exitcode)
        elif member.state is ProcessState.STARTING and member.process.serves():
            self._move(member, ProcessFact.SERVES)
            self._served(member.process.name)

    def _ended(self, member: Supervised, code: int) -> None:
        member.child, member.last_exit = None, code
        if member.state is ProcessState.STOPPING:
            self._move(member, ProcessFact.ENDED)
        elif member.process.job and code == 0:
            self._move(member, ProcessFact.FINISHED)
        else:
            self._died(member)

    def _died(self, member: Supervised) -> None:
        member.rest = next_rest(member.rest, self._clock() - member.started)
        member.due = self._clock() + member.rest
        self._move(member, ProcessFact.DIED)

    def _read_requests(self) -> None:
        folder = self._settings.run / "restart"
        for request in sorted(folder.glob("*")) if folder.is_dir() else ():
            member = self.supervised.get(request.name)
            if member is not None:
                member.restart, member.rest = True, None
                self._ask_to_end(member)
            with suppress(OSError):
                request.unlink()

    # --- what is due

    def _start_if_due(self, member: Supervised) -> None:
        if member.state is ProcessState.STOPPED and member.restart:
            member.restart, member.due = False, self._clock()
            self._move(member, ProcessFact.WANTED)
        startable = member.state in (ProcessState.WAITING, ProcessState.RESTING)
        if not startable or self._clock() < member.due:
            return
        if any(self.supervised[name].state not in AVAILABLE for name in member.process.needs):
            return
        member.restarts += member.started > 0
        member.started = self._clock()
        self._move(member, ProcessFact.STARTED)
        try:
            member.child = self._start_process(member.process)
        except (OSError, EOFError) as error:  # no memory, file or process left: try again later
            self._say(f"{member.process.name} cannot be started: {error}")
            self._died(member)

    def _ask_to_end(self, member: Supervised) -> None:
        if member.state in (ProcessState.STOPPING, ProcessState.STOPPED):
            return
        member.due = self._clock() + STOP_S
        if member.child is not None:
            member.child.terminate()
        self._move(member, ProcessFact.ASKED)

    def _stop_last_group(self) -> None:
        """Ask the last processes of one kind to end, once all after them have ended."""
        for _, group in groupby(
            reversed(self.supervised.values()), key=lambda member: member.process.module
        ):
            members = list(group)
            for member in members:
                self._ask_to_end(member)
            if any(member.state is not ProcessState.STOPPED for member in members):
                return

    # --- what is shown

    def _move(self, member: Supervised, fact: ProcessFact) -> None:
        member.state = PROCESS_MACHINE.advance(member.process.name, member.state, fact)
        member.since = time.time()
        code = f" ({_exit_text(member.last_exit)})" if fact is ProcessFact.DIED else ""
        self._say(f"{member.process.name} {member.state}{code}")

    def _say(self, sentence: str) -> None:
        with suppress(OSError):  # a full disk must not end the supervision
            self._print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}")

    def _publish(self) -> None:
        """Write run/processes.json if it changed."""
        state = {
            "version": STATE_FORMAT,
            "supervisor": os.getpid(),
            "processes": [self._view(member) for member in self.supervised.values()],
        }
        text = json.dumps(state, indent=1).encode()
        if text != self._shown:
            with suppress(OSError):  # written again at the next turn
                write_atomically(self._settings.run / "processes.json", text)
                self._shown = text

    def _view(self, member: Supervised) -> dict[str, Any]:
        return {
            "name": member.process.name,
            "pid": member.child.pid if member.child is not None else None,
            "state": member.state,
            "restarts": member.restarts,
            "since": round(member.since, 3),
            "last_exit": member.last_exit,
            "log": str(self._settings.logs / f"{member.process.name}.log"),
        }


def _exit_text(code: int | None) -> str:
    if code is None:
        return "not started"
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        0; 1 if the configuration is unusable; 2 if another process works on the home.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="default: PROOFRAIL_HOME or .proofrail")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(options.home)
        settings = settings.model_copy(update={"home": settings.home.resolve()})
        with hold(settings.lock):
            supervise(settings)
    except HomeInUse as error:
        print(error, file=sys.stderr)
        return 2
    except Halt as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def supervise(settings: Settings) -> None:
    """Publish the addresses of the home's rail, then run its processes until a signal comes."""
    prepare(settings)
    processes.load_modules()
    table = processes.rail_processes(settings, os.getpid())
    supervisor = Supervisor(
        settings,
        table,
        partial(processes.start, logs=settings.logs),
        served=partial(_publish_api, settings),
        say=partial(_log, settings.logs / "supervisor.log"),
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    if settings.metrics_port:
        last = settings.metrics_port + 1 + len(table)
        serve_metrics(process_registry("supervisor"), last, structlog.get_logger())
    supervisor.run()


def prepare(settings: Settings) -> None:
    """Write what the processes read: rail.json, and the accounts of a simulated bank.

    Raises:
        Halt: the configuration names no bank account or no oracles.
    """
    if settings.safeguarding is None or not settings.oracles:
        raise Halt(
            f"{settings.home / CONFIGURATION} needs a [safeguarding] account and at least one "
            "[[oracles]] block, or there is no such file. Nothing was started. `proofrail init` "
            "writes one into a new home."
        )
    settings.logs.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # what an earlier rail said about itself is over
        (settings.home / STATUS_FILE).unlink()
    write_addresses(settings.home, configured_addresses(settings))
    if settings.bank_simulated:
        processes.write_bank_accounts(settings)


def _log(path: Path, line: str) -> None:
    """Print a line, and add it to the log where the output goes elsewhere."""
    print(line, flush=True)
    with path.open("a") as log:
        if not os.path.sameopenfile(log.fileno(), sys.stdout.fileno()):
            log.write(f"{line}\n")


def _publish_api(settings: Settings, name: str) -> None:
    """Publish where the API answers, which the orchestrator knows best."""
    if name == "orchestrator":
        with suppress(OSError, ValueError, KeyError):
            ready = json.loads((settings.run / "orchestrator.json").read_text())
            addresses = read_addresses(settings.home)
            if addresses["api_url"] != ready["api_url"]:
                write_addresses(settings.home, {**addresses, "api_url": ready["api_url"]})


if __name__ == "__main__":
    sys.exit(main())
