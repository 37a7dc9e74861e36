"""Verification in batches: the key of the event's time decides, and each refusal has a name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device_adapters import registry
from device_adapters.types import Curve, DeviceKey, Event
from oracles.types import ClaimReason
from oracles.verify import verify_events
from tests.support.meter_streams import (
    SOME_DAY,
    StreamKeys,
    key_of,
    message,
    record,
    session_record,
)


def _event(raw: bytes) -> Event:
    (event,) = registry.read(message(raw))
    assert isinstance(event, Event)
    return event


def test_verify_events__a_mixed_batch__one_answer_each_in_order():
    genuine = _event(session_record("M1", 1))
    forged = _event(record("M1", 2, ("B", 1, 1_790_000_000), key=key_of("OTHER")))
    stranger = _event(session_record("GHOST", 1))
    old = _event(session_record("OLD", 1))
    keys = StreamKeys({"M1", "OLD"}, {"OLD": ClaimReason.DEVICE_SUSPENDED})
    assert verify_events([forged, genuine, stranger, old, genuine], keys) == [
        ClaimReason.SIGNATURE_FORGED,
        None,
        ClaimReason.DEVICE_UNKNOWN,
        ClaimReason.DEVICE_SUSPENDED,
        None,
    ]


@pytest.mark.parametrize("curve", [curve for curve in Curve if not curve.settles])
def test_verify_events__a_curve_no_contract_can_check__is_named_before_the_device(curve):
    event = _event(session_record("GHOST", 1))
    other = replace(event, signed=replace(event.signed, curve=curve))
    assert verify_events([other], StreamKeys()) == [ClaimReason.CURVE_NOT_SETTLED]


def test_verify_events__a_key_that_was_rotated__counts_by_the_time_of_the_record():
    """Yesterday's record is judged by yesterday's key, today's record by today's key."""

    class Rotated:
        def key_at(self, _device: bytes, at_seconds: int) -> DeviceKey:
            numbers = key_of("M1" if at_seconds < change else "NEW").public_key().public_numbers()
            return DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)

        def compromised_since(self, _device: bytes) -> None:
            return None

    before, after = _event(session_record("M1", 1)), _event(session_record("M1", 3))
    change = after.observed_at_ms // 1000
    assert verify_events([before, after], Rotated()) == [None, ClaimReason.SIGNATURE_FORGED]


def test_verify_events__the_twin_of_a_signature__is_genuine_too():
    from services.simulated_devices.record import twin

    assert verify_events([_event(twin(session_record("M1", 1)))], StreamKeys({"M1"})) == [None]


def test_verify_events__event_back_dated_before_a_compromise__is_not_believed():
    """A thief has the key and writes yesterday's date: nothing that arrives now is accepted."""
    keys = StreamKeys({"M1", "M2"}, compromised={"M1": SOME_DAY + 10 * 7_200})
    early, late = _event(session_record("M1", 1)), _event(session_record("M1", 20))
    other = _event(session_record("M2", 1))
    assert not isinstance(
        keys.key_at(early.device_id, 0), ClaimReason
    )  # its key was valid at that time
    assert verify_events([early, late, other], keys) == [
        ClaimReason.DEVICE_COMPROMISED,
        ClaimReason.DEVICE_COMPROMISED,
        None,
    ]
