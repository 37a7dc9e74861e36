"""Verification in batches: the key of the event's time decides, and each refusal has a name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device_adapters import registry
from device_adapters.types import Assurance, Curve, DeviceKey, Event
from oracles.types import ClaimReason
from oracles.verify import reason_now, verify_event, verify_events
from tests.support.meter_streams import (
    SOME_DAY,
    StreamKeys,
    key_of,
    message,
    reasons,
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
    assert reasons([forged, genuine, stranger, old, genuine], keys) == [
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
    assert reasons([other], StreamKeys()) == [ClaimReason.CURVE_NOT_SETTLED]


def test_verify_events__a_key_that_was_rotated__counts_by_the_time_of_the_record():
    """Yesterday's record is judged by yesterday's key, today's record by today's key."""

    class Rotated:
        def key_at(self, _device: bytes, at_seconds: int) -> DeviceKey:
            numbers = key_of("M1" if at_seconds < change else "NEW").public_key().public_numbers()
            return DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)

        def compromised_since(self, _device: bytes) -> None:
            return None

        def gateway_at(self, _device: bytes, _at_seconds: int) -> None:
            return None

    before, after = _event(session_record("M1", 1)), _event(session_record("M1", 3))
    change = after.observed_at_ms // 1000
    assert reasons([before, after], Rotated()) == [None, ClaimReason.SIGNATURE_FORGED]


def test_verify_events__the_twin_of_a_signature__is_genuine_too():
    from services.simulated_devices.record import twin

    assert reasons([_event(twin(session_record("M1", 1)))], StreamKeys({"M1"})) == [None]


def test_verify_events__event_back_dated_before_a_compromise__is_not_believed():
    """A thief has the key and writes yesterday's date: nothing that arrives now is accepted."""
    keys = StreamKeys({"M1", "M2"}, compromised={"M1": SOME_DAY + 10 * 7_200})
    early, late = _event(session_record("M1", 1)), _event(session_record("M1", 20))
    other = _event(session_record("M2", 1))
    assert not isinstance(
        keys.key_at(early.device_id, 0), ClaimReason
    )  # its key was valid at that time
    assert reasons([early, late, other], keys) == [
        ClaimReason.DEVICE_COMPROMISED,
        ClaimReason.DEVICE_COMPROMISED,
        None,
    ]


# --- gateways: METER has no key, GW and OTHER are gateways, KEYED has a key of its own

WITHOUT_KEY = {"METER": ClaimReason.DEVICE_WITHOUT_KEY}


def _behind(gateway: str, signer: str = "", device: str = "METER", counter: int = 1) -> Event:
    """Return an event of `device` that names `gateway`, signed by `signer` (the gateway)."""
    raw = record(
        device, counter, ("B", 1, SOME_DAY), ("E", 9, SOME_DAY + 60), key=key_of(signer or gateway)
    )
    return replace(_event(raw), gateway=gateway)


def _ring(*assigned: tuple[int, int, str], device: str = "METER", **changes: object) -> StreamKeys:
    fields = {"reasons": WITHOUT_KEY, "gateways": {device: list(assigned)}} | changes
    return StreamKeys({"METER", "GW", "OTHER", "KEYED"}, **fields)


AT = SOME_DAY + 60  # of its last reading
ALWAYS = (0, 0, "GW")
ASSIGNMENTS = {
    "assigned": ([ALWAYS], None),
    "assigned from that second on": ([(AT, 0, "GW")], None),
    "assigned until a second later": ([(0, AT + 1, "GW")], None),
    "assigned back after another one": ([ALWAYS, (1, 0, "OTHER"), (2, 0, "GW")], None),
    "never assigned": ([], ClaimReason.GATEWAY_NOT_ASSIGNED),
    "not yet assigned": ([(AT + 1, 0, "GW")], ClaimReason.GATEWAY_NOT_ASSIGNED),
    "no more assigned": ([(0, AT, "GW")], ClaimReason.GATEWAY_NOT_ASSIGNED),
    "another one is assigned": ([(0, 0, "OTHER")], ClaimReason.GATEWAY_NOT_ASSIGNED),
    "exchanged for another one": ([ALWAYS, (AT, 0, "OTHER")], ClaimReason.GATEWAY_NOT_ASSIGNED),
    "exchanged a second later": ([ALWAYS, (AT + 1, 0, "OTHER")], None),
}


@pytest.mark.parametrize("case", ASSIGNMENTS)
def test_gateway__assigned_at_the_time_of_the_record__and_only_then_may_sign(case):
    assigned, expected = ASSIGNMENTS[case]
    [outcome] = verify_events([_behind("GW")], _ring(*assigned))
    if expected is None:
        assert (outcome.assurance, outcome.gateway) == (Assurance.GATEWAY, "GW")
        return
    assert outcome.reason is expected
    assert all(word in outcome.detail for word in ("METER", "GW", "2026-09-21T14:14:20"))


def test_gateway__two_report_one_meter__only_the_assigned_one_counts():
    ring = _ring((0, 0, "OTHER"))
    first, second = verify_events([_behind("GW"), _behind("OTHER")], ring)
    assert first.reason is ClaimReason.GATEWAY_NOT_ASSIGNED
    assert second.gateway == "OTHER"


def test_gateway__another_key_than_the_named_gateways__is_forged():
    assert reasons([_behind("GW", signer="OTHER")], _ring(ALWAYS)) == [ClaimReason.SIGNATURE_FORGED]


def test_gateway__none_is_named_and_the_device_has_no_key__is_named():
    event = replace(_behind("GW"), gateway="")
    assert reasons([event], _ring(ALWAYS)) == [ClaimReason.DEVICE_WITHOUT_KEY]


STATUSES = {
    "its device is suspended": ("METER", ClaimReason.DEVICE_SUSPENDED),
    "its gateway is suspended": ("GW", ClaimReason.DEVICE_SUSPENDED),
    "its device is retired": ("METER", ClaimReason.DEVICE_RETIRED),
    "its gateway's key expired": ("GW", ClaimReason.KEY_EXPIRED),
    "its gateway is compromised at that time": ("GW", ClaimReason.DEVICE_COMPROMISED),
}


@pytest.mark.parametrize("case", STATUSES)
def test_gateway__status_of_device_and_gateway__both_count(case):
    name, reason = STATUSES[case]
    ring = _ring(ALWAYS, reasons={**WITHOUT_KEY, name: reason})
    assert reasons([_behind("GW")], ring) == [reason]


@pytest.mark.parametrize("stolen", ["GW", "METER"])
def test_gateway__declared_compromised__nothing_that_arrives_is_accepted_for_any_meter(stolen):
    """Also a record of long before: who has the key can date back."""
    ring = _ring(ALWAYS, compromised={stolen: AT + 10**6})
    ring.devices.add("SECOND")
    ring.reasons = {**WITHOUT_KEY, "SECOND": ClaimReason.DEVICE_WITHOUT_KEY}
    ring.gateways["SECOND"] = [ALWAYS]
    own = _event(session_record("KEYED", 1))
    expected = [
        ClaimReason.DEVICE_COMPROMISED,
        ClaimReason.DEVICE_COMPROMISED if stolen == "GW" else None,
        None,
    ]
    assert reasons([_behind("GW"), _behind("GW", device="SECOND"), own], ring) == expected
    assert reasons([_behind("OTHER")], _ring((0, 0, "OTHER"), compromised={"GW": 5})) == [None]


def test_gateway__next_to_a_key_of_the_device__either_may_sign_and_the_assurance_says_who():
    ring = _ring(ALWAYS, device="KEYED")
    by_gateway, by_itself, by_other = (
        _behind("GW", signer=signer, device="KEYED") for signer in ("GW", "KEYED", "OTHER")
    )
    first, second, third = verify_events([by_gateway, by_itself, by_other], ring)
    assert (first.assurance, first.gateway) == (Assurance.GATEWAY, "GW")
    assert (second.assurance, second.gateway) == (Assurance.DEVICE, "")
    assert third.reason is ClaimReason.SIGNATURE_FORGED
    [unassigned, own] = verify_events([by_gateway, by_itself], _ring())
    assert unassigned.reason is ClaimReason.SIGNATURE_FORGED  # every OCMF record names a gateway
    assert own.assurance is Assurance.DEVICE


def test_gateway__a_record_of_a_file__stays_of_a_file():
    event = replace(_behind("GW"), assurance=Assurance.FILE)
    [outcome] = verify_events([event], _ring(ALWAYS))
    assert (outcome.assurance, outcome.gateway) == (Assurance.FILE, "GW")


def test_reason_now__a_verified_event__counts_until_assignment_or_key_is_gone():
    event, own = verify_event(_behind("GW"), _ring(ALWAYS)), _event(session_record("KEYED", 1))
    assert reason_now(event, _ring(ALWAYS)) is reason_now(own, _ring()) is None
    gone = _ring(ALWAYS, reasons={**WITHOUT_KEY, "GW": ClaimReason.DEVICE_COMPROMISED})
    assert reason_now(event, gone) is ClaimReason.DEVICE_COMPROMISED
    assert reason_now(event, _ring()) is ClaimReason.GATEWAY_NOT_ASSIGNED
    later = _ring(ALWAYS, compromised={"GW": AT + 5})  # what was accepted before stays
    assert reason_now(event, later) is None
    revoked = _ring(reasons={"KEYED": ClaimReason.DEVICE_RETIRED})
    assert reason_now(own, revoked) is ClaimReason.DEVICE_RETIRED
