"""Delivers messages at least once: those not acknowledged are kept and sent again."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.session import Session

from device_adapters.types import MAX_MESSAGE_BYTES, Reason, Rejected

WINDOW = 1_000  # messages sent to one subscriber and not acknowledged
MAX_WAITING = 200_000  # messages kept for one subscriber that is away
MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + 1024
_PUBLISH, _DUP, _RETAIN = 0x30, 0x08, 0x01
_log = logging.getLogger(__name__)


class Outbox:
    """The messages that one session has still to receive, in order; it outlives the connection."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[bytes, bytes, int]] = deque()  # topic, body, first-byte flags
        self.unacknowledged: dict[int, tuple[bytes, bytes, int]] = {}
        self._last = 0

    def add(self, topic: bytes, body: bytes, flags: int) -> None:
        """Queue a message, unless the subscriber is too many messages behind."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting.append((topic, body, flags))
        elif len(self.waiting) == MAX_WAITING:
            _log.warning("a subscriber is %d messages behind: dropping", MAX_WAITING)

    def due(self) -> list[bytes]:
        """Return the packets to send now; QoS 1 messages are kept until acknowledged."""
        packets = []
        while self.waiting and len(self.unacknowledged) < WINDOW:
            topic, body, flags = self.waiting.popleft()
            number = self._next_number() if flags & 2 else 0
            if number:
                self.unacknowledged[number] = (topic, body, flags)
            packets.append(encode_publish(topic, body, flags, number))
        return packets

    def repeated(self) -> list[bytes]:
        """Return all unacknowledged packets, marked as repeated, after a reconnect (MQTT 4.4)."""
        return [
            encode_publish(topic, body, flags | _DUP, number)
            for number, (topic, body, flags) in self.unacknowledged.items()
        ]

    def _next_number(self) -> int:
        while True:
            self._last = self._last % 65_535 + 1
            if self._last not in self.unacknowledged:
                return self._last


class DeliveryHandler(BrokerProtocolHandler):
    """amqtt's connection handler with its delivery replaced.

    amqtt waits 5 s for a PUBACK and then drops the message; it also drops the message when the
    subscriber is killed. Both break "acknowledge after the commit".
    """

    take: Callable[[Session, str, bytes, int, bool], None]  # set by the broker

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.done = asyncio.Event()

    async def start(self) -> None:
        await super().start()
        for packet in outbox(self.session).repeated():
            self.writer.write(packet)
        self.pump()

    def pump(self) -> None:
        """Send the packets that are due."""
        if self.session is not None and self.writer is not None:
            for packet in outbox(self.session).due():
                self.writer.write(packet)

    async def handle_puback(self, puback: PubackPacket) -> None:
        if self.session is not None:
            outbox(self.session).unacknowledged.pop(puback.variable_header.packet_id, None)
            self.pump()

    async def handle_publish(self, packet: PublishPacket) -> None:
        """Publish QoS 0 and 1 directly; leave QoS 2 to amqtt."""
        if packet.qos == 2:
            await super().handle_publish(packet)
        elif self.session is not None:
            self.take(self.session, packet.topic_name, packet.data, packet.qos, packet.retain_flag)
            if packet.qos:
                number = packet.variable_header.packet_id
                self.writer.write(b"\x40\x02" + number.to_bytes(2, "big"))

    def handle_read_timeout(self) -> None:
        """Disconnect a silent client (MQTT 3.1.2.10); amqtt would keep it for ever."""
        self.abort()

    def abort(self) -> None:
        """End the connection without waiting for a peer that may not read."""
        if isinstance(self.writer, Writer):
            self.writer.abort()


class Reader(StreamReaderAdapter):
    """Refuses a packet that is longer than the largest message."""

    async def read(self, n: int = -1) -> bytes:
        if n > MAX_PACKET_BYTES:
            raise Rejected(Reason.TOO_LARGE, f"a packet of {n} bytes")
        return await super().read(n)


class Writer(StreamWriterAdapter):
    """A writer whose connection can be aborted."""

    def abort(self) -> None:
        self.is_closed = True
        self._writer.transport.abort()


def outbox(session: Session) -> Outbox:
    """Return the session's outbox; the first call creates it."""
    return session.attributes.setdefault("proofrail.outbox", Outbox())


def encode_publish(topic: bytes, body: bytes, flags: int, number: int) -> bytes:
    """Return a PUBLISH packet (MQTT 3.1.1, section 3.3); it has `number` with QoS 1 only."""
    head = len(topic).to_bytes(2, "big") + topic
    if flags & 2:
        head += number.to_bytes(2, "big")
    return bytes([_PUBLISH | flags]) + _length(len(head) + len(body)) + head + body


def publish_flags(qos: int, retain: bool) -> int:
    """Return the low bits of a PUBLISH packet's first byte."""
    return qos << 1 | (_RETAIN if retain else 0)


def _length(size: int) -> bytes:
    """Encode the remaining length as MQTT 3.1.1 does (section 2.2.3)."""
    out = bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)
