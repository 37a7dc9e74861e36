"""Inlets for messages by MQTT, HTTP or file, as one type; acknowledged only after the commit."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from device_adapters.replay import message_of_request, replay_file
from device_adapters.topics import EVIDENCE_FILTER, evidence_topic, owner_of, receipts_topic
from device_adapters.types import Message

__all__ = ["DeviceLink", "Inlet", "message_of_request", "message_of_topic", "replay_file"]

_IN_FLIGHT = 20  # paho with 1,000 in flight is half as fast
_KEEP_ALIVE_S = 30
_HELD_MESSAGES = 2_000  # received, not yet consumed; beyond it the broker has to wait
_QUEUED_OUT = 50_000
_CLOSE_S = 5.0
_connections = itertools.count(1)
_log = logging.getLogger(__name__)


class _Link:
    """One MQTT 3.1.1 connection that reconnects by itself (0.2 s to 10 s) and survives callbacks.

    Warning: the broker takes the username as client id, so a second connection of the same
    username ends the first. Give each process a credential of its own.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        client_id: str,
        topics: Sequence[str],
        receive: Callable[[int, MQTTMessage], None],
        manual_ack: bool,
    ) -> None:
        self._topics, self._receive, self._address = list(topics), receive, (host, port)
        self.generation = 0  # one per connection, so an acknowledgement never reaches another one
        self._granted, self.closed = threading.Event(), threading.Event()
        self._refusal = ""
        self._last_out: MQTTMessageInfo | None = None
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id or username,
            clean_session=False,
            protocol=MQTTv311,
            manual_ack=manual_ack,
        )
        self._client.username_pw_set(username, password)
        self._client.max_inflight_messages_set(_IN_FLIGHT)
        self._client.max_queued_messages_set(_QUEUED_OUT)
        self._client.reconnect_delay_set(min_delay=0.2, max_delay=10)
        self._client.suppress_exceptions = True  # a second guard: see _on_message
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect_async(host, port, keepalive=_KEEP_ALIVE_S)
        self._client.loop_start()

    def _on_connect(self, client: Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.generation = next(_connections)
        self._refusal = str(reason) if reason.is_failure else ""
        if self._refusal:
            _log.warning("the broker at %s refused the connection: %s", self._address, reason)
        elif self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self._granted.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._granted.clear()

    def _on_subscribe(self, _c: Client, _u: Any, _m: int, reasons: list[Any], _p: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = "a subscription was not granted"
            _log.error("the broker refused a subscription to: %s", self._topics)
        else:
            self._granted.set()

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        """Receive a message; an exception here would end the network thread unnoticed."""
        try:
            self._receive(self.generation, message)
        except Exception:
            _log.exception("a message could not be received")

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until connected and subscribed; return False after `timeout_s` seconds."""
        return self._granted.wait(timeout_s)

    @property
    def refusal(self) -> str:
        """Return the broker's last refusal, or ""."""
        return self._refusal

    def healthy(self) -> bool:
        """Return whether the thread is alive, connected, and every subscription is granted."""
        return self._alive() and self._client.is_connected() and self._granted.is_set()

    def _alive(self) -> bool:
        thread = self._client._thread  # paho has no public state, and is_connected() can be wrong
        return thread is not None and thread.is_alive()

    def revive(self) -> None:
        """Start the network thread again if it died."""
        if not self.closed.is_set() and not self._alive():
            _log.error("the network thread died; starting it again")
            self._client.loop_start()

    def publish(self, topic: str, body: bytes, retain: bool = False, qos: int = 1) -> bool:
        """Queue one message; return False when the outgoing queue is full."""
        info = self._client.publish(topic, body, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False
        self._last_out = info
        return True

    def ack(self, generation: int, number: int) -> None:
        """Acknowledge a message, unless the connection changed: the broker then sends it again."""
        if generation == self.generation:
            self._client.ack(number, 1)

    def close(self) -> None:
        """Wait shortly for the last message to leave, then end connection and thread."""
        self.closed.set()
        if self._last_out is not None and self.healthy():
            with contextlib.suppress(RuntimeError, ValueError):
                self._last_out.wait_for_publish(_CLOSE_S)
        self._client.disconnect()
        self._client.loop_stop()


class Inlet:
    """The rail's MQTT connection: evidence in batches with manual acknowledgement, and receipts.

    Args:
        topics: filters to subscribe to, QoS 1, in a persistent session.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        password: str,
        client_id: str = "",
        topics: Sequence[str] = (EVIDENCE_FILTER,),
    ) -> None:
        self._held: queue.Queue[Message] = queue.Queue(_HELD_MESSAGES)
        self._waiting_since: float | None = None  # the consumer takes nothing since then
        self._closing = threading.Event()
        self._link = _Link(
            host, port, username, password, client_id, topics, self._take, manual_ack=True
        )

    def batches(self, max_messages: int = 500, max_wait_s: float = 0.2) -> Iterator[list[Message]]:
        """Yield lists of 1 to `max_messages`, in order of arrival, until `close()`.

        A batch is complete when it is full, or `max_wait_s` after the consumer asked for it.
        """
        while not self._closing.is_set():
            batch = self._gather(max_messages, max_wait_s)
            if batch:
                yield batch
            else:
                self._link.revive()

    def ack(self, messages: Iterable[Message]) -> None:
        """Acknowledge committed messages; one that the broker resent meanwhile comes once more."""
        for message in messages:
            if message.token is not None:
                self._link.ack(*message.token)

    def publish_many(self, items: Iterable[tuple[str, bytes]]) -> int:
        """Queue (topic, body) messages (QoS 1) and return how many were queued, without waiting.

        A lost message is a lost receipt: the device sends its record again.
        """
        return sum(self._link.publish(topic, body) for topic, body in items)

    def healthy(self) -> bool:
        """Return whether the link is healthy and the consumer takes what arrives."""
        since = self._waiting_since
        return self._link.healthy() and (since is None or time.monotonic() - since < _CLOSE_S)

    def wait_ready(self, timeout_s: float = 10) -> bool:
        """Wait until connected and subscribed; return False after `timeout_s` seconds."""
        return self._link.wait_ready(timeout_s)

    @property
    def refusal(self) -> str:
        """Return the broker's last refusal (a wrong password, a topic), or ""."""
        return self._link.refusal

    def close(self) -> None:
        """End the connection; unacknowledged messages are delivered to the next one."""
        self._closing.set()
        self._link.close()

    def _take(self, generation: int, received: MQTTMessage) -> None:
        """Queue a message, on the network thread. A full queue makes the broker wait."""
        message = message_of_topic(received, token=(generation, received.mid))
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._held.put(message, timeout=0.2)
                self._waiting_since = None
                return
            self._waiting_since = self._waiting_since or time.monotonic()

    def _gather(self, max_messages: int, max_wait_s: float) -> list[Message]:
        batch: list[Message] = []
        deadline = time.monotonic() + max_wait_s
        with contextlib.suppress(queue.Empty):
            while len(batch) < max_messages:
                left = deadline - time.monotonic()
                batch.append(self._held.get(timeout=left) if left > 0 else self._held.get_nowait())
        return batch


class DeviceLink:
    """A device's MQTT connection: publishes to its own topic, gets its receipts."""

    def __init__(self, host: str, port: int, name: str, password: str) -> None:
        self.name = name
        self._receipts: queue.Queue[bytes] = queue.Queue()
        self._link = _Link(
            host,
            port,
            name,
            password,
            name,
            [receipts_topic(name)],
            lambda _, message: self._receipts.put(message.payload),
            manual_ack=False,
        )

    def publish(self, body: bytes, protocol: str = "ocmf") -> bool:
        """Publish a message of one or more records (QoS 1); return False when the queue is full."""
        return self._link.publish(evidence_topic(self.name, protocol), body)

    def publish_raw(self, topic: str, body: bytes, retain: bool = False, qos: int = 0) -> None:
        """Publish to any topic with any flag, as a broken or hostile device does.

        Warning: mosquitto ends the connection on a retained message; at QoS 1 it would be sent
        and refused again forever.
        """
        self._link.publish(topic, body, retain, qos)

    def receipts(self, timeout_s: float = 0.0) -> list[bytes]:
        """Return all receipts that arrived; wait up to `timeout_s` seconds for the first one."""
        receipts: list[bytes] = []
        with contextlib.suppress(queue.Empty):
            receipts.append(self._receipts.get(block=timeout_s > 0, timeout=timeout_s or None))
            while True:
                receipts.append(self._receipts.get_nowait())
        return receipts

    def wait_ready(self, timeout_s: float = 10) -> bool:
        """Wait until connected and subscribed; return False if the broker refuses or is down."""
        return self._link.wait_ready(timeout_s)

    @property
    def refusal(self) -> str:
        """Return the broker's last refusal, or ""."""
        return self._link.refusal

    def healthy(self) -> bool:
        """Return whether the link is connected and subscribed."""
        return self._link.healthy()

    def close(self) -> None:
        """End the connection."""
        self._link.close()


def message_of_topic(received: MQTTMessage, token: Any = None) -> Message:
    """Return an MQTT message as a `Message`; protocol "" for a topic that is not for evidence."""
    try:
        device, protocol = owner_of(received.topic)
    except UnicodeDecodeError:
        device = protocol = ""
    return Message(protocol, device, received.payload, bool(received.retain), "mqtt", token)
