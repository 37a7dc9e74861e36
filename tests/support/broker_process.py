"""Starts and stops a real broker process for the flow tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.inlets.log_inlet import Inlet
from device_adapters.types import LogPosition, Message
from orchestrator.edges.broker import credentials

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120  # longest wait; no test depends on the speed


class BrokerProcess:
    """One broker over `home`; `password` issues the passwords of names.

    Attributes:
        port: Of MQTT. nats_port: of the readers. server_pid: of nats-server, the broker's child.
        position: Where the inlets of this test begin in the log; None for its beginning.
        settings: Environment variables of the process, without PROOFRAIL_ in front.
    """

    def __init__(self, home: Path, **settings: object) -> None:
        self.home, self.port, self.nats_port = home, 0, 0
        self.position: LogPosition | None = None
        self._settings = {f"PROOFRAIL_{key.upper()}": str(v) for key, v in settings.items()}
        self._passwords: dict[str, str] = {}
        self._open: list[DeviceLink | Inlet] = []

    def start(self) -> BrokerProcess:
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "services.broker", "--home", str(self.home)]
        command += ["--port", str(self.port), "--nats-port", str(self.nats_port)]
        self._process = subprocess.Popen(
            [*command, "--ready-file", str(ready)], cwd=ROOT, env={**os.environ, **self._settings}
        )
        until(lambda: ready.exists() or self._process.poll() is not None)
        state = json.loads(ready.read_text())
        assert state["broker"] == "nats"
        self.port, self.nats_port = state["port"], state["nats_port"]
        return self

    @property
    def server_pid(self) -> int:
        """Return the process id of nats-server."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        (child,) = children.read_text().split()
        return int(child)

    def password(self, name: str, role: str) -> str:
        if name not in self._passwords:
            self._passwords[name] = credentials.issue(self.home, name, role)
        return self._passwords[name]

    def inlet(self, name: str = "rail", role: str = "rail", **more: object) -> Inlet:
        inlet = Inlet(HOST, self.nats_port, name, self.password(name, role), self.position, **more)
        self._open.append(inlet)
        assert until(lambda: inlet.wait_ready(1)), inlet.refusal
        return inlet

    def link(self, name: str) -> DeviceLink:
        link = DeviceLink(HOST, self.port, name, self.password(name, "device"))
        self._open.append(link)
        assert until(lambda: link.wait_ready(1)), link.refusal
        return link

    def begin_here(self) -> None:
        """Close all connections and let later inlets begin at the present end of the log."""
        self.close_all()
        marker, mark = self.link("marker"), b"mark %d" % time.monotonic_ns()
        marker.publish(mark)
        self.position = take(self.inlet(), mark)[-1].position
        self.close_all()

    def close_all(self) -> None:
        for connection in self._open:
            connection.close()
        self._open.clear()

    def end(self) -> None:
        self.close_all()
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Kill the broker; nats-server dies with it, as in a power cut."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def wait_ended(self) -> int:
        """Wait until the broker ended by itself and return its exit code."""
        return self._process.wait(PATIENCE_S)


def until(condition):
    """Poll until the condition holds or the patience ends; return its last value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def take(inlet: Inlet, *wanted: bytes) -> list[Message]:
    """Take messages until all of `wanted` have arrived, in any order."""
    messages: list[Message] = []
    missing = set(wanted)
    watchdog = threading.Timer(PATIENCE_S, inlet.close)
    watchdog.start()
    try:
        for batch in inlet.batches(max_wait_s=0.1):
            messages += batch
            missing -= {message.body for message in batch}
            if not missing:
                return messages
    finally:
        watchdog.cancel()
    raise AssertionError(f"{len(missing)} never came, such as {min(missing)!r}")


def once(messages: Iterable[Message]) -> list[bytes]:
    """Return the bodies in the order of their first arrival: QoS 1 may repeat a message."""
    return list(dict.fromkeys(message.body for message in messages))
