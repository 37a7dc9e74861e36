"""Lets messages in, by MQTT, HTTP or file, as one type; acknowledges only what was committed."""

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
_HELD_MESSAGES = 2_000  # received and not yet taken; beyond it the broker has to wait
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
        self.generation = 0  # another for each connection: acknowledgements never cross over
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
        self._client.suppress_exceptions = True  # belt and braces: see _on_message
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
            _log.warning("the broker at %s refuses: %s", self._address, reason)
        elif self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self._granted.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._granted.clear()

    def _on_subscribe(self, _c: Client, _u: Any, _m: int, reasons: list[Any], _p: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refusal = "a subscription was not granted"
            _log.error("not granted: %s", self._topics)
        else:
            self._granted.set()

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        """An exception here would end the network thread while it still looks connected."""
        try:
            self._receive(self.generation, message)
        except Exception:
            _log.exception("a message could not be taken")

    def wait_ready(self, timeout_s: float) -> bool:
        """Waits until connected and subscribed; False when that did not happen in time."""
        return self._granted.wait(timeout_s)

    @property
    def refusal(self) -> str:
        """What the broker last refused ("" if nothing)."""
        return self._refusal

    def healthy(self) -> bool:
        """Thread alive, connected, and every subscription granted on this connection."""
        return self._alive() and self._client.is_connected() and self._granted.is_set()

    def _alive(self) -> bool:
        thread = self._client._thread  # paho does not tell, and is_connected() lies about it
        return thread is not None and thread.is_alive()

    def revive(self) -> None:
        """Starts the network thread again, should it ever have died."""
        if not self.closed.is_set() and not self._alive():
            _log.error("the network thread had died: starting it again")
            self._client.loop_start()

    def publish(self, topic: str, body: bytes, retain: bool = False, qos: int = 1) -> bool:
        """Queues one message; False when the queue out is full."""
        info = self._client.publish(topic, body, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False
        self._last_out = info
        return True

    def ack(self, generation: int, number: int) -> None:
        """Acknowledges, unless the connection is another by now: then it will be sent again."""
        if generation == self.generation:
            self._client.ack(number, 1)

    def close(self) -> None:
        self.closed.set()
        if self._last_out is not None and self.healthy():
            with contextlib.suppress(RuntimeError, ValueError):
                self._last_out.wait_for_publish(_CLOSE_S)
        self._client.disconnect()
        self._client.loop_stop()


class Inlet:
    """Evidence by MQTT, in batches, acknowledged by hand; and the way out for receipts.

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
        self._waiting_since: float | None = None  # since when the consumer takes nothing
        self._closing = threading.Event()
        self._link = _Link(
            host, port, username, password, client_id, topics, self._take, manual_ack=True
        )

    def batches(self, max_messages: int = 500, max_wait_s: float = 0.2) -> Iterator[list[Message]]:
        """Lists of 1 to `max_messages`, in order of arrival, until `close()`.

        A batch is handed over when it is full, or `max_wait_s` after it was asked for.
        """
        while not self._closing.is_set():
            batch = self._gather(max_messages, max_wait_s)
            if batch:
                yield batch
            else:
                self._link.revive()

    def ack(self, messages: Iterable[Message]) -> None:
        """Tells the broker that these are committed; one it resent meanwhile comes once more."""
        for message in messages:
            if message.token is not None:
                self._link.ack(*message.token)

    def publish_many(self, items: Iterable[tuple[str, bytes]]) -> int:
        """Queues messages (QoS 1) and says how many were taken; it does not wait for the broker.

        What is lost on the way is a receipt, and a device that lacks one sends again.
        """
        return sum(self._link.publish(topic, body) for topic, body in items)

    def healthy(self) -> bool:
        """Thread alive, connected, subscribed, and the consumer taking what arrives."""
        since = self._waiting_since
        return self._link.healthy() and (since is None or time.monotonic() - since < _CLOSE_S)

    def wait_ready(self, timeout_s: float = 10) -> bool:
        """Waits until connected and subscribed."""
        return self._link.wait_ready(timeout_s)

    @property
    def refusal(self) -> str:
        """What the broker last refused ("" if nothing): a wrong password, a topic."""
        return self._link.refusal

    def close(self) -> None:
        """Ends the connection; what was not acknowledged is delivered to the next one."""
        self._closing.set()
        self._link.close()

    def _take(self, generation: int, received: MQTTMessage) -> None:
        """On the network thread: only into the queue. A full queue makes the broker wait."""
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
    """The device's side: publishes to its own topic, receives its receipts."""

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
        """One message of one or more records to its own topic, QoS 1; False: queue out is full."""
        return self._link.publish(evidence_topic(self.name, protocol), body)

    def publish_raw(self, topic: str, body: bytes, retain: bool = False, qos: int = 0) -> None:
        """Any topic, any flag: what a broken or hostile device does.

        Warning: mosquitto ends the connection over a retained message; at QoS 1 it would be sent
        again, and refused again, for ever.
        """
        self._link.publish(topic, body, retain, qos)

    def receipts(self, timeout_s: float = 0.0) -> list[bytes]:
        """All receipts that arrived; waits up to `timeout_s` for the first one."""
        found: list[bytes] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._receipts.get(block=timeout_s > 0, timeout=timeout_s or None))
            while True:
                found.append(self._receipts.get_nowait())
        return found

    def wait_ready(self, timeout_s: float = 10) -> bool:
        """Waits until connected and subscribed; False where the broker refuses or is away."""
        return self._link.wait_ready(timeout_s)

    @property
    def refusal(self) -> str:
        """What the broker last refused ("" if nothing)."""
        return self._link.refusal

    def healthy(self) -> bool:
        return self._link.healthy()

    def close(self) -> None:
        self._link.close()


def message_of_topic(received: MQTTMessage, token: Any = None) -> Message:
    """An MQTT message as ours; a topic that is not ours gives protocol "" (unknown_topic)."""
    try:
        device, protocol = owner_of(received.topic)
    except UnicodeDecodeError:
        device = protocol = ""
    return Message(protocol, device, received.payload, bool(received.retain), "mqtt", token)
