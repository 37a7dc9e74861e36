"""Nothing unacknowledged is lost: killed consumers, killed broker, poison, backlogs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from device_adapters.inlets import Inlet
from device_adapters.topics import receipts_topic
from device_adapters.types import MAX_MESSAGE_BYTES
from tests.support.broker_process import (
    BROKERS,
    HOST,
    PATIENCE_S,
    ROOT,
    BrokerProcess,
    once,
    take,
    until,
)

_CONSUMER = """
import sys
from device_adapters.inlets import Inlet
inlet = Inlet("127.0.0.1", int(sys.argv[1]), "rail", sys.argv[2])
print("ready" if inlet.wait_ready(120) else "away", flush=True)
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
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert consumer.stdout.readline() == "ready\n"
    a = broker.link("a")
    sent = [b"%d" % number for number in range(50)]
    for body in sent:
        a.publish(body)
    assert consumer.stdout.readline() == "taken\n"
    consumer.kill()
    consumer.wait(PATIENCE_S)
    again = take(broker.inlet(), *sent)
    assert once(again) == sent
    assert not any(m.retained for m in again)


def test_consumer__that_acknowledged__gets_nothing_twice(broker):
    first, a = broker.inlet(), broker.link("a")
    sent = [b"%d" % number for number in range(50)]
    for body in sent:
        a.publish(body)
    take(first, *sent)
    first.publish_many([(receipts_topic("a"), b"done")])
    assert a.receipts(PATIENCE_S)  # so the broker has read the acknowledgements sent before
    first.close()
    second = broker.inlet()  # what comes again from now on arrives before `last`
    a.publish(b"last")
    assert once(take(second, b"last")) == [b"last"]


def test_consumer__slower_than_any_timeout_of_the_broker__keeps_its_claim(tmp_path):
    """amqtt drops a message that is not acknowledged within 5 s, or whose reader disconnects."""
    broker = BrokerProcess(tmp_path).start()
    try:
        rail, a = broker.inlet(), broker.link("a")
        a.publish(b"one")
        held = take(rail, b"one", ack=False)
        rail.close()
        again = broker.inlet()
        assert once(take(again, b"one", ack=False)) == [b"one"]
        again.ack(held)  # an acknowledgement of the earlier connection must not count here
        again.close()
        a.publish(b"two")
        # nothing is lost; messages that came during the reconnect may come first, and twice
        assert set(once(take(broker.inlet(), b"one", b"two"))) == {b"one", b"two"}
    finally:
        broker.end()


def test_messages__while_the_consumer_is_away__arrive_unflagged_and_in_order(broker):
    broker.inlet().close()
    a = broker.link("a")
    sent = [b"%d" % number for number in range(3_000)]
    for body in sent:
        a.publish(body)
    messages = take(broker.inlet(), *sent)
    assert once(messages) == sent
    assert not any(m.retained for m in messages)


class _Fragile(Inlet):
    """An inlet whose callback fails on one message."""

    def _take(self, generation, received):
        if received.payload == b"poison":
            raise RuntimeError("poison")
        super()._take(generation, received)


def test_callback__raises_over_a_message__the_flow_goes_on(broker):
    inlet = _Fragile(HOST, broker.port, "rail", broker.password("rail", "rail"))
    try:
        assert until(lambda: inlet.wait_ready(1))
        a = broker.link("a")
        for body in (b"poison", b"good"):
            a.publish(body)
        assert once(take(inlet, b"good")) == [b"good"]
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
    assert once(take(rail, b"after")) == [b"after"]


def test_message__larger_than_allowed__is_not_delivered_and_harms_no_client(broker):
    rail, a = broker.inlet(), broker.link("a")
    broker.password("b", "device")
    b = broker.link("b")
    a.publish(b"x" * (2 * MAX_MESSAGE_BYTES))
    b.publish(b"own")
    assert once(take(rail, b"own")) == [b"own"]


def test_same_name__connects_again__the_later_connection_gets_the_messages(broker):
    former, a = broker.inlet(), broker.link("a")
    later = broker.inlet()
    former.close()
    a.publish(b"own")
    take(later, b"own")
    later.close()
