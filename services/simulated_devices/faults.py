"""Faults that real fleets send in addition to good records, each on demand."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from device_adapters.topics import evidence_topic
from services.simulated_devices.device import DeviceKind, SimulatedMeter, derived_key
from services.simulated_devices.record import Point, twin, units_of

ABSURD_KWH = 50_000


class Fault(StrEnum):
    """The faults, each with the answer of an honest rail (none: the broker already refused)."""

    DUPLICATE = "duplicate"  # the last record again: duplicate
    REPLAY = "replay"  # a new message, an old counter, other content: counter_replayed
    OUT_OF_ORDER = "out_of_order"  # two records, the later one first: both accepted
    MISSING_COUNTER = "missing_counter"  # a record is lost before it is sent: the hole is reported
    FORGED_SIGNATURE = "forged_signature"  # signed by another key: signature_forged
    OTHER_DEVICE = "other_device"  # another device's name on its own topic: device_not_of_topic
    IMPLAUSIBLE_READING = "implausible_reading"  # more energy than any fuse allows
    REGISTER_BACKWARDS = "register_backwards"  # genuine, but below what was already reported
    HIGH_S_TWIN = "high_s_twin"  # the last record with its signature's twin: duplicate
    TRUNCATED = "truncated"  # half a record
    RETAINED = "retained"  # the last record with the retain bit: retained, or refused
    FOREIGN_TOPIC = "foreign_topic"  # on another device's topic: refused by the broker


def commit(fault: Fault, device: SimulatedMeter, other: str = "") -> list[bytes]:
    """Send a fault through the device's link and return the records that were sent.

    Records with numbers of their own are journaled like good ones.

    Args:
        device: a device with at least one record.
        other: another device's name, for OTHER_DEVICE and FOREIGN_TOPIC.
    """
    return _ACTS[fault](device, other or f"{device.name}-other")


def _last(device: SimulatedMeter) -> tuple[int, Point]:
    mark = "" if device.kind is DeviceKind.HOUSEHOLD else "E"
    return device.counter, Point(mark, device.now, device.register)


def _fresh(device: SimulatedMeter) -> bytes:
    return device.make_records(1)[0]


def _send(device: SimulatedMeter, records: list[bytes]) -> list[bytes]:
    for record in records:
        device.publish([record])
    return records


def _points(device: SimulatedMeter, first: int, last: int, seconds: int = 3_600) -> list[Point]:
    """Return a session from one register to another, or only the reading at its end."""
    end = device.now + seconds
    if device.kind is DeviceKind.HOUSEHOLD:
        return [Point("", end, last)]
    return [Point("B", device.now, first), Point("E", end, last)]


def _duplicate(device: SimulatedMeter, _: str) -> list[bytes]:
    record = _fresh(device)
    return _send(device, [record, record])


def _replay(device: SimulatedMeter, _: str) -> list[bytes]:
    record = _fresh(device)
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(7))
    return _send(device, [record, device.forge(points, counter, device.key)])


def _out_of_order(device: SimulatedMeter, _: str) -> list[bytes]:
    first, second = device.make_records(2)
    return _send(device, [second, first])


def _missing(device: SimulatedMeter, _: str) -> list[bytes]:
    lost, kept = device.make_records(2)
    device.forget([lost])
    return _send(device, [kept])


def _forged(device: SimulatedMeter, _: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(9))
    stranger = derived_key(f"not-{device.name}", 0)
    return _send(device, [device.forge(points, counter + 1, stranger)])


def _other_device(device: SimulatedMeter, other: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(9))
    return _send(device, [device.forge(points, counter + 1, device.key, name=other)])


def _implausible(device: SimulatedMeter, _: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(ABSURD_KWH))
    record = device.forge(points, counter + 1, device.key)
    return _send(device, device.keep([record], counter + 1))


def _backwards(device: SimulatedMeter, _: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register // 2, point.register // 2 + units_of(1))
    record = device.forge(points, counter + 1, device.key)
    return _send(device, device.keep([record], counter + 1))


def _twin(device: SimulatedMeter, _: str) -> list[bytes]:
    record = _fresh(device)
    return _send(device, [record, twin(record)])


def _truncated(device: SimulatedMeter, _: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(9))
    whole = device.forge(points, counter + 1, device.key)
    return _send(device, [whole[: len(whole) // 2]])


def _retained(device: SimulatedMeter, _: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(3))
    record = device.forge(points, counter + 1, device.key)
    device.link.publish_raw(evidence_topic(device.name, "ocmf"), record, retain=True)
    return [record]


def _foreign(device: SimulatedMeter, other: str) -> list[bytes]:
    counter, point = _last(device)
    points = _points(device, point.register, point.register + units_of(3))
    record = device.forge(points, counter + 1, device.key, name=other)
    device.link.publish_raw(evidence_topic(other, "ocmf"), record, qos=1)
    return [record]


_ACTS: dict[Fault, Callable[[SimulatedMeter, str], list[bytes]]] = {
    Fault.DUPLICATE: _duplicate,
    Fault.REPLAY: _replay,
    Fault.OUT_OF_ORDER: _out_of_order,
    Fault.MISSING_COUNTER: _missing,
    Fault.FORGED_SIGNATURE: _forged,
    Fault.OTHER_DEVICE: _other_device,
    Fault.IMPLAUSIBLE_READING: _implausible,
    Fault.REGISTER_BACKWARDS: _backwards,
    Fault.HIGH_S_TWIN: _twin,
    Fault.TRUNCATED: _truncated,
    Fault.RETAINED: _retained,
    Fault.FOREIGN_TOPIC: _foreign,
}
