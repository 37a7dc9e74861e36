"""Starts and stops a real broker process for the flow tests."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from device_adapters.inlets import DeviceLink, Inlet
from device_adapters.types import Message
from orchestrator.edges.broker import credentials, mosquitto

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
BROKERS = ["amqtt", "mosquitto"]
PATIENCE_S = 120  # longest wait; no test depends on the speed


class BrokerProcess:
    """One broker over `home`; `password` issues the passwords of names."""

    def __init__(self, home: Path, kind: str = "amqtt") -> None:
        if kind == "mosquitto" and mosquitto.executable() is None:
            pytest.skip("mosquitto is not installed")
        self.home, self.kind, self.port = home, kind, 0
        self._passwords: dict[str, str] = {}
        self._open: list[DeviceLink | Inlet] = []

    def start(self) -> BrokerProcess:
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "services.broker", "--home", str(self.home)]
        command += ["--port", str(self.port), "--ready-file", str(ready)]
        command += ["--embedded"] if self.kind == "amqtt" else []
        self._process = subprocess.Popen(command, cwd=ROOT)
        until(lambda: ready.exists() or self._process.poll() is not None)
        state = json.loads(ready.read_text())
        assert state["broker"] == self.kind
        self.port = state["port"]
        return self

    def password(self, name: str, role: str) -> str:
        if name not in self._passwords:
            self._passwords[name] = credentials.issue(self.home, name, role)
        return self._passwords[name]

    def inlet(self, name: str = "rail", role: str = "rail") -> Inlet:
        inlet = Inlet(HOST, self.port, name, self.password(name, role))
        self._open.append(inlet)
        assert until(lambda: inlet.wait_ready(1)), inlet.refusal
        return inlet

    def link(self, name: str) -> DeviceLink:
        link = DeviceLink(HOST, self.port, name, self.password(name, "device"))
        self._open.append(link)
        assert until(lambda: link.wait_ready(1)), link.refusal
        return link

    def end(self) -> None:
        for connection in self._open:
            connection.close()
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)


def until(condition):
    """Poll until the condition holds or the patience ends; return its last value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def take(inlet: Inlet, *wanted: bytes, ack: bool = True) -> list[Message]:
    """Take (and acknowledge) messages until all of `wanted` have arrived, in any order."""
    messages: list[Message] = []
    missing = set(wanted)
    watchdog = threading.Timer(PATIENCE_S, inlet.close)
    watchdog.start()
    try:
        for batch in inlet.batches(max_wait_s=0.1):
            if ack:
                inlet.ack(batch)
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
