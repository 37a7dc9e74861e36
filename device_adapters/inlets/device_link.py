"""The device side: publishes evidence, gets receipts and later outcomes."""

from __future__ import annotations

import contextlib
import queue
import ssl

from device_adapters.inlets.mqtt_link import MqttLink, MQTTMessage
from device_adapters.topics import (
    acknowledgements_topic,
    client_id_of,
    evidence_topic,
    outcomes_topic,
    receipts_topic,
)
from device_adapters.types import MAX_MESSAGE_BYTES, Reason, Rejected


class DeviceLink:
    """A device's MQTT connection: publishes to its own topics, gets receipts and outcomes."""

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        password: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self._receipts: queue.Queue[bytes] = queue.Queue()
        self._outcomes: queue.Queue[bytes] = queue.Queue()
        self._link = MqttLink(
            host,
            port,
            name,
            password,
            client_id_of(name),
            [receipts_topic(name)],
            self._receive,
            manual_ack=False,
            tls=tls,
            optional=[outcomes_topic(name)],
        )

    def publish(self, body: bytes, protocol: str = "ocmf") -> bool:
        """Publish a message of one or more records (QoS 1); return False when the queue is full.

        Raises:
            Rejected: too_large. Nothing was queued: the broker would end the connection, the
                client would send the message again, and nothing behind it would ever arrive.
        """
        if len(body) > MAX_MESSAGE_BYTES:
            detail = (
                f"{len(body)} bytes, a message has at most {MAX_MESSAGE_BYTES}: send fewer records "
                "in one message; a single record of this size is not taken"
            )
            raise Rejected(Reason.TOO_LARGE, detail, body)
        return self._link.publish(evidence_topic(self.name, protocol), body)

    def acknowledge(self, body: bytes) -> bool:
        """Publish an acknowledgement of outcomes (QoS 1); return False when the queue is full.

        Acknowledge what is stored, never what was only received: the rail sends all others again.
        """
        return self._link.publish(acknowledgements_topic(self.name), body)

    def publish_raw(self, topic: str, body: bytes, retain: bool = False, qos: int = 0) -> None:
        """Publish to any topic with any flag, as a broken or hostile device does.

        Warning: the broker keeps nothing of a message with QoS 0.
        """
        self._link.publish(topic, body, retain, qos)

    def receipts(self, timeout_s: float = 0.0) -> list[bytes]:
        """Return all receipts that arrived; wait up to `timeout_s` seconds for the first one."""
        return _taken(self._receipts, timeout_s)

    def outcomes(self, timeout_s: float = 0.0) -> list[bytes]:
        """Return all messages with later outcomes that arrived; wait as `receipts` does."""
        return _taken(self._outcomes, timeout_s)

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

    def _receive(self, _: int, message: MQTTMessage) -> None:
        is_outcome = message.topic == outcomes_topic(self.name)
        (self._outcomes if is_outcome else self._receipts).put(message.payload)


def _taken(arrived: queue.Queue[bytes], timeout_s: float) -> list[bytes]:
    bodies: list[bytes] = []
    with contextlib.suppress(queue.Empty):
        bodies.append(arrived.get(block=timeout_s > 0, timeout=timeout_s or None))
        while True:
            bodies.append(arrived.get_nowait())
    return bodies
