"""Feeds an inlet's batches through the intake: commit first, then receipts, then the ack."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from device_adapters.inlets import Inlet, receipts_topic
from device_adapters.types import Message
from orchestrator.core.receipt import Receipts
from orchestrator.errors import Retry
from orchestrator.ingest.intake import Intake, RecordOutcome

_PATIENCE_S = 0.5
_RECORDS_PER_RECEIPT = 250  # some 70 kB: small devices have to read it
_T = TypeVar("_T")


class InletLoop:
    """One MQTT inlet of one rail. `taken` counts records; no message ever ends the loop."""

    def __init__(
        self, inlet: Inlet, intake: Intake, receipts: Receipts, now: Callable[[], float], log: Any
    ) -> None:
        self._inlet, self._intake, self._receipts = inlet, intake, receipts
        self._now, self._log = now, log
        self._stop = threading.Event()
        self.taken = 0

    def run(self) -> None:
        """Until `stop`: whatever happens to one batch, the next one is read."""
        for messages in self._inlet.batches():
            if self._stop.is_set():
                return
            if messages:
                self._take(messages)

    def stop(self) -> None:
        self._stop.set()

    def _take(self, messages: Sequence[Message]) -> None:
        try:
            outcomes = self._patiently(lambda: self._intake.take(messages))
        except Exception as bug:
            self._log.error("intake failed", messages=len(messages), error=str(bug), exc_info=True)
            self._one_by_one(messages, bug)
            return
        if outcomes is None:
            return
        self.taken += sum(map(len, outcomes))
        try:
            self._inlet.publish_many(self._signed(messages, outcomes))
        except Exception as bug:  # all is stored: a device without a receipt sends again
            self._log.error("receipts failed", error=str(bug), exc_info=True)
        self._inlet.ack(messages)

    def _patiently(self, work: Callable[[], _T]) -> _T | None:
        """What the work gives once chain and store are there; None if told to stop before."""
        while not self._stop.is_set():
            try:
                return work()
            except Retry as delay:  # the broker keeps the messages
                self._log.info("intake waits", reason=str(delay))
                self._stop.wait(_PATIENCE_S)
        return None

    def _one_by_one(self, messages: Sequence[Message], bug: Exception) -> None:
        """A bug of ours must cost no neighbour anything: the message behind it is put aside."""
        if len(messages) > 1:
            for message in messages:
                self._take([message])
            return
        try:
            self._patiently(lambda: self._intake.put_aside(messages[0], str(bug)))
        except Exception as second:  # not acknowledged: the broker keeps what we could not
            self._log.error("message not kept", error=str(second), exc_info=True)
            return
        if not self._stop.is_set():
            self._inlet.ack(messages)

    def _signed(
        self, messages: Sequence[Message], outcomes: Sequence[Sequence[RecordOutcome]]
    ) -> list[tuple[str, bytes]]:
        """Receipts by device, each to the topic whose owner the broker vouched for."""
        by_device: dict[str, list[RecordOutcome]] = defaultdict(list)
        for message, found in zip(messages, outcomes, strict=True):
            if message.device:
                by_device[message.device] += found
        at = int(self._now())
        return [
            (receipts_topic(device), self._receipts.sign(device, found[start : start + many], at))
            for many in (_RECORDS_PER_RECEIPT,)
            for device, found in by_device.items()
            for start in range(0, len(found), many)
        ]
