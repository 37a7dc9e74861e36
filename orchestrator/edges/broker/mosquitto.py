"""Runs mosquitto as a child process with the same rights, generated from the credentials."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import getpass
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from device_adapters.topics import EVIDENCE_FILTER
from device_adapters.types import MAX_MESSAGE_BYTES
from orchestrator.edges.broker.access import CredentialRole
from orchestrator.edges.broker.credentials import Credential, path, replace_private
from orchestrator.edges.broker.guard import Guard
from orchestrator.errors import Halt

_WATCH_SECONDS = 0.5
_START_SECONDS = 10

# By default mosquitto drops QoS 1 messages beyond 1,000 queued ones. With the username as client id
# no client can take over another's session.
_CONFIG = """\
listener {port} 127.0.0.1
user {user}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
use_username_as_clientid true
max_queued_messages 0
max_inflight_messages 0
message_size_limit {limit}
retain_available false
persistence false
sys_interval 0
log_type error
log_dest stderr
"""
_RIGHTS = {
    CredentialRole.DEVICE: (
        "topic write proofrail/{name}/evidence/+\ntopic read proofrail/{name}/receipts\n"
    ),
    CredentialRole.ORACLE: f"topic read {EVIDENCE_FILTER}\n",
    CredentialRole.RAIL: f"topic read {EVIDENCE_FILTER}\ntopic write proofrail/+/receipts\n",
}


def executable() -> str | None:
    """Return the path of mosquitto; Debian's folder for it is not on every user's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def acl_text(credentials: dict[str, Credential]) -> str:
    """Return the ACL file. It denies first: some versions read an empty file as no limits."""
    rows = [
        f"user {name}\n" + _RIGHTS[credential.role].format(name=name)
        for name, credential in credentials.items()
    ]
    return "topic deny #\n" + "\n".join(rows)


async def serve(home: Path, port: int, ready: Any, stop: asyncio.Event) -> None:
    """Run mosquitto until `stop` is set; call `ready(port)` once it listens.

    Raises:
        Halt: mosquitto does not start, or ends by itself.
    """
    folder, guard = path(home).parent.resolve(), Guard(home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = port or _free_port()
    _write_rights(folder, guard)
    config = _CONFIG.format(
        port=port, folder=folder, user=getpass.getuser(), limit=MAX_MESSAGE_BYTES
    )
    replace_private(folder / "mosquitto.conf", config.encode())
    child = await asyncio.create_subprocess_exec(
        executable() or "mosquitto",
        "-c",
        str(folder / "mosquitto.conf"),
        preexec_fn=_end_with_parent,
    )
    try:
        await _until_it_listens(child, port)
        ready(port)
        await _watch(child, folder, guard, stop)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


async def _watch(child: Any, folder: Path, guard: Guard, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _WATCH_SECONDS)
        if child.returncode is not None:
            raise Halt(f"mosquitto ended with code {child.returncode}")
        if guard.refresh():
            _write_rights(folder, guard)
            child.send_signal(signal.SIGHUP)


def _write_rights(folder: Path, guard: Guard) -> None:
    lines = [item.mosquitto_line(name) + "\n" for name, item in guard.credentials.items()]
    replace_private(folder / "passwords", "".join(lines).encode())
    replace_private(folder / "acl", acl_text(guard.credentials).encode())


async def _until_it_listens(child: Any, port: int) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_SECONDS
    while loop.time() < deadline and child.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise Halt("mosquitto does not listen")


def _end_with_parent() -> None:
    """Have Linux end mosquitto when this process is killed; on other systems it may stay."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
