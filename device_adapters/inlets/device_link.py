"""The device side: publishes evidence and gets receipts."""

from __future__ import annotations

import contextlib
import queue
import ssl

from device_adapters.inlets.mqtt_link import MqttLink
from device_adapters.topics import client_id_of, evidence_topic, receipts_topic


class DeviceLink:
    """A device's MQTT connection: publishes to its own topic, gets its receipts."""

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
        self._link = MqttLink(
            host,
            port,
            name,
            password,
            client_id_of(name),
            [receipts_topic(name)],
            lambda _, message: self._receipts.put(message.payload),
            manual_ack=False,
            tls=tls,
        )

    def publish(self, body: bytes, protocol: str = "ocmf") -> bool:
        """Publish a message of one or more records (QoS 1); return False when the queue is full."""
        return self._link.publish(evidence_topic(self.name, protocol), body)

    def publish_raw(self, topic: str, body: bytes, retain: bool = False, qos: int = 0) -> None:
        """Publish to any topic with any flag, as a broken or hostile device does.

        Warning: the broker keeps nothing of a message with QoS 0.
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
