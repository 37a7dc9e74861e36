"""One MQTT connection that reconnects by itself: of a device, or of a collector."""

from __future__ import annotations

import contextlib
import itertools
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from device_adapters.topics import client_id_of

_IN_FLIGHT = 20  # paho with 1,000 in flight is half as fast
_KEEP_ALIVE_S = 30
_QUEUED_OUT = 50_000
_CLOSE_S = 5.0
_connections = itertools.count(1)
_log = logging.getLogger(__name__)


class MqttLink:
    """One MQTT 3.1.1 connection that reconnects by itself (0.2 s to 10 s) and survives callbacks.

    Warning: the broker demands the name as client id, so a second connection of the same name ends
    the first. Give each process a credential of its own.

    Args:
        topics: Filters to subscribe to, QoS 1, in a persistent session.
        optional: Further ones, which a broker of an older release may refuse.
        receive: Called with the number of the connection and each message, on the network thread.
        manual_ack: Whether `ack` acknowledges, instead of the return of `receive`.
        tls: None for a connection without TLS.
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
        tls: ssl.SSLContext | None = None,
        optional: Sequence[str] = (),
    ) -> None:
        self._needed, self._topics = len(topics), [*topics, *optional]
        self._receive, self._address = receive, (host, port)
        self.generation = 0  # one per connection, so an acknowledgement never reaches another one
        self._granted, self.closed = threading.Event(), threading.Event()
        self._refusal = ""
        self._last_out: MQTTMessageInfo | None = None
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id or client_id_of(username),
            clean_session=False,
            protocol=MQTTv311,
            manual_ack=manual_ack,
        )
        self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
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
        if any(reason.is_failure for reason in reasons[: self._needed]):
            self._refusal = "a subscription was not granted"
            _log.error("the broker refused a subscription to: %s", self._topics)
            return
        if any(reason.is_failure for reason in reasons):
            _log.warning("the broker at %s refuses some of: %s", self._address, self._topics)
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
