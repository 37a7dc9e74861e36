"""The writing side of a collector: messages of another broker go into our broker's log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Iterable

from nats.aio.client import Client
from nats.errors import Error as NatsError

from device_adapters.topics import STORED, inbox_of, subject_of

_ANSWER_S = 10.0
_HEADER_BYTES = 256  # the broker counts a message's headers too
FAILURES = (NatsError, OSError, TimeoutError)
_log = logging.getLogger(__name__)


class LogWriter:
    """Adds messages to the broker's log; it connects, also again, when there is something to add.

    Args:
        port: Of the broker's NATS listener.
        tls: None for a connection without TLS.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url, self._tls = f"nats://{host}:{port}", tls
        self._username, self._password = username, password
        self._client: Client | None = None

    async def write_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Add (topic, body) messages; all are stored durably on return.

        One that is larger than the broker takes is named and left out: it would be refused each
        time it is written again, and would hold back all that follow.

        Raises:
            NatsError, OSError, TimeoutError: not all are stored. Write the same again; the reader
                of the log finds what comes twice.
        """
        if self._client is None or not self._client.is_connected:
            await self._connect()
        log = self._client.jetstream(timeout=_ANSWER_S)
        most = self._client.max_payload - _HEADER_BYTES
        fitting = [(topic, body) for topic, body in items if _fits(topic, body, most)]
        await asyncio.gather(
            *(
                log.publish(f"{STORED}{subject_of(topic)}", body, headers={"Nmqtt-Pub": "1"})
                for topic, body in fitting
            )
        )

    async def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            with contextlib.suppress(*FAILURES):
                await self._client.close()

    async def _connect(self) -> None:
        await self.close()
        self._client = Client()
        await self._client.connect(
            self._url,
            user=self._username,
            password=self._password,
            tls=self._tls,
            inbox_prefix=inbox_of(self._username),
            allow_reconnect=False,
            reconnect_time_wait=0,
            error_cb=_note,
        )


def _fits(topic: str, body: bytes, most: int) -> bool:
    if len(body) > most:
        _log.error("%r: %d bytes were not taken; our broker takes %d", topic, len(body), most)
    return len(body) <= most


async def _note(error: Exception) -> None:
    _log.debug("connection to the broker: %s", error)
