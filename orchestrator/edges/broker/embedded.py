"""Runs amqtt in this process: denied by default, one connection per name, nothing retained."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import BAD_USERNAME_PASSWORD, NOT_AUTHORIZED, ConnackPacket
from amqtt.session import Session

from device_adapters.topics import EVIDENCE_FILTER
from orchestrator.edges.broker import access
from orchestrator.edges.broker.credentials import Credential
from orchestrator.edges.broker.guard import Guard
from orchestrator.edges.broker.session import DeliveryHandler, Reader, Writer, outbox, publish_flags

LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 10  # for the first packet; then the socket of a silent client is closed
_WATCH_SECONDS = 0.5
_SESSION_EXPIRY_SECONDS = 24 * 3600
_CREDENTIAL = "proofrail.credential"
_log = logging.getLogger(__name__)


class EmbeddedBroker(Broker):
    """amqtt with our own admission, topic rights and delivery.

    Warning: sessions are in memory only, and a restart loses them. Devices send again what has no
    receipt, and subscribers subscribe again.
    """

    def __init__(self, home: Path, port: int) -> None:
        listener = ListenerConfig(bind=f"{LOOPBACK}:{port}", max_connections=10_000)
        super().__init__(
            BrokerConfig(
                listeners={"default": listener},
                plugins={},
                session_expiry_interval=_SESSION_EXPIRY_SECONDS,
            )
        )
        self._guard = Guard(home)
        self._watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Return the port in use; the chosen one if port 0 was requested."""
        return self._servers["default"].instance.sockets[0].getsockname()[1]

    async def start(self) -> None:
        await super().start()
        self._watch = asyncio.create_task(self._watch_credentials())

    async def shutdown(self) -> None:
        if self._watch:
            self._watch.cancel()
        for _, handler in list(self.sessions.values()):
            handler.abort()
        await super().shutdown()

    # --- admission -----------------------------------------------------------------------------

    async def stream_connected(self, reader: Any, writer: Any, listener_name: str) -> None:
        await self._client_connected(listener_name, Reader(reader), Writer(writer))

    async def _initialize_client_session(
        self, reader: Any, writer: Any, remote_address: str, remote_port: int
    ) -> tuple[DeliveryHandler, Session]:
        """Authenticate before any session is touched.

        amqtt authenticates later: a wrong password with another's client id would end or inherit
        that session.
        """
        try:
            connect = DeliveryHandler.init_from_connect(reader, writer, self.plugins_manager)
            handler, session = await asyncio.wait_for(connect, _CONNECT_SECONDS)
        except Exception as error:  # a stranger's first bytes may cause any error
            await writer.close()
            raise MQTTError(f"no CONNECT: {error!r}") from error
        credential = self._guard.admit(session.username, session.password)
        if credential is None:
            await self._refuse(writer, BAD_USERNAME_PASSWORD, f"{session.username!r}: password")
        if session.will_flag and not self._may_leave_will(session, credential):
            await self._refuse(writer, NOT_AUTHORIZED, f"{session.username!r}: will")
        handler.take = self.take
        session.attributes[_CREDENTIAL] = credential
        return handler, await self._resume(session)

    async def _refuse(self, writer: Any, code: int, why: str) -> None:
        await ConnackPacket.build(0, code).to_stream(writer)
        await writer.close()
        raise MQTTError(f"refused {why}")

    @staticmethod
    def _may_leave_will(session: Session, credential: Credential) -> bool:
        topic, role = session.will_topic or "", credential.role
        return not session.will_retain and access.may_publish(session.username, role, topic)

    async def _resume(self, session: Session) -> Session:
        """Use the name as client id, so that no client can take another's session.

        An earlier connection of the same name ends first; a persistent session continues.
        """
        name = session.client_id = session.username
        while (former := self._sessions.get(name)) and former[0].transitions.is_connected():
            former[1].abort()
            await former[1].handle_connection_closed()
            await former[1].done.wait()
            former[0].transitions.disconnect()  # also if its loop ended for another reason
        keep = former is not None and not (session.clean_session or former[0].clean_session)
        if former is not None and not keep:
            await self._delete_session(name)
        if keep:
            session.attributes |= {"proofrail.outbox": outbox(former[0])}
            self._move_subscriptions(former[0], session)
        session.parent = int(keep)
        session.keep_alive += session.keep_alive // 2  # MQTT 3.1.2.10: one and a half times
        return session

    def _move_subscriptions(self, former: Session, session: Session) -> None:
        for subscribers in self._subscriptions.values():
            subscribers[:] = [(session if s is former else s, qos) for s, qos in subscribers]

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        return _CREDENTIAL in session.attributes

    async def _handle_client_session(self, *args: Any) -> None:
        handler = args[3]
        try:
            await super()._handle_client_session(*args)
        finally:
            handler.done.set()

    async def _watch_credentials(self) -> None:
        """End the connections whose credential was revoked or replaced."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._guard.refresh()
            for name, (session, handler) in list(self._sessions.items()):
                if session.attributes.get(_CREDENTIAL) != self._guard.credentials.get(name):
                    session.will_flag = False
                    handler.abort()
                    await self._delete_session(name)

    # --- topics --------------------------------------------------------------------------------

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        if action is not Action.SUBSCRIBE:
            return False  # `take` checks publications
        credential = session.attributes[_CREDENTIAL]
        return access.may_subscribe(session.username, credential.role, topic)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, qos = subscription
        return await super().add_subscription((topic_filter, min(qos, 1)), session)

    def take(self, session: Session, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """Send a publication to all subscribers, or drop it if the name may not publish there.

        Nothing is retained. The retain bit is sent on once, so that the rail can report it.
        """
        credential = session.attributes[_CREDENTIAL]
        if not access.may_publish(session.username, credential.role, topic):
            _log.info("%s may not publish to %r", session.username, topic)
            return
        name = topic.encode()
        for topic_filter in (topic, EVIDENCE_FILTER):
            if self._matches(topic, topic_filter):
                for subscriber, granted in self._subscriptions.get(topic_filter, ()):
                    flags = publish_flags(min(qos, granted), retain)
                    self._deliver(subscriber, name, body, flags)

    def _deliver(self, subscriber: Session, topic: bytes, body: bytes, flags: int) -> None:
        connected = subscriber.transitions.is_connected()
        if connected or (flags & 2 and not subscriber.clean_session):
            outbox(subscriber).add(topic, bytes(body), flags)
        handler = self._get_handler(subscriber)
        if connected and handler is not None:
            handler.pump()

    async def _handle_message_delivery(self, session: Session, _: Any, waiter: Any) -> bool:
        message = waiter.result()
        if message is not None and message.topic:
            self.take(session, message.topic, message.data, message.qos, message.retain)
        return True

    async def _broadcast_message(
        self, session: Session | None, topic: str | None, data: Any, force_qos: int | None = None
    ) -> None:
        """Publish what amqtt itself sends, which are Wills, with the rights of their author."""
        if session is not None and topic:
            self.take(session, topic, bytes(data or b""), force_qos or 0, False)

    async def retain_message(self, *_: Any, **__: Any) -> None:
        """Retain nothing: a retained record would be sent again to each new subscriber."""


def silence() -> None:
    """Limit amqtt's log to critical errors; it logs each packet and each refusal."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def serve(home: Path, port: int, ready: Any, stop: asyncio.Event) -> None:
    """Run the broker until `stop` is set; call `ready(port)` once it listens."""
    silence()
    broker = EmbeddedBroker(home, port)
    await broker.start()
    ready(broker.port)
    await stop.wait()
    await broker.shutdown()
