"""Passes an inlet's batches to the intake: commit first, then receipts."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from device_adapters.inlets.log_inlet import Inlet
from device_adapters.topics import receipts_topic
from device_adapters.types import Message
from orchestrator.core.receipt import Receipts
from orchestrator.errors import passing_trouble
from orchestrator.ingest.intake import Intake, RecordOutcome

_PATIENCE_S = 0.5
_T = TypeVar("_T")


class InletLoop:
    """The loop of one inlet. `taken` counts records; no message can end the loop."""

    def __init__(
        self, inlet: Inlet, intake: Intake, receipts: Receipts, now: Callable[[], float], log: Any
    ) -> None:
        self._inlet, self._intake, self._receipts = inlet, intake, receipts
        self._now, self._log = now, log
        self._stop = threading.Event()
        self.taken = 0

    def run(self) -> None:
        """Process batches until `stop`, also after one has failed."""
        for messages in self._inlet.batches():
            if self._stop.is_set():
                return
            if messages:
                self._take(messages)

    def stop(self) -> None:
        """End `run` after the current batch."""
        self._stop.set()

    def _take(self, messages: Sequence[Message]) -> None:
        try:
            outcomes = self._retried(lambda: self._intake.take(messages))
        except Exception as bug:
            self._log.error("intake failed", messages=len(messages), error=str(bug), exc_info=True)
            self._one_by_one(messages, bug)
            return
        if outcomes is None:
            return
        self.taken += sum(map(len, outcomes))
        try:
            if signed := self._signed(messages, outcomes):
                self._inlet.publish_many(signed)
        except Exception as bug:  # everything is stored: a device without a receipt sends again
            self._log.error("receipts failed", error=str(bug), exc_info=True)

    def _retried(self, work: Callable[[], _T]) -> _T | None:
        """Return the result once chain and store are available; None if `stop` came first."""
        while not self._stop.is_set():
            try:
                return work()
            except Exception as error:  # the broker's log keeps the messages
                if (trouble := passing_trouble(error)) is None:
                    raise
                self._log.info("intake waits", reason=trouble)
                self._stop.wait(_PATIENCE_S)
        return None

    def _one_by_one(self, messages: Sequence[Message], bug: Exception) -> None:
        """Put aside the message that causes a bug of ours; the others of its batch go on."""
        if len(messages) > 1:
            for message in messages:
                self._take([message])
            return
        while not self._stop.is_set():  # a message that is not kept must not be passed over
            try:
                self._retried(lambda: self._intake.put_aside(messages[0], str(bug)))
                return
            except Exception as second:
                self._log.error("message not kept", error=str(second), exc_info=True)
                self._stop.wait(_PATIENCE_S)

    def _signed(
        self, messages: Sequence[Message], outcomes: Sequence[Sequence[RecordOutcome]]
    ) -> list[tuple[str, bytes]]:
        """Sign receipts per device, for the topic of the device that the broker authenticated."""
        by_device: dict[str, list[RecordOutcome]] = defaultdict(list)
        for message, records in zip(messages, outcomes, strict=True):
            if message.device:
                by_device[message.device] += records
        signed: list[tuple[str, bytes]] = []
        for device, records in by_device.items():
            try:
                parts = self._receipts.sign_all(device, records, int(self._now()))
            except Exception as bug:  # one device's receipts must not hold back the others'
                self._log.error("receipt failed", device=device, error=str(bug), exc_info=True)
                continue
            signed += [(receipts_topic(device), part) for part in parts]
        return signed
