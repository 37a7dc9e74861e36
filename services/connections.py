"""Bounds what open connections can take from a process: file descriptors, and time without a word.

When the limit is reached, the oldest connection that waits for a request is closed for the new
one. So idle connections keep nobody out, and a request that is being answered is never cut.
The limit also keeps descriptors below 1,024: the MQTT client waits with select(), which takes no
more.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENT_S = 10.0  # a connection that has sent no complete header for this long is closed
_SPARE_FILES = 256  # for the database, logs, bank files, the broker, the node and the oracles


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as it may; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they name
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1_000_000


def most_connections(wanted: int, open_files: int) -> int:
    """Return how many connections fit next to the files that the process itself needs."""
    return max(8, min(wanted, open_files - _SPARE_FILES, open_files * 3 // 4))


def bounded_protocol(most: int, silent_s: float = SILENT_S) -> type[H11Protocol]:
    """Return the HTTP protocol of a server with at most this many open connections."""

    order: dict[H11Protocol, None] = {}  # the open connections of this server, oldest first

    class BoundedHttp(H11Protocol):
        """One connection."""

        _silence: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            order[self] = None
            if len(order) > most:
                idle = next((c for c in order if c.is_idle()), self)
                idle.abort()
            if self in order:
                self._silence = self._clock()

        def data_received(self, data: bytes) -> None:
            """Take bytes; the clock goes on until a request's headers are complete."""
            super().data_received(data)
            if self.is_idle():
                self._silence = self._silence or self._clock()
            else:
                self._stop_clock()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_clock()
            order.pop(self, None)
            super().connection_lost(exc)

        def is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def abort(self) -> None:
            """Close at once; the descriptor is free in this turn of the event loop or the next."""
            order.pop(self, None)
            self._stop_clock()
            self.transport.abort()

        def _clock(self) -> asyncio.TimerHandle:
            return self.loop.call_later(silent_s, self._end_if_silent)

        def _end_if_silent(self) -> None:
            if self.is_idle():
                self.abort()

        def _stop_clock(self) -> None:
            if self._silence is not None:
                self._silence.cancel()
                self._silence = None

    return BoundedHttp


def server_options(most: int) -> dict[str, Any]:
    """Return the options of uvicorn.Config for a server with bounded connections."""
    return {"http": bounded_protocol(most), "ws": "none", "backlog": 128}
