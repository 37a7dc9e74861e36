"""Simulated devices sign OCMF that the adapter reads, and their faults are real faults."""

from __future__ import annotations

from decimal import Decimal

import pytest

from device_adapters.protocols import ocmf
from device_adapters.types import STREAM_BIT, Curve
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from services.simulated_devices.faults import ABSURD_KWH, Fault, commit
from services.simulated_devices.record import ORDER, counter_of, twin, units_of
from tests.support.meter_streams import reasons

START = 1_750_000_000


class _Air:
    """A link that keeps the messages of a device."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def publish(self, body: bytes, protocol: str) -> bool:
        assert protocol == "ocmf"
        self.sent.append(body)
        return True

    def publish_raw(self, topic: str, body: bytes, retain: bool = False, qos: int = 0) -> None:
        self.sent.append(body)

    def close(self) -> None:
        pass


class SimulatedKeys:
    def __init__(self, device: SimulatedMeter) -> None:
        self._key = device.public

    def key_at(self, device_id, at_seconds):
        return self._key

    def compromised_since(self, device_id):
        return None

    def gateway_at(self, device_id, at_seconds):
        return None


@pytest.fixture(params=list(DeviceKind))
def device(request, tmp_path):
    meter = SimulatedMeter(tmp_path / "d", "cp-1", request.param, 7, START)
    meter.link = _Air()
    yield meter
    meter.close()


def _verdicts(device: SimulatedMeter, records: list[bytes]) -> list:
    return reasons([ocmf.decode(record) for record in records], SimulatedKeys(device))


def test_records__made_in_bulk__genuine_billable_and_rising(device):
    records = device.make_records(40)
    events = [ocmf.decode(record) for record in records]
    assert reasons(events, SimulatedKeys(device)) == [None] * 40
    assert all(event.not_billable == () and not event.facts["cautions"] for event in events)
    first = 1 + ((1 << STREAM_BIT) if device.kind is DeviceKind.HOUSEHOLD else 0)
    assert [event.counter for event in events] == list(range(first, first + 40))
    assert [counter_of(record) for record in records] == [event.counter for event in events]
    registers = [r["register"] for event in events for r in event.facts["readings"]]
    times = [r["at"] for event in events for r in event.facts["readings"]]
    assert registers == sorted(registers)
    assert times == sorted(times)


def test_session__in_one_record_or_two__charges_the_given_energy(tmp_path):
    device = SimulatedMeter(tmp_path / "d", "cp-1", DeviceKind.CHARGE_POINT, 7, START)
    for split, marks in ((False, [["B", "E"]]), (True, [["B"], ["E"]])):
        events = [ocmf.decode(r) for r in device.session("12.3456", split=split)]
        readings = [r for event in events for r in event.facts["readings"]]
        assert [[r["mark"] for r in e.facts["readings"]] for e in events] == marks
        assert readings[-1]["register"] - readings[0]["register"] == 12_345_600
    device.close()


def test_device__same_seed__same_bytes_also_across_a_restart(tmp_path):
    first_meter = SimulatedMeter(tmp_path / "a", "cp-1", DeviceKind.CHARGE_POINT, 7, START)
    whole = first_meter.make_records(6)
    second_meter = SimulatedMeter(tmp_path / "b", "cp-1", DeviceKind.CHARGE_POINT, 7, START)
    first = second_meter.make_records(3)
    second_meter.close()
    second_meter = SimulatedMeter(tmp_path / "b", "cp-1", DeviceKind.CHARGE_POINT, 7, START)
    assert first + second_meter.make_records(3) == whole
    assert second_meter.unreceipted() == whole
    other = SimulatedMeter(tmp_path / "c", "cp-1", DeviceKind.CHARGE_POINT, 8, START)
    assert other.make_records(1)[0] != whole[0]
    for meter in (first_meter, second_meter, other):
        meter.close()


@pytest.mark.parametrize(
    ("fault", "doubts"),
    [
        (Fault.DUPLICATE, [None, None]),
        (Fault.REPLAY, [None, None]),
        (Fault.OUT_OF_ORDER, [None, None]),
        (Fault.MISSING_COUNTER, [None]),
        (Fault.FORGED_SIGNATURE, ["signature_forged"]),
        (Fault.IMPLAUSIBLE_READING, [None]),
        (Fault.REGISTER_BACKWARDS, [None]),
        (Fault.HIGH_S_TWIN, [None, None]),
    ],
)
def test_fault__that_is_readable__is_genuine_unless_forged(device, fault, doubts):
    device.make_records(2)
    records = commit(fault, device, other="cp-2")
    assert device.link.sent == records
    assert _verdicts(device, records) == doubts


def test_faults__by_their_counters__match_their_names(device):
    old, new = commit(Fault.REPLAY, device)
    assert counter_of(old) == counter_of(new) and old != new
    later, earlier = commit(Fault.OUT_OF_ORDER, device)
    assert counter_of(later) == counter_of(earlier) + 1
    (kept,) = commit(Fault.MISSING_COUNTER, device)
    assert counter_of(kept) == counter_of(later) + 2
    record, other = commit(Fault.HIGH_S_TWIN, device)
    assert record.split(b"|")[1] == other.split(b"|")[1] and record != other
    assert twin(other) == record
    (jump,) = commit(Fault.IMPLAUSIBLE_READING, device)
    readings = ocmf.decode(jump).facts["readings"]
    assert readings[-1]["register"] - device.register * 100 == ABSURD_KWH * 1_000_000
    assert b"cp-2" in commit(Fault.OTHER_DEVICE, device, other="cp-2")[0]


def test_possession__over_a_digest__verifies_with_low_s(device):
    digest = bytes(range(32))
    r, s = device.sign_digest(digest)
    assert 0 < r < ORDER and 0 < s <= ORDER // 2
    assert device.public.curve is Curve.SECP256R1


def test_kwh__beyond_four_decimals__refused():
    assert units_of(Decimal("0.0001")) == 1
    assert units_of("12") == 120_000
    with pytest.raises(ValueError, match="four decimals"):
        units_of("0.00001")
