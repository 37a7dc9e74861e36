"""`proofrail up`, `down`, `restart` and `ps`: the processes of a rail, as its supervisor runs them.

The supervisor is a process of its own (services/supervisor.py). These commands start it, read its
`run/processes.json`, and ask it by a file in `run/restart` or by SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.errors import Halt

AVAILABLE = ("ready", "done")  # the states of a process that works, or has done its work
STATE_FORMAT = 1  # of run/processes.json
HOPELESS_RESTARTS = 4  # a process that died so often while the rail starts is reported at once
STOP_PATIENCE_S = 180  # each of the processes gets 20 s
_POLL_S = 0.05
_LOG_LINES = 3  # shown of a process that does not get ready


def up(
    context: typer.Context,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the rail is ready.")
    ] = False,
    patience: Annotated[
        int, typer.Option(min=1, help="With --detach: give up waiting after so many seconds.")
    ] = 120,
) -> None:
    """Start the rail's processes and keep them running. Ctrl-C stops them all."""
    home = home_of(context)
    place, holder = home.settings.home, _holder(home)
    if holder is not None:
        typer.echo(f"The rail at {place} runs already (process {holder}); see `proofrail ps`.")
        return
    if not (place / "proofrail.toml").is_file():
        raise Halt(
            f"There is no rail to start at {place}: proofrail.toml is missing. Nothing was "
            "started. `proofrail init` makes a rail; for an existing one give its home with --home "
            "or PROOFRAIL_HOME."
        )
    command = [sys.executable, "-m", "services.supervisor", "--home", str(place.resolve())]
    if not detach:
        os.execv(sys.executable, command)  # so that signals reach the supervisor itself
    _start(home, command, patience)
    typer.echo(
        f"The rail at {place} is ready: API at {_published(place).get('api_url')}. "
        "`proofrail ps` shows its processes, `proofrail down` stops them."
    )


def down(context: typer.Context) -> None:
    """Stop the rail's processes, the orchestrator first."""
    home = home_of(context)
    place, holder = home.place, _holder(home)
    if holder is None:
        typer.echo(f"The rail at {place} is not running.")
        return
    try:
        os.kill(holder, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended
    except PermissionError as error:
        raise Halt(
            f"The rail at {place} runs as process {holder} of another user. Nothing "
            "was stopped. Run this command as that user."
        ) from error
    _wait_until(
        lambda: _holder(home) != holder,
        STOP_PATIENCE_S,
        lambda: (
            f"Process {holder} has not ended {STOP_PATIENCE_S} s after it was asked to stop. "
            "`proofrail ps` shows which of its processes still run; run this command again."
        ),
    )
    typer.echo(f"The rail at {place} has stopped.")


def restart(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name that `proofrail ps` shows.")],
    patience: Annotated[int, typer.Option(min=1, help="Give up waiting after so many seconds.")] = (
        120
    ),
) -> None:
    """Stop one process of the running rail and start it again."""
    home = home_of(context)
    before = _process(home, name)
    folder = home.settings.run / "restart"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()

    def is_back() -> bool:
        now = _process(home, name)
        taken = not (folder / name).exists() and now["since"] != before["since"]
        return taken and now["state"] in AVAILABLE and now["restarts"] > before["restarts"]

    _wait_until(is_back, patience, lambda: _unready(home, [_process(home, name)], patience))
    typer.echo(f"{name} is {_process(home, name)['state']} again.")


def ps(context: typer.Context, as_json: Json = False) -> None:
    """Show the rail's processes. Exit code 1 unless all of them are ready."""
    home = home_of(context)
    holder, processes = _holder(home), read_processes(home.settings.run)
    if holder is None and processes:  # the supervisor was killed: its processes ended with it
        processes = [process | {"pid": None, "state": "stopped"} for process in processes]
    view = {"home": str(home.settings.home), "supervisor": holder, "processes": processes or []}
    output.show(view, as_json, lambda console: _render(console, view))
    working = holder is not None and bool(processes)
    ready = working and all(process["state"] in AVAILABLE for process in processes or [])
    raise typer.Exit(0 if ready else output.NO)


def _render(console: Any, view: dict[str, Any]) -> None:
    rows = [
        (
            process["name"],
            process["state"],
            process["pid"] or "-",
            process["restarts"],
            when(int(process["since"])),
            "-" if process["last_exit"] is None else process["last_exit"],
            process["log"],
        )
        for process in view["processes"]
    ]
    columns = ("process", "state", ">pid", ">restarts", "since (UTC)", ">last exit", "log")
    if rows:
        console.print(table("processes", columns, rows))
    if view["supervisor"] is None:
        console.print(plain(f"The rail at {view['home']} is not running; `proofrail up` starts it"))
    elif not rows:
        console.print(
            plain(f"Process {view['supervisor']} works on {view['home']}, without a supervisor")
        )


def read_processes(run: Path, supervisor: int | None = None) -> list[dict[str, Any]] | None:
    """Return what the supervisor wrote last about each process.

    None if it wrote nothing, or nothing that this version can read; both pass when it writes again.

    Args:
        run: the folder `run` of the home.
        supervisor: only what this process wrote counts; None: also what an earlier one left.
    """
    try:
        state = json.loads((run / "processes.json").read_bytes())
        if supervisor is not None and state["supervisor"] != supervisor:
            return None
        return state["processes"] if state["version"] == STATE_FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder(home: Home) -> int | None:
    from orchestrator.home_lock import LOCK_FILE, holder

    return holder(home.place / LOCK_FILE)


def _process(home: Home, name: str) -> dict[str, Any]:
    """Return the state of a process of the running rail; raise Halt if there is none."""
    if _holder(home) is None:
        raise Halt(
            f"The rail at {home.settings.home} is not running, so nothing was restarted. "
            "`proofrail up` starts all of it."
        )
    processes = {process["name"]: process for process in read_processes(home.settings.run) or []}
    if name not in processes:
        raise Halt(
            f"The rail at {home.settings.home} has no process {name!r}. Nothing was restarted. "
            f"Its processes: {', '.join(processes) or 'none with a supervisor'}."
        )
    return processes[name]


def _start(home: Home, command: list[str], patience_s: int) -> None:
    """Start the supervisor and return when the rail is ready."""
    settings = home.settings
    settings.logs.mkdir(parents=True, exist_ok=True)
    log = settings.logs / "supervisor.log"
    before = {path.resolve(): path.stat().st_size for path in settings.logs.glob("*.log")}
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )

    def is_ready() -> bool:
        if process.poll() is not None:
            raise Halt(
                f"The rail did not start (exit {process.returncode}): {_last_lines(log, 1)} "
                "Nothing runs. See `proofrail logs supervisor`."
            )
        processes = read_processes(settings.run, process.pid) or []
        if any(process["restarts"] >= HOPELESS_RESTARTS for process in processes):
            raise Halt(_unready(home, processes, 0, before))
        available = processes and all(entry["state"] in AVAILABLE for entry in processes)
        return bool(available) and _answers_ready(_published(settings.home).get("api_url"))

    _wait_until(
        is_ready,
        patience_s,
        lambda: _unready(home, read_processes(settings.run, process.pid) or [], patience_s, before),
    )


def _published(home: Path) -> dict[str, Any]:
    from orchestrator.addresses import read_addresses

    return read_addresses(home)


def _answers_ready(url: str | None) -> bool:
    """Return whether the API says that the rail is ready."""
    if url is None:
        return False
    # it may listen under a name for others; nothing secret is sent to it here
    unchecked = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=5, context=unchecked) as reply:
            return reply.status == 200
    except OSError:  # HTTPError, such as 503, is one
        return False


def _wait_until(holds: Callable[[], bool], patience_s: float, complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise Halt(complaint())
        time.sleep(_POLL_S)


def _unready(
    home: Home,
    processes: Sequence[dict[str, Any]],
    waited_s: int,
    before: Mapping[Path, int] | None = None,
) -> str:
    """Return the sentence about a rail that does not get ready, with the end of a log.

    Args:
        before: the sizes of the logs before this start; what an earlier one wrote is not shown.
    """
    late = [process for process in processes if process["state"] not in AVAILABLE]
    after = f" after {waited_s} s" if waited_s else ""
    if not processes:
        return (
            f"The rail at {home.settings.home} is not ready{after}: its supervisor has started no "
            "process yet. See `proofrail logs supervisor`; `proofrail down` stops it."
        )
    if not late:
        return (
            f"The rail at {home.settings.home} is not ready{after}, though all its processes run. "
            "`proofrail status` says why. It goes on trying; `proofrail down` stops it."
        )
    # a process that only waits for another one is not the cause
    first = max(late, key=lambda process: (process["restarts"], process["state"] != "waiting"))
    log = Path(first["log"])
    states = ", ".join(f"{process['name']} is {process['state']}" for process in late)
    return (
        f"The rail at {home.settings.home} is not ready{after}: {states}. {first['name']} was "
        f"started {first['restarts'] + 1} times; its log ends: "
        f"{_last_lines(log, _LOG_LINES, (before or {}).get(log.resolve(), 0))} It goes on trying; "
        f"`proofrail logs {first['name']}` shows more, `proofrail down` stops it."
    )


def _last_lines(log: Path, count: int, start: int = 0) -> str:
    """Return the last different lines of a log: a process that dies again repeats itself.

    Args:
        start: bytes that are older; a log that is shorter now was begun again.
    """
    try:
        content = log.read_bytes()
        recent = content[start:] if len(content) > start else content
        lines = [line.strip() for line in recent.decode(errors="replace").splitlines()]
    except OSError:
        lines = []
    different = list(dict.fromkeys(line for line in reversed(lines) if line))[:count]
    return " / ".join(reversed(different)) or "(nothing)."
