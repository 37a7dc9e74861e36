"""Small processes to supervise: they load in no time and do what their options say.

    python -m tests.support.tiny_services supervise HOME

supervises two of them, as services/supervisor.py does the rail's.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from functools import partial
from pathlib import Path

from orchestrator.home_lock import hold
from orchestrator.settings import Settings
from services import processes
from services.processes import Process
from services.supervisor import Supervisor

MODULE = "tests.support.tiny_services"


def tiny_process(home: Path, name: str, *needs: str) -> Process:
    """Return a process that serves until SIGTERM."""
    ready = home / "run" / f"{name}.json"
    return Process(name, MODULE, ("serve", "--ready-file", str(ready)), needs, ready)


def main() -> int:
    """Serve, or supervise two that serve."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve")
    serving.add_argument("--ready-file", type=Path, required=True)
    commands.add_parser("supervise").add_argument("home", type=Path)
    options = parser.parse_args()
    if options.command == "serve":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print(f"serving with mark {os.environ.get('PROOFRAIL_TEST_MARK', '-')}", flush=True)
        options.ready_file.write_text("{}")
        while True:
            signal.pause()
    supervise(Settings(home=options.home))
    return 0


def supervise(settings: Settings) -> None:
    """Keep `one`, and `two` that needs it, until SIGTERM."""
    processes.PRELOADED = (MODULE,)
    home = settings.home
    with hold(settings.lock):
        supervisor = Supervisor(
            settings,
            [tiny_process(home, "one"), tiny_process(home, "two", "one")],
            partial(processes.start, logs=settings.logs),
        )
        signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
        supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
