"""Commands in processes of their own that begin as forks, as the processes of a rail do.

Loading the modules of a command takes seconds, a fork takes milliseconds. tests/flow/test_wheel.py
and tests/flow/test_wheel_story.py start the installed program itself.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from services import processes

MODULE = "orchestrator.cli"


def run_commands(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], patience_s: float
) -> list[subprocess.CompletedProcess[str]]:
    """Run `proofrail` once per list of arguments, all at the same time.

    Args:
        environment: all variables of the processes.
        patience_s: how long they may take.

    Raises:
        subprocess.TimeoutExpired: one does not end.
    """
    processes.load_modules()
    context = multiprocessing.get_context("forkserver")
    deadline = time.monotonic() + patience_s
    with tempfile.TemporaryDirectory(prefix="commands-") as folder:
        outputs = [
            (Path(folder) / f"{number}.out", Path(folder) / f"{number}.err")
            for number in range(len(commands))
        ]
        started = [
            context.Process(target=_become, args=(list(command), dict(environment), *output))
            for command, output in zip(commands, outputs, strict=True)
        ]
        for process in started:
            process.start()
        for process, command in zip(started, commands, strict=True):
            process.join(max(0, deadline - time.monotonic()))
            if process.exitcode is None:
                for running in started:
                    running.kill()
                raise subprocess.TimeoutExpired(list(command), patience_s)
        return [
            subprocess.CompletedProcess(
                ["proofrail", *command], process.exitcode, out.read_text(), err.read_text()
            )
            for process, command, (out, err) in zip(started, commands, outputs, strict=True)
        ]


def _become(arguments: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    """Become the command: this runs in the fork."""
    for number, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["proofrail", *arguments]
    sys.exit(importlib.import_module(MODULE).main())
