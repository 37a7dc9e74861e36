"""A station's messages fit the broker, and its later outcomes are stored once and acknowledged."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.types import MAX_MESSAGE_BYTES
from orchestrator.core.later_outcome import sign_outcomes
from orchestrator.core.receipt import Receipts, public_key_of
from services.simulated_devices.device import DeviceKind, SimulatedMeter


def receipts() -> Receipts:
    return Receipts(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class StandInLink(DeviceLink):
    """A link without a connection: keeps what is published, gives what `arrived` has."""

    def __init__(self) -> None:
        self.name, self.sent, self.acknowledged, self.arrived = "cp-1", [], [], []
        self._link = SimpleNamespace(publish=lambda topic, body: self.sent.append(body) or True)

    def acknowledge(self, body: bytes) -> bool:
        self.acknowledged.append(json.loads(body)["ids"])
        return True

    def outcomes(self, timeout_s: float = 0.0) -> list[bytes]:
        bodies, self.arrived = self.arrived, []
        return bodies

    def close(self) -> None:
        pass


@pytest.fixture
def rail():
    return receipts()


@pytest.fixture
def device(tmp_path, rail):
    key = public_key_of(rail.public_pem)
    meter = SimulatedMeter(tmp_path / "d", "cp-1", DeviceKind.CHARGE_POINT, 7, 1_750_000_000, key)
    meter.link = StandInLink()
    yield meter
    meter.close()


def outcome(number: int) -> SimpleNamespace:
    return SimpleNamespace(
        outcome_id=f"{number:064x}",
        about="cp-1",
        evidence_hash=f"{number:064x}",
        event_id="0x01",
        counter=number,
        outcome="incomplete",
        detail="its end is missing",
        payment_id=None,
        at=1,
    )


def test_publish__large_records__are_put_into_messages_that_fit(device):
    records = [b"%d" % number + b"x" * 60_000 for number in range(9)]
    assert device.publish(records) == 3
    assert max(map(len, device.link.sent)) <= MAX_MESSAGE_BYTES
    assert b"\n".join(device.link.sent).split(b"\n") == records


def test_publish__a_record_that_no_message_holds__is_answered_here_and_delays_nothing(device):
    small, large, last = b"small", b"x" * (MAX_MESSAGE_BYTES + 1), b"last"
    device._journal.add([small, large, last], {})
    assert device.publish([small, large, last]) == 2
    assert device.link.sent == [small, last]
    assert device.answers(large) == ["too_large"]
    assert set(device._journal.unanswered()) == {small, last}  # so it is not sent again


def test_outcomes__sent_again__are_stored_once_and_acknowledged_each_time(device, rail):
    first, _ = sign_outcomes(rail, "cp-1", [outcome(1), outcome(2)], 1)
    again, _ = sign_outcomes(rail, "cp-1", [outcome(2), outcome(3)], 2)
    device.link.arrived = [first, again]
    assert device.collect_outcomes() == 3
    ids = [f"{number:064x}" for number in range(4)]
    assert device.link.acknowledged == [ids[1:3], ids[2:4]]
    assert [evidence for evidence, _, _ in device.later_outcomes] == ids[1:]


def test_outcomes__of_another_key_or_for_another_device__are_not_acknowledged(device, rail):
    foreign, _ = sign_outcomes(receipts(), "cp-1", [outcome(1)], 1)
    other, _ = sign_outcomes(rail, "cp-2", [outcome(1)], 1)
    device.link.arrived = [foreign, other, b"junk"]
    assert device.collect_outcomes() == 0
    assert device.link.acknowledged == [] and device.later_outcomes == []
    assert dict(device.refused_receipts) == {
        "receipt_other_key": 1,
        "other_device": 1,
        "receipt_malformed": 1,
    }
