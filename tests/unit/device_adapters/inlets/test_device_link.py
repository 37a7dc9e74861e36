"""The device's link: what cannot be sent is refused at once, and an older broker is enough."""

from __future__ import annotations

import pytest
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.types import MAX_MESSAGE_BYTES, Rejected

GRANTED = ReasonCode(PacketTypes.SUBACK, identifier=1)
REFUSED = ReasonCode(PacketTypes.SUBACK, identifier=128)


@pytest.fixture
def link():
    """Give a link whose broker does not answer."""
    link = DeviceLink("127.0.0.1", 1, "cp-1", "secret")
    yield link
    link.close()


def queued(link: DeviceLink) -> int:
    return len(link._link._client._out_messages)


def test_publish__larger_than_a_message__is_named_with_the_limit_and_not_queued(link):
    assert link.publish(b"x" * MAX_MESSAGE_BYTES)
    with pytest.raises(Rejected) as refused:
        link.publish(b"x" * (MAX_MESSAGE_BYTES + 1))
    assert refused.value.reason == "too_large"
    assert f"{MAX_MESSAGE_BYTES + 1} bytes" in refused.value.detail
    assert f"at most {MAX_MESSAGE_BYTES}" in refused.value.detail
    assert link.publish(b"behind it")
    assert queued(link) == 2


def test_messages__of_both_topics__come_apart(link):
    for topic, body in (("receipts", b"receipt"), ("outcomes", b"outcome")):
        message = MQTTMessage(topic=f"proofrail/cp-1/{topic}".encode())
        message.payload = body
        link._link._on_message(None, None, message)
    assert (link.receipts(), link.outcomes()) == ([b"receipt"], [b"outcome"])
    assert (link.receipts(), link.outcomes()) == ([], [])


@pytest.mark.parametrize(
    ("answers", "ready"),
    [([GRANTED, GRANTED], True), ([GRANTED, REFUSED], True), ([REFUSED, GRANTED], False)],
)
def test_subscribe__broker_that_has_no_outcomes__is_ready_with_receipts_alone(link, answers, ready):
    link._link._on_subscribe(None, None, 1, answers, None)
    assert link.wait_ready(0) is ready
