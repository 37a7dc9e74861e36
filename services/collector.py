"""Bring the records of a broker that a partner already runs into our broker's log.

    python -m services.collector --from-host mqtt.partner.example --from-user proofrail ...

It acknowledges a record to the partner's broker only when our log has it. It needs a credential
with the role `collector` at our broker.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import queue
import signal
import ssl
import threading
from pathlib import Path

from device_adapters.inlets.log_writer import FAILURES, LogWriter
from device_adapters.inlets.mqtt_link import MqttLink, MQTTMessage
from device_adapters.registry import protocol_names
from device_adapters.topics import EVIDENCE_FILTER, owner_of
from orchestrator.edges.broker.access import is_valid_name
from orchestrator.edges.broker.credentials import replace_private

_HELD_MESSAGES = 500  # received, not yet in our log; beyond it the partner's broker has to wait
_BATCH = 200
_RETRY_S = 1.0
_POLL_S = 0.2
_START_S = 30
_log = logging.getLogger("collector")


class Collector:
    """Takes evidence from one MQTT broker and writes it into our log.

    Args:
        shared: Name of a shared subscription, which several collectors may use; "" for none (NATS
            has none).
    """

    def __init__(self, writer: LogWriter, shared: str = "") -> None:
        self._writer = writer
        self._held: queue.Queue[tuple[int, MQTTMessage]] = queue.Queue(_HELD_MESSAGES)
        self._closing = threading.Event()
        self.topics = [f"$share/{shared}/{EVIDENCE_FILTER}" if shared else EVIDENCE_FILTER]

    def receive(self, generation: int, message: MQTTMessage) -> None:
        """Hold a message, on the network thread; while there are enough, it waits."""
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._held.put((generation, message), timeout=_POLL_S)
                return

    async def run(self, link: MqttLink) -> None:
        """Write what arrives until `stop`; what is not written is not acknowledged."""
        while not self._closing.is_set():
            batch = await asyncio.to_thread(self._gather)
            items = [(m.topic, m.payload) for _, m in batch if _is_evidence(m)]
            if await self._write(items):
                for generation, message in batch:
                    link.ack(generation, message.mid)
            link.revive()
        await self._writer.close()

    def stop(self) -> None:
        """End `run` after the current batch."""
        self._closing.set()

    async def _write(self, items: list[tuple[str, bytes]]) -> bool:
        while items and not self._closing.is_set():
            try:
                await self._writer.write_all(items)
                return True
            except FAILURES as error:
                _log.warning("%d records are not in our log yet: %r", len(items), error)
                await asyncio.sleep(_RETRY_S)
        return not items

    def _gather(self) -> list[tuple[int, MQTTMessage]]:
        batch: list[tuple[int, MQTTMessage]] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._held.get(timeout=_POLL_S))
            while len(batch) < _BATCH:
                batch.append(self._held.get_nowait())
        return batch


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit code 0."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    own_tls = _context(options.ca)
    password = options.password_file.read_text().strip()
    writer = LogWriter(options.host, options.nats_port, options.user, password, own_tls)
    collector = Collector(writer, options.shared)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: collector.stop())
    link = MqttLink(
        options.from_host,
        options.from_port,
        options.from_user,
        options.from_password_file.read_text().strip() if options.from_password_file else "",
        options.client_id,
        collector.topics,
        collector.receive,
        manual_ack=True,
        tls=_context(options.from_ca),
    )
    try:
        if not link.wait_ready(_START_S):
            _log.warning("not subscribed yet: %s", link.refusal or "the broker does not answer")
        print(f"collector reads {options.from_host}:{options.from_port}", flush=True)
        if options.ready_file:
            replace_private(options.ready_file, json.dumps({"pid": os.getpid()}).encode())
        asyncio.run(collector.run(link))
    finally:
        link.close()
    return 0


def _is_evidence(message: MQTTMessage) -> bool:
    """Return whether our log takes a message; others are named and acknowledged.

    One that is too large goes on as far as the broker takes it: the rail stores it with its reason,
    where its sender finds it over HTTP.
    """
    device, protocol = owner_of(message.topic)
    taken = is_valid_name(device) and protocol in protocol_names() and not message.retain
    if not taken:
        _log.warning("%r: %d bytes were not taken", message.topic, len(message.payload))
        return False
    return True


def _context(ca: Path | None) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=str(ca)) if ca else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="of our broker")
    parser.add_argument("--nats-port", type=int, required=True, help="of our broker's readers")
    parser.add_argument("--user", required=True, help="a credential with the role collector")
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--ca", type=Path, help="PEM of who vouches for our broker")
    parser.add_argument("--from-host", required=True, help="the partner's broker")
    parser.add_argument("--from-port", type=int, default=1883)
    parser.add_argument("--from-user", required=True)
    parser.add_argument("--from-password-file", type=Path)
    parser.add_argument("--from-ca", type=Path, help="PEM of who vouches for the partner's broker")
    parser.add_argument("--client-id", default="", help="default: the user's name")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--shared", default="", help="name of a shared subscription")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
