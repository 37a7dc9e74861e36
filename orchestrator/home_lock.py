"""One process at a time works on a home: a locked file that names the process that holds it.

The kernel ends the lock with its process, so that a file left by a killed one does no harm.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import Halt

_TRY_S = 0.5  # longer than a look by `holder`, which holds a shared lock for a moment
_POLL_S = 0.02

LOCK_FILE = "rail.lock"  # in the home and not in run/, which may be deleted while the rail runs


class HomeInUse(Halt):
    """Another process works on this home."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock of a home within the block; the file then has this process's id.

    Args:
        path: the lock file of the home; its folder is created.

    Raises:
        HomeInUse: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        deadline = time.monotonic() + _TRY_S
        while not _locked(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise HomeInUse(
                    f"Process {_pid(path)} works on this home already ({path} is locked). Nothing "
                    "was started. Stop that process first, or give another home."
                )
            time.sleep(_POLL_S)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(path: Path) -> int | None:
    """Return the id of the process that holds the lock; None if no process does."""
    try:
        with path.open("rb") as file:
            return None if _locked(file.fileno(), fcntl.LOCK_SH) else _pid(path)
    except FileNotFoundError:
        return None


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(path: Path) -> int:
    """Return the id in the file; -1 while its holder has not written it yet."""
    text = path.read_text().strip()
    return int(text) if text.isdigit() else -1
