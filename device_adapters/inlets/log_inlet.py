"""The reading side: what devices published, in batches, and answers to devices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import ssl
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, MaxPayloadError, NoRespondersError
from nats.errors import Error as NatsError

from device_adapters.topics import (
    DEVICE_SUBJECTS,
    EVIDENCE_SUBJECTS,
    LOG_INFO,
    LOG_READ,
    STORED,
    inbox_of,
    sender_of,
    subject_of,
    topic_of,
)
from device_adapters.types import LogPosition, Message

_FIRST_PAUSE_S = 0.01  # after a hint: the message may come into the log a little later
_LAST_PAUSE_S = 2.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 10.0
_ANSWER_S = 10.0
_CONNECT_S = 30  # a thousand devices may come back at the same time
_PING_S = 20
_CLOSE_S = 5.0
_BATCH_BYTES = 4 * 1024 * 1024
_HELD_BATCHES = 2  # read, not yet consumed; beyond it the log keeps the rest
_FAILURES = (NatsError, OSError, TimeoutError, ValueError, KeyError)
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Inlet:
    """A reader of the broker's log, which publishes receipts as well if its role may.

    The broker keeps no state about a reader: the reader stores the position of each batch in the
    transaction that stores its evidence, and begins there when it starts again.

    Args:
        port: Of the broker's NATS listener.
        position: That of the last message stored; None reads the log from its beginning.
        batch_messages: Most messages in a batch.
        tls: None for a connection without TLS.
        acknowledgements: Whether to read what devices acknowledge too, as the rail does.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        position: LogPosition | None = None,
        batch_messages: int = 500,
        tls: ssl.SSLContext | None = None,
        acknowledgements: bool = False,
    ) -> None:
        self._subjects = DEVICE_SUBJECTS if acknowledgements else EVIDENCE_SUBJECTS
        self._url, self._tls = f"nats://{host}:{port}", tls
        self._username, self._password = username, password
        self._position, self._most = position, batch_messages
        self._batches: queue.Queue[list[Message]] = queue.Queue(_HELD_BATCHES)
        self._ready, self._closing = threading.Event(), threading.Event()
        self._refusal = ""
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="broker log", daemon=True)
        self._thread.start()

    def batches(self, max_wait_s: float = 0.2) -> Iterator[list[Message]]:
        """Yield non-empty lists of messages in the order of the log, until `close()`."""
        while not self._closing.is_set():
            with contextlib.suppress(queue.Empty):
                yield self._batches.get(timeout=max_wait_s)

    def publish_many(self, items: Iterable[tuple[str, bytes]]) -> int:
        """Send (topic, body) messages and return how many; none while the broker is away.

        They go into the log, so that a device that is away gets them later. A lost message is a
        lost receipt: the device sends its record again. One that the broker could not take is
        named and left out, so that it holds none of the others back.
        """
        listed = list(items)
        try:
            return self._call(self._publish(listed))
        except (*_FAILURES, FutureTimeoutError) as error:
            _log.warning("%d receipts were not sent: %r", len(listed), error)
            return 0

    def wait_ready(self, timeout_s: float = 10) -> bool:
        """Wait until connected, with the log found; return False after `timeout_s` seconds."""
        return self._ready.wait(timeout_s)

    @property
    def refusal(self) -> str:
        """Return why the last attempt to connect failed, or ""."""
        return self._refusal

    def healthy(self) -> bool:
        """Return whether the thread is alive and reads the log."""
        return self._thread.is_alive() and self._ready.is_set()

    def close(self) -> None:
        """End connection and thread; messages that were not stored stay in the log."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join(_ANSWER_S + _CLOSE_S)

    # --- on the thread of the connection

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keep_reading())
        finally:
            self._loop.close()

    async def _keep_reading(self) -> None:
        """Connect and read until `close`, again after each failure (0.2 s to 10 s apart)."""
        pause = _FIRST_RETRY_S
        while not self._closing.is_set():
            self._client = Client()
            try:
                await self._until_gone(self._client)
            except _FAILURES as error:
                pause = _FIRST_RETRY_S if self._ready.is_set() else pause
                self._refusal = f"{type(error).__name__}: {error}".removesuffix(": ")
                _log.warning("the broker's log at %s: %s", self._url, self._refusal)
            finally:
                self._ready.clear()
                with contextlib.suppress(*_FAILURES):
                    await asyncio.wait_for(self._client.close(), _CLOSE_S)
            await self._sleep(pause)
            pause = min(pause * 2, _LAST_RETRY_S)

    async def _sleep(self, seconds: float) -> None:
        deadline = self._loop.time() + seconds
        while not self._closing.is_set() and (left := deadline - self._loop.time()) > 0:
            await asyncio.sleep(min(left, 0.1))

    async def _until_gone(self, client: Client) -> None:
        """Read until `close`, and raise as soon as the broker ends the connection.

        A request on an ended connection would wait for its answer until its time limit.
        """
        gone = asyncio.Event()
        reading = asyncio.create_task(self._read_connected(client, gone))
        ended = asyncio.create_task(gone.wait())
        try:
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise ConnectionError("the broker ended the connection")
            reading.result()
        finally:
            for task in (reading, ended):
                task.cancel()
            await asyncio.gather(reading, ended, return_exceptions=True)

    async def _read_connected(self, client: Client, gone: asyncio.Event) -> None:
        async def note_end() -> None:
            gone.set()

        await client.connect(
            self._url,
            user=self._username,
            password=self._password,
            tls=self._tls,
            inbox_prefix=inbox_of(self._username),
            allow_reconnect=False,
            reconnect_time_wait=0,  # the loop around it waits
            connect_timeout=_CONNECT_S,
            ping_interval=_PING_S,
            error_cb=_note,
            closed_cb=note_end,
        )
        log, following = await self._find_place(client)
        self._refusal = ""
        self._ready.set()
        pause = _LAST_PAUSE_S
        while not self._closing.is_set():
            hint = asyncio.Event()
            await self._listen(client, hint)
            messages = await _read(client, self._subjects, following, self._most)
            if messages:
                batch = [_message(log, item) for item in messages]
                following = batch[-1].position.sequence + 1
                await self._hold(batch)
                pause = _FIRST_PAUSE_S
                continue
            hinted = await self._wait(hint, pause)
            pause = _FIRST_PAUSE_S if hinted else min(pause * 2, _LAST_PAUSE_S)

    async def _listen(self, client: Client, hint: asyncio.Event) -> None:
        """Subscribe for one message: it says that there is something to read, nothing else."""

        async def heard(_: Msg) -> None:
            hint.set()

        subscription = await client.subscribe(self._subjects, cb=heard)
        await subscription.unsubscribe(limit=1)

    async def _wait(self, hint: asyncio.Event, seconds: float) -> bool:
        deadline = self._loop.time() + seconds
        while not (hint.is_set() or self._closing.is_set()):
            left = deadline - self._loop.time()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hint.wait(), min(left, 0.1))
        return hint.is_set()

    async def _hold(self, batch: list[Message]) -> None:
        """Keep a batch for the consumer; wait while it has enough."""
        while not self._closing.is_set():
            try:
                self._batches.put_nowait(batch)
                self._position = batch[-1].position
                return
            except queue.Full:
                await asyncio.sleep(_FIRST_PAUSE_S)

    async def _find_place(self, client: Client) -> tuple[str, int]:
        """Return the log's identity and the sequence to read from, naming what does not fit.

        A log that was deleted, or restored from an older copy, is read from its beginning: the
        evidence hash finds what was stored before.
        """
        answer = json.loads((await client.request(LOG_INFO, timeout=_ANSWER_S)).data)
        if "error" in answer:
            raise ConnectionError(f"the broker has no log: {answer['error']}")
        log, state, last = answer["created"], answer["state"], self._position
        if last is None:
            return log, state["first_seq"]
        why = ""
        if last.log != log:
            why = f"it was made at {log}, the one read before at {last.log}"
        elif state["last_seq"] < last.sequence:
            why = f"it ends at {state['last_seq']}, and {last.sequence} was read"
        elif state["first_seq"] <= last.sequence:
            stored_at = await _stored_at(client, last.sequence)
            if stored_at not in (None, last.stored_at):
                why = f"its message {last.sequence} is of {stored_at}, not of {last.stored_at}"
        if why:
            _log.warning("the broker's log is another one: %s. Reading all of it.", why)
            return log, state["first_seq"]
        if state["first_seq"] > last.sequence + 1:
            missing = state["first_seq"] - last.sequence - 1
            _log.warning("%d messages left the broker's log before they were read", missing)
        return log, last.sequence + 1

    # --- from other threads

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run on the connection's thread and return the result."""
        if not self._ready.is_set():
            work.close()
            raise ConnectionError("the broker is away")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_S)

    async def _publish(self, items: list[tuple[str, bytes]]) -> int:
        sent = 0
        for topic, body in items:
            try:
                await self._client.publish(
                    f"{STORED}{subject_of(topic)}", body, headers={"Nmqtt-Pub": "1"}
                )
                sent += 1
            except (MaxPayloadError, BadSubjectError) as error:
                _log.error("%r: %d bytes cannot be sent: %r", topic, len(body), error)
        await self._client.flush(_ANSWER_S)
        return sent


async def _note(error: Exception) -> None:
    _log.debug("connection to the broker: %s", error)


async def _read(client: Client, subjects: str, first: int, most: int) -> list[Msg]:
    """Return up to `most` messages of these subjects from sequence `first` on, in order."""
    query = {"seq": first, "batch": most, "max_bytes": _BATCH_BYTES}
    return await _asked(client, query | {"next_by_subj": subjects})


async def _stored_at(client: Client, sequence: int) -> str | None:
    """Return when the message with this sequence was stored; None if it is gone."""
    messages = await _asked(client, {"seq": sequence, "batch": 1})
    if messages and int(messages[0].headers["Nats-Sequence"]) == sequence:
        return messages[0].headers["Nats-Time-Stamp"]
    return None


async def _asked(client: Client, query: dict[str, Any]) -> list[Msg]:
    """Return the messages that answer one query of the log (NATS, batched direct get).

    Raises:
        ConnectionError: the log refuses the query.
    """
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    try:
        await client.publish(LOG_READ, json.dumps(query).encode(), reply=inbox)
        messages: list[Msg] = []
        while True:
            message = await subscription.next_msg(timeout=_ANSWER_S)
            status = (message.headers or {}).get("Status")
            if status in ("204", "404"):  # end of the batch; nothing there
                return messages
            if status == "503":
                raise NoRespondersError
            if status:
                raise ConnectionError(f"the broker's log answers {status} {message.headers}")
            messages.append(message)
    finally:
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()


def _message(log: str, stored: Msg) -> Message:
    """Return a stored message; its subject has the device that the broker authenticated."""
    headers = stored.headers
    device, protocol = sender_of(topic_of(headers["Nats-Subject"].removeprefix(STORED)))
    sequence, stored_at = int(headers["Nats-Sequence"]), headers["Nats-Time-Stamp"]
    position = LogPosition(log, sequence, stored_at)
    return Message(protocol, device, stored.data, source="mqtt", position=position)
