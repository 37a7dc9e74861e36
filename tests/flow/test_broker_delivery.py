"""Nothing acknowledged is lost: killed readers, killed broker, poison, backlogs, a changed log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from device_adapters.inlets import log_inlet
from device_adapters.registry import read
from device_adapters.topics import evidence_topic, receipts_topic
from device_adapters.types import MAX_MESSAGE_BYTES, Reason, Rejected
from orchestrator.edges.broker.server import MAX_PAYLOAD_BYTES
from tests.support.broker_process import (
    HOST,
    PATIENCE_S,
    ROOT,
    BrokerProcess,
    once,
    take,
    until,
)

_READER = """
import sys
from device_adapters.inlets.log_inlet import Inlet
inlet = Inlet("127.0.0.1", int(sys.argv[1]), "rail", sys.argv[2], batch_messages=20)
print("ready" if inlet.wait_ready(120) else "away", flush=True)
taken = 0
for batch in inlet.batches():
    taken += len(batch)
    if taken >= 50:
        print("taken", flush=True)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    process = BrokerProcess(tmp_path_factory.mktemp("broker"))
    for name, role in (("rail", "rail"), ("a", "device"), ("b", "device")):
        process.password(name, role)
    yield process.start()
    process.end()


@pytest.fixture
def broker(shared):
    shared.begin_here()
    yield shared
    shared.close_all()


class CountingDevice:
    """Publishes with QoS 1 and notes which bodies the broker acknowledged."""

    def __init__(self, broker: BrokerProcess, name: str) -> None:
        self._sent: dict[int, bytes] = {}
        self._answered: set[int] = set()
        self._topic = evidence_topic(name, "ocmf")
        self._client = Client(
            CallbackAPIVersion.VERSION2, name, protocol=MQTTv311, clean_session=False
        )
        self._client.username_pw_set(name, broker.password(name, "device"))
        self._client.reconnect_delay_set(0.2, 1)
        self._client.on_publish = self._on_publish
        self._client.connect_async(HOST, broker.port)
        self._client.loop_start()

    @property
    def acknowledged(self) -> set[bytes]:
        return {self._sent[number] for number in list(self._answered) if number in self._sent}

    def publish(self, *bodies: bytes) -> None:
        for body in bodies:
            self._sent[self._client.publish(self._topic, body, 1).mid] = body

    def _on_publish(self, _client, _data, number, _reason, _properties) -> None:
        self._answered.add(number)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_reader__killed_before_it_stored_its_position__gets_all_again(tmp_path):
    broker = BrokerProcess(tmp_path).start()
    try:
        password = broker.password("rail", "rail")
        reader = subprocess.Popen(
            [sys.executable, "-c", _READER, str(broker.nats_port), password],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert reader.stdout.readline() == "ready\n"
        a = broker.link("a")
        sent = [b"%d" % number for number in range(50)]
        for body in sent:
            a.publish(body)
        assert reader.stdout.readline() == "taken\n"
        reader.kill()
        reader.wait(PATIENCE_S)
        again = take(broker.inlet(), *sent)
        assert [m.body for m in again] == sent
        assert [m.position.sequence for m in again] == list(range(1, 51))
    finally:
        broker.end()


def test_reader__with_a_stored_position__gets_nothing_twice(broker):
    a = broker.link("a")
    sent = [b"%d" % number for number in range(50)]
    for body in sent:
        a.publish(body)
    taken = take(broker.inlet(batch_messages=7), *sent)
    broker.position = taken[29].position
    a.publish(b"last")
    assert [m.body for m in take(broker.inlet(), b"last")] == [*sent[30:], b"last"]


def test_reader__idle_for_a_while__gets_the_next_message(broker):
    rail, a = broker.inlet(), broker.link("a")
    for body in (b"one", b"two", b"three"):
        threading.Event().wait(0.3)  # the reader waits for a hint meanwhile
        a.publish(body)
        assert [m.body for m in take(rail, body)] == [body]


def test_messages__while_the_reader_is_away__arrive_in_order_and_memory_is_bounded(tmp_path):
    """A broker that keeps them in memory grows with each: one device had taken 600 MB."""
    broker = BrokerProcess(tmp_path).start()
    a, filler = CountingDevice(broker, "a"), b"x" * 200_000
    sent = [b"%d " % number + filler for number in range(1_000)]
    try:
        a.publish(*sent)
        assert until(lambda: len(a.acknowledged) == len(sent))
        status = Path(f"/proc/{broker.server_pid}/status").read_text()
        (peak_kb,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        assert int(peak_kb) < 150_000, "200 MB of messages must not stay in memory"
        assert once(take(broker.inlet(), *sent)) == sent
    finally:
        a.close()
        broker.end()


def test_receipts__for_a_device_that_is_away__come_when_it_is_back(broker):
    rail = broker.inlet()
    broker.link("a").close()  # its session exists from here on
    assert rail.publish_many([(receipts_topic("a"), b"one"), (receipts_topic("a"), b"two")]) == 2
    a = broker.link("a")
    receipts: list[bytes] = []
    assert until(lambda: receipts.extend(a.receipts(0.1)) or len(receipts) >= 2)
    assert list(dict.fromkeys(receipts)) == [b"one", b"two"]


def test_receipts__while_the_broker_is_away__are_counted_as_not_sent(tmp_path):
    broker = BrokerProcess(tmp_path).start()
    rail = broker.inlet()
    broker.kill()
    assert until(lambda: not rail.healthy())
    assert rail.publish_many([(receipts_topic("a"), b"x")]) == 0
    rail.close()


def test_server__killed_again_and_again__loses_nothing_acknowledged(tmp_path):
    """A PUBACK follows the fsync: each kill stands for a power cut of the process."""
    broker = BrokerProcess(tmp_path).start()
    a = CountingDevice(broker, "a")
    try:
        rail = broker.inlet()
        for round_number in range(3):
            before = len(a.acknowledged)
            a.publish(*(b"%d/%d" % (round_number, n) for n in range(400)))
            assert until(lambda b=before: len(a.acknowledged) > b + 50)
            os.kill(broker.server_pid, signal.SIGKILL)
            assert broker.wait_ended() == 1  # it does not go on without its server
            broker.start()
        assert until(lambda: len(a.acknowledged) == 1_200)
        sent = {b"%d/%d" % (r, n) for r in range(3) for n in range(400)}
        taken = take(rail, *sent)
        sequences = [m.position.sequence for m in taken]
        assert sequences == sorted(set(sequences))  # this reader went on where it was
        assert once(take(broker.inlet(), *sent)) == once(taken)
    finally:
        a.close()
        broker.end()


def test_log__that_is_full__acknowledges_nothing_more(tmp_path):
    broker = BrokerProcess(tmp_path, broker_log_bytes=1024**2).start()
    a, b = CountingDevice(broker, "a"), CountingDevice(broker, "b")
    try:
        rail = broker.inlet()
        bodies = [b"%d " % number + b"x" * 100_000 for number in range(15)]
        a.publish(*bodies)
        log = (tmp_path / "broker" / "nats.log").read_text
        assert until(lambda: "maximum bytes exceeded" in log())
        b.publish(b"y" * 100_000)
        kept: set[bytes] = set()

        def all_are_kept() -> bool:  # the last acknowledgements may still be on their way
            kept.update(m.body for m in take(rail, *(a.acknowledged - kept)))
            return a.acknowledged == kept

        assert until(all_are_kept) and kept < set(bodies)
        assert b.acknowledged == set()
    finally:
        for device in (a, b):
            device.close()
        broker.end()


def test_log__one_device_beyond_its_messages__cut_off_alone(tmp_path):
    broker = BrokerProcess(tmp_path, broker_device_messages=20).start()
    a, b = CountingDevice(broker, "a"), CountingDevice(broker, "b")
    try:
        a.publish(*(b"%d" % number for number in range(40)))
        log = (tmp_path / "broker" / "nats.log").read_text
        assert until(lambda: "maximum messages per subject exceeded" in log())
        b.publish(b"own")
        assert until(lambda: b.acknowledged)
        assert len(a.acknowledged) == 20
    finally:
        for device in (a, b):
            device.close()
        broker.end()


def test_log__restored_from_an_older_copy_or_deleted__is_read_from_its_beginning(tmp_path, caplog):
    """What the reader counts as read is not in that log; the evidence hash finds repeats."""
    broker = BrokerProcess(tmp_path).start()
    store, copy = tmp_path / "broker" / "jetstream", tmp_path / "copy"

    def send(*bodies: bytes) -> list[bytes]:
        a = broker.link("a")
        for body in bodies:
            a.publish(body)
        return list(bodies)

    old = send(b"old 1", b"old 2")
    take(broker.inlet(), *old)
    broker.end()
    shutil.copytree(store, copy)
    broker.start()
    lost = send(b"lost 1", b"lost 2")
    broker.position = take(broker.inlet(), *lost)[-1].position
    broker.end()
    try:
        shutil.rmtree(store)
        shutil.copytree(copy, store)
        broker.start()
        short = broker.inlet()  # the log ends before the position
        assert once(take(short, *old)) == old
        assert "it ends at" in caplog.text
        later = send(b"new 1", b"new 2", b"new 3")
        assert once(take(broker.inlet(), later[-1])) == old + later  # another message is there
        assert "is of" in caplog.text
        broker.end()
        shutil.rmtree(store)
        broker.start()
        fresh = send(*(b"fresh %d" % number for number in range(9)))
        assert once(take(broker.inlet(), fresh[-1])) == fresh
        assert "it was made at" in caplog.text
    finally:
        broker.end()


def test_broker__killed_and_started_again__everyone_comes_back(tmp_path):
    broker = BrokerProcess(tmp_path).start()
    try:
        rail, a = broker.inlet(), broker.link("a")
        a.publish(b"before")
        take(rail, b"before")
        broker.kill()
        assert until(lambda: not rail.healthy() and not a.healthy())
        broker.start()
        assert until(lambda: rail.healthy() and a.healthy())
        a.publish(b"after")
        *again, last = [m.body for m in take(rail, b"after")]
        # the broker may forget that `before` was taken, and then it comes again
        assert last == b"after" and set(again) <= {b"before"}
        state = json.loads((tmp_path / "ready.json").read_text())
        assert set(state) == {"host", "port", "nats_port", "broker", "pid"}
    finally:
        broker.end()


def test_message__of_each_size__is_taken_answered_by_name_or_ends_its_own_connection(broker):
    """What is above a message's limit and below the broker's reaches the rail, which names it."""
    rail, a, b = broker.inlet(), broker.link("a"), broker.link("b")
    topic, answered = evidence_topic("a", "ocmf"), MAX_PAYLOAD_BYTES - 100  # with its headers
    for size in (MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1, answered):
        a.publish_raw(topic, b"x" * size, qos=1)
        (message,) = take(rail, b"x" * size)
        (item,) = read(message)
        whole = "a record has at most" in item.detail  # one record alone is too large
        assert (item.reason, whole) == (Reason.TOO_LARGE, size == MAX_MESSAGE_BYTES)
    a.publish_raw(topic, b"x" * (MAX_PAYLOAD_BYTES + 1), qos=1)
    assert until(lambda: not a.healthy())
    b.publish(b"own")
    assert b"own" in once(take(rail, b"own"))


def test_message__larger_than_the_readers_batch__is_read_in_its_place(broker, monkeypatch):
    """Some releases of nats-server take any size over MQTT: the reader must get past it."""
    monkeypatch.setattr(log_inlet, "_BATCH_BYTES", 1_000)
    rail, a = broker.inlet(), broker.link("a")
    bodies = [b"one", b"x" * MAX_MESSAGE_BYTES, b"two"]
    for body in bodies:
        a.publish(body)
    assert once(take(rail, *bodies)) == bodies


def test_message__too_large_for_the_link__refused_by_name_and_delays_nothing(broker):
    rail, a = broker.inlet(), broker.link("a")
    a.publish(b"before")
    with pytest.raises(Rejected, match=f"{3 * MAX_MESSAGE_BYTES} bytes.*{MAX_MESSAGE_BYTES}"):
        a.publish(b"x" * 3 * MAX_MESSAGE_BYTES)
    a.publish(b"after")
    assert once(take(rail, b"after")) == [b"before", b"after"]


def test_answer__one_that_the_broker_cannot_take__holds_back_no_other(broker):
    rail, a, b = broker.inlet(), broker.link("a"), broker.link("b")
    items = [(receipts_topic("a"), b"x" * (MAX_PAYLOAD_BYTES + 1)), (receipts_topic("b"), b"own")]
    assert rail.publish_many([*items, (receipts_topic("no name"), b"x")]) == 1
    assert set(b.receipts(PATIENCE_S)) == {b"own"}
    assert a.receipts() == []


def test_same_name__connects_again__the_later_connection_gets_the_receipts(broker):
    rail, former = broker.inlet(), broker.link("a")
    later = broker.link("a")
    former.close()
    assert until(lambda: later.healthy())
    rail.publish_many([(receipts_topic("a"), b"own")])
    assert set(later.receipts(PATIENCE_S)) == {b"own"}
