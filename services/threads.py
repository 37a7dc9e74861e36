"""The threads that a process cannot do without: when one ends, the process ends with exit code 1.

Whoever supervises the process starts it again. A process that goes on without one of them would
look alive and do nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

EXIT_CODE = 1
_CHECK_S = 0.5


class VitalThreads:
    """Starts threads and watches them.

    Args:
        log: Gets the last line of the process.
        end: Ends the process at once with an exit code. What is stored survives that, as it does a
            power cut; waiting for other threads could take for ever.
    """

    def __init__(self, log: Any, end: Callable[[int], Any] = os._exit) -> None:
        self._log, self._end = log, end
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._previous_hook = threading.excepthook

    def start(self, name: str, run: Callable[[], Any]) -> None:
        """Start a thread that must run until `stopping`."""
        thread = threading.Thread(target=run, name=name)
        self._threads.append(thread)
        thread.start()

    def watch(self) -> None:
        """Watch the started threads from now on."""
        threading.excepthook = self._report
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def dead(self) -> list[str]:
        """Return the names of threads that ended although nobody stopped them."""
        if self._stopping.is_set():
            return []
        return [thread.name for thread in self._threads if not thread.is_alive()]

    def stopping(self) -> None:
        """Say that the threads are about to end by request."""
        self._stopping.set()
        threading.excepthook = self._previous_hook

    def join(self, timeout_s: float) -> None:
        """Wait for all of them, up to this time in total."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))

    def _report(self, what: threading.ExceptHookArgs) -> None:
        name = what.thread.name if what.thread else "unknown"
        self._log.critical(
            "thread failed",
            thread=name,
            exc_info=(what.exc_type, what.exc_value, what.exc_traceback),
        )

    def _watch(self) -> None:
        while not self._stopping.wait(_CHECK_S):
            if dead := self.dead():
                self._log.critical(
                    "this process ends, because a thread of it died", threads=dead, code=EXIT_CODE
                )
                self._end(EXIT_CODE)
                return
