"""Sends later outcomes of records to devices, again and again until they are acknowledged.

Each message to a device has its oldest open outcomes; what follows waits for their acknowledgement.
So a device gets them in order, and one that never answers costs one message in a growing pause.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from device_adapters.topics import outcomes_topic
from orchestrator.core.later_outcome import sign_outcomes
from orchestrator.core.receipt import Receipts
from orchestrator.edges.store import Store, later_outcomes
from orchestrator.errors import passing_trouble

_POLL_S = 1.0
_DEVICES_AT_ONCE = 50  # a second: more wait, so that a fleet that is back does not flood the broker
_OUTCOMES_READ = 250  # more do not fit one message


class Outlet(Protocol):
    """What publishes (topic, body) messages and returns how many; `log_inlet.Inlet` does."""

    def publish_many(self, items: Iterable[tuple[str, bytes]]) -> int: ...


class OutcomeSender:
    """The loop that sends later outcomes; nothing in a device's outcomes can end it.

    now: Unix seconds.
    """

    def __init__(
        self, store: Store, outlet: Outlet, receipts: Receipts, now: Callable[[], float], log: Any
    ) -> None:
        self._store, self._outlet, self._receipts = store, outlet, receipts
        self._now, self._log = now, log
        self._stop = threading.Event()

    def run(self) -> None:
        """Send what is due, about once a second, until `stop`."""
        while not self._stop.wait(_POLL_S):
            try:
                self.turn()
            except Exception as error:  # the same outcomes are due in the next turn
                trouble = passing_trouble(error)
                self._log.error("outcomes not sent", error=trouble or repr(error))

    def stop(self) -> None:
        """End `run` after the current turn."""
        self._stop.set()

    def turn(self) -> int:
        """Send one message to each device that is due, and return how many were sent.

        A message that was sent and not noted here is sent again: a device knows outcomes by id.
        """
        now = int(self._now())
        with self._store.read() as session:
            devices = later_outcomes.due(session, now, _DEVICES_AT_ONCE)
            open_outcomes = {
                device: later_outcomes.page(session, device, 0, _OUTCOMES_READ, open_only=True)
                for device in devices
            }
        messages = [
            message
            for device, rows in open_outcomes.items()
            if rows and (message := self._message(device, rows, now)) is not None
        ]
        count = self._outlet.publish_many(messages) if messages else 0
        if devices and (count or not messages):
            with self._store.write() as session:
                later_outcomes.sent(session, devices, now)
        return count

    def _message(self, device: str, rows: Any, now: int) -> tuple[str, bytes] | None:
        try:
            return outcomes_topic(device), sign_outcomes(self._receipts, device, rows, now)[0]
        except Exception as bug:  # the other devices' outcomes still go out
            self._log.error("outcomes not signed", device=device, error=str(bug), exc_info=True)
            return None
