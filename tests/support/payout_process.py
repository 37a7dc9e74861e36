"""Order payouts in separate processes, each killed at a point where a power cut matters.

    python payout_process.py     # a line of JSON in, as `run` takes it; "killed" or "done" out

Points are before and after each commit, fsync, rename and upload. Each process is a fork of one
that has imported everything: to start Python for each point would take minutes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko

from orchestrator.edges.bank.channel import open_channel
from orchestrator.edges.store import Session, Store
from orchestrator.settings import Settings
from orchestrator.steps.payouts import order_payouts, send_files
from tests.support.bare_rail import CHAIN_ID
from tests.support.rail_builder import context_of_stand_ins

_POINTS = (
    (Session, "commit"),
    (os, "fsync"),
    (os, "replace"),
    (paramiko.SFTPFile, "write"),
    (paramiko.SFTPClient, "posix_rename"),
)


class Countdown:
    """Kills this process at its n-th point; 0 for never."""

    def __init__(self, point: int) -> None:
        self._left = point

    def reach(self) -> None:
        """Count one point, and kill the process at the last one."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, owner: Any, name: str) -> None:
        """Add a point before and after each call of a function."""
        real = getattr(owner, name)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.reach()
            result = real(*arguments, **keywords)
            self.reach()
            return result

        setattr(owner, name, counted)


def run(home: str, channel: str, safeguarding: dict[str, Any], now: int, point: int) -> None:
    """Do what a worker's start and turn do for payouts."""
    settings = Settings(home=Path(home), bank_channel=channel)
    rail = context_of_stand_ins(
        settings,
        Store(Path(home) / "rail.sqlite3"),
        lambda: now,
        chain=SimpleNamespace(deployment=SimpleNamespace(chain_id=CHAIN_ID)),
        bank=open_channel(settings),
        safeguarding=safeguarding,
    )
    countdown = Countdown(point)
    for owner, name in _POINTS:
        countdown.wrap(owner, name)
    send_files(rail)
    order_payouts(rail)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(**json.loads(line))
            except BaseException as error:
                print(f"failed: {error!r}", flush=True)
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("killed", flush=True)
        elif os.WEXITSTATUS(status) == 0:
            print("done", flush=True)


if __name__ == "__main__":
    main()
