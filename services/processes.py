"""The processes of a rail: one table, and the one place that starts them.

A process begins as a fork of a server that has loaded the modules of all of them. Loading them
takes seconds, a fork takes milliseconds; so a whole rail starts, and a process that died comes
back, about as fast as one process loads.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from orchestrator.edges.bank.files import write_atomically
from orchestrator.settings import OracleSettings, Settings
from services.testnet import die_with_parent

# the modules of long-running processes, in the order in which the server loads them
PRELOADED = (
    "services.chain.__main__",
    "services.set_up",
    "services.oracle",
    "services.broker",
    "services.bank",
    "services.orchestrator",
)
_PAST_S = 2 * 3_600  # older than the oldest reading that a simulated meter sends
# what ends a terminal's session or a system service must not end the server before its processes
_DEFERRED = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Process:
    """One process of a rail, which runs `python -m MODULE ARGUMENTS`.

    Attributes:
        name: what people call it; also the name of its log.
        needs: the processes that are ready before this one starts.
        ready: the file that it writes once it serves; None for a job, which is ready when it has
            ended with 0.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    ready: Path | None = None

    @property
    def job(self) -> bool:
        return self.ready is None

    def serves(self) -> bool:
        """Return whether it has written its ready file."""
        return self.ready is not None and self.ready.exists()


def rail_processes(settings: Settings, supervisor: int) -> list[Process]:
    """Return the processes that `proofrail up` starts on this machine, in the order of their start.

    A part of the rail that is elsewhere (not `embedded`) has no process here, and nothing waits
    for it.

    Args:
        supervisor: the id of the process that starts them and holds the lock of the home.
    """
    processes = [
        *([chain_process(settings)] if settings.chain_embedded else []),
        set_up_job(settings),
        *([broker_process(settings)] if settings.broker_embedded else []),
        *(oracle_process(settings, oracle) for oracle in settings.oracles if oracle.embedded),
        *([bank_process(settings)] if settings.bank_simulated else []),
        orchestrator_process(settings, "--supervisor", str(supervisor)),
    ]
    if settings.metrics_port:  # the orchestrator serves at that port itself
        ports = enumerate(processes, settings.metrics_port + 1)
        processes = [_with_metrics(process, port) for port, process in ports]
    names = {process.name for process in processes}
    return [_without_absent_needs(process, names) for process in processes]


def _with_metrics(process: Process, port: int) -> Process:
    if process.job or process.name == "orchestrator":
        return process
    return replace(process, arguments=(*process.arguments, "--metrics-port", str(port)))


def _without_absent_needs(process: Process, names: set[str]) -> Process:
    needs = tuple(name for name in process.needs if name in names)
    return replace(process, needs=needs)


def chain_process(settings: Settings) -> Process:
    """The local chain, on the port of `rpc_url`."""
    port = settings.rpc_url.rstrip("/").rpartition(":")[2]
    ready = settings.run / "chain.json"
    arguments = ("--home", str(settings.home), "--port", port, "--ready-file", str(ready))
    arguments += ("--depth", str(settings.finality_blocks))
    # a new chain begins in the past, so that what is installed at its start is not brand-new
    arguments += ("--timestamp", str(int(time.time()) - _PAST_S))
    return Process("chain", "services.chain.__main__", arguments, ready=ready)


def set_up_job(settings: Settings) -> Process:
    """The job that deploys the contracts and makes what is missing in the home."""
    return Process("set-up", "services.set_up", ("--home", str(settings.home)), ("chain",))


def broker_process(settings: Settings, *extra: str) -> Process:
    """The broker; it reads who may log in from the home."""
    ready = settings.run / "broker.json"
    arguments = ("--home", str(settings.home), "--port", str(settings.broker_port))
    if settings.nats_port:
        arguments += ("--nats-port", str(settings.nats_port))
    arguments += ("--host", settings.broker_host, "--ready-file", str(ready), *extra)
    return Process("broker", "services.broker", arguments, ready=ready)


def oracle_process(settings: Settings, oracle: OracleSettings, *extra: str) -> Process:
    """One oracle, with its own home under the rail's and the port of its URL."""
    name, home = f"oracle-{oracle.name}", settings.home / "oracles" / oracle.name
    ready = settings.run / f"{name}.json"
    options = {
        "name": oracle.name,
        "domain": oracle.domain,
        "reader": oracle.reader,
        "home": home,
        "rpc": settings.rpc_url,
        "deployment": settings.deployment,
        "broker-host": settings.broker_host,
        "broker-port": settings.nats_port,
        "broker-user": oracle.name,
        "broker-password-file": home / "broker.password",
        "http-port": oracle.url.rstrip("/").rpartition(":")[2],
        "keystore": home / "key.json",
        "password-file": home / "password",
        "token-file": home / "token",
        "ready-file": ready,
    }
    needs = ("set-up", "broker")
    return Process(name, "services.oracle", (*_arguments(options), *extra), needs, ready)


def _arguments(options: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(text for key, value in options.items() for text in (f"--{key}", str(value)))


def bank_process(settings: Settings) -> Process:
    """The simulated bank, in the folder `bank` of the home."""
    home = settings.home / "bank"
    arguments = ("--home", str(home), "serve", "--config", str(home / "config.json"))
    return Process("bank", "services.bank", arguments, ready=home / "ready")


def orchestrator_process(settings: Settings, *extra: str) -> Process:
    """The orchestrator; it finds all others in rail.json."""
    ready = settings.run / "orchestrator.json"
    arguments = ("--home", str(settings.home), "--ready-file", str(ready), *extra)
    return Process(
        "orchestrator", "services.orchestrator", arguments, ("set-up", "broker", "bank"), ready
    )


def write_bank_accounts(settings: Settings) -> None:
    """Write the accounts with which a simulated bank begins: the rail's own."""
    own = settings.safeguarding
    account = {"iban": own.iban, "name": own.name, "kind": "safeguarding", "balance_cents": 0}
    text = json.dumps({"accounts": [account]}, indent=1).encode()
    write_atomically(settings.home / "bank" / "config.json", text)


def load_modules() -> None:
    """Start the server of forks, which loads the modules; return at once.

    Whoever calls this early saves the first `start` the wait. A server that has died is replaced.
    """
    forkserver.set_forkserver_preload(list(PRELOADED))
    resource_tracker.ensure_running()  # its start unblocks signals, so it comes first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)  # the server inherits this
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(
    process: Process, logs: Path, environment: Mapping[str, str] | None = None
) -> ForkServerProcess:
    """Start a process, which ends with this one; its output is appended to its log.

    Args:
        environment: variables that it has in addition to those of this process.
    """
    if process.ready is not None:
        process.ready.parent.mkdir(parents=True, exist_ok=True)
        process.ready.unlink(missing_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    load_modules()
    child = multiprocessing.get_context("forkserver").Process(
        target=_run,
        name=process.name,
        args=(process, logs / f"{process.name}.log", dict(environment or {})),
        daemon=True,  # so that it is asked to end where this process ends by an error
    )
    child.start()
    return child


def _run(process: Process, log: Path, environment: dict[str, str]) -> None:
    """Become the process: this runs in the fork."""
    os.setsid()  # Ctrl-C at the terminal is for whoever started the rail
    die_with_parent()  # the server of forks
    threading.Thread(target=_end_with_starter, name="end-with-starter", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEFERRED)
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(environment)
    sys.argv = [process.module, *process.arguments]
    sys.exit(importlib.import_module(process.module).main())


def _end_with_starter() -> None:
    """End this process as a power cut does once the process that started it has ended."""
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGKILL)
