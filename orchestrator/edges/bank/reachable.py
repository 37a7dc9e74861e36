"""Finds out, cheaply, whether the bank can be reached through its channel."""

from __future__ import annotations

import os
from typing import Any

from orchestrator.edges.bank.channel import Folder

ALIVE = "alive"  # the simulated bank touches this file while it runs
_SILENT_S = 60


def bank_problem(channel: Any, now: int, fetch_s: int) -> str:
    """Return why the bank is not reached, "" if it is.

    Args:
        channel: The rail's channel: folders, SFTP, or another one that has `failure`.
        now: Unix seconds.
        fetch_s: A bank that leaves an order file in our folder for longer is silent.
    """
    if not isinstance(channel, Folder):
        return getattr(channel, "failure", "")
    try:
        for folder in (channel.outbox, channel.inbox):
            if not folder.is_dir():
                return f"the folder {folder} is missing"
        with os.scandir(channel.outbox) as entries:
            waiting = [
                (int(entry.stat().st_mtime), entry.name)
                for entry in entries
                if entry.is_file() and not entry.name.startswith(".")
            ]
        alive = channel.inbox.parent / ALIVE
        silent = now - int(alive.stat().st_mtime) if alive.exists() else 0
    except OSError as error:
        return f"its folders cannot be read: {error}"
    if silent > _SILENT_S:
        return f"the simulated bank has been silent for {silent} s"
    at, name = min(waiting, default=(now, ""))
    return f"it has not fetched {name} for {now - at} s" if now - at > fetch_s else ""
