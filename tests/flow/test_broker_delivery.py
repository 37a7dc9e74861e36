"""Nothing unacknowledged is lost: killed consumers, killed broker, poison, backlogs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from broker_process import BROKERS, HOST, ROOT, BrokerProcess, take, until

from device_adapters.inlets import Inlet
from device_adapters.types import MAX_MESSAGE_BYTES

_CONSUMER = """
import sys
from device_adapters.inlets import Inlet
inlet = Inlet("127.0.0.1", int(sys.argv[1]), "rail", sys.argv[2])
print("ready" if inlet.wait_ready(20) else "away", flush=True)
seen = 0
for batch in inlet.batches():
    seen += len(batch)
    if seen == 50:
        print("taken", flush=True)
"""


@pytest.fixture(params=BROKERS)
def broker(request, tmp_path):
    process = BrokerProcess(tmp_path, request.param)
    for name, role in (("rail", "rail"), ("a", "device")):
        process.password(name, role)
    yield process.start()
    process.end()


def test_consumer__killed_before_it_acknowledged__gets_all_again(broker):
    password = broker.password("rail", "rail")
    consumer = subprocess.Popen(
        [sys.executable, "-c", _CONSUMER, str(broker.port), password],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert consumer.stdout.readline() == "ready\n"
    a = broker.link("a")
    sent = [b"%d" % number for number in range(50)]
    for body in sent:
        a.publish(body)
    assert consumer.stdout.readline() == "taken\n"
    consumer.kill()
    consumer.wait(10)
    again = take(broker.inlet(), sent[-1])
    assert [m.body for m in again] == sent
    assert not any(m.retained for m in again)


def test_consumer__that_acknowledged__gets_nothing_twice(broker):
    first, a = broker.inlet(), broker.link("a")
    for number in range(50):
        a.publish(b"%d" % number)
    take(first, b"49")
    first.close()
    a.publish(b"last")
    assert [m.body for m in take(broker.inlet(), b"last")] == [b"last"]


def test_consumer__slower_than_any_timeout_of_the_broker__keeps_its_claim(tmp_path):
    """amqtt forgets a message that is not acknowledged within 5 s, or whose reader goes away."""
    broker = BrokerProcess(tmp_path).start()
    try:
        rail, a = broker.inlet(), broker.link("a")
        a.publish(b"one")
        held = take(rail, b"one", ack=False)
        rail.close()
        again = broker.inlet()
        assert [m.body for m in take(again, b"one", ack=False)] == [b"one"]
        again.ack(held)  # the former connection's acknowledgement must not count for this one
        again.close()
        a.publish(b"two")
        assert [m.body for m in take(broker.inlet(), b"two")] == [b"one", b"two"]
    finally:
        broker.end()


def test_messages__while_the_consumer_is_away__arrive_unflagged_and_in_order(broker):
    broker.inlet().close()
    a = broker.link("a")
    sent = [b"%d" % number for number in range(3_000)]
    for body in sent:
        a.publish(body)
    found = take(broker.inlet(), sent[-1])
    assert list(dict.fromkeys(m.body for m in found)) == sent  # QoS 1 may bring one twice
    assert not any(m.retained for m in found)


class _Fragile(Inlet):
    """An inlet whose callback fails over one message."""

    def _take(self, generation, received):
        if received.payload == b"poison":
            raise RuntimeError("poison")
        super()._take(generation, received)


def test_callback__raises_over_a_message__the_flow_goes_on(broker):
    inlet = _Fragile(HOST, broker.port, "rail", broker.password("rail", "rail"))
    try:
        assert until(lambda: inlet.wait_ready(1), 20)
        a = broker.link("a")
        for body in (b"poison", b"good"):
            a.publish(body)
        assert [m.body for m in take(inlet, b"good")] == [b"good"]
        assert inlet.healthy()
    finally:
        inlet.close()


def test_broker__killed_and_started_again__everyone_comes_back(broker):
    rail, a = broker.inlet(), broker.link("a")
    broker.kill()
    assert until(lambda: not rail.healthy() and not a.healthy())
    broker.start()
    assert until(lambda: rail.healthy() and a.healthy())
    a.publish(b"after")
    assert [m.body for m in take(rail, b"after")] == [b"after"]


def test_message__larger_than_allowed__is_not_delivered_and_hurts_nobody(broker):
    rail, a = broker.inlet(), broker.link("a")
    broker.password("b", "device")
    b = broker.link("b")
    a.publish(b"x" * (2 * MAX_MESSAGE_BYTES))
    b.publish(b"own")
    assert [m.body for m in take(rail, b"own")] == [b"own"]


def test_same_name__connects_again__the_later_connection_gets_the_messages(broker):
    former, a = broker.inlet(), broker.link("a")
    later = broker.inlet()
    former.close()
    a.publish(b"own")
    assert b"own" in [m.body for m in take(later, b"own")]
    later.close()
