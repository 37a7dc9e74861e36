"""The path of all inlets: every record gets a named answer, in order, and is stored with it."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from types import SimpleNamespace

import pytest

from device_adapters.types import Message, device_id, event_id
from oracles.types import ClaimReason
from orchestrator.edges.store import evidence, rejections
from orchestrator.errors import Retry
from orchestrator.ingest.intake import Intake
from services.simulated_devices.device import derived_key
from services.simulated_devices.record import Point, twin, units_of
from tests.support.signing_meter import SigningMeter, payload
from tests.support.small_intake import START, SmallIntake, joined


@pytest.fixture
def place(tmp_path):
    small_intake = SmallIntake(tmp_path)
    yield small_intake
    small_intake.close()


@pytest.fixture
def device(place):
    return place.fleet["cp-0001"]


def other_content(device) -> bytes:
    """Sign another session with the device's key, under its last counter."""
    begin = device.register
    points = [Point("B", device.now, begin), Point("E", device.now + 3_600, begin + units_of(7))]
    return device.forge(points, device.counter, device.key)


def test_take__good_records__are_stored_whole_before_they_are_answered(place, device):
    records = device.make_records(3)
    [outcomes] = place.take(joined(records, "cp-0001"))
    assert [(o.outcome, o.counter, o.evidence) for o in outcomes] == [
        ("accepted", n, sha256(record).hexdigest()) for n, record in enumerate(records, 1)
    ]
    assert outcomes[0].event_id == "0x" + event_id(device_id("cp-0001"), 1).hex()
    with place.store.read() as session:
        row = evidence.evidence_of(session, outcomes[2].evidence)
        assert (row.body, row.source, row.received_at) == (records[2], "mqtt", place.clock)
    assert place.stored() == (3, 3, [])


def test_take__duplicates_in_one_batch_and_across__have_one_effect(place, device):
    record = device.make_records(1)[0]
    first, *again = [
        o for outcomes in place.take(record, joined([record, record])) for o in outcomes
    ]
    [[later]] = place.take(record)
    assert first.outcome == "accepted"
    assert {o.outcome for o in (*again, later)} == {"duplicate"}
    assert {o.event_id for o in (first, *again, later)} == {first.event_id}
    assert place.stored()[:2] == (1, 1)


def test_take__twin_of_a_signature__is_the_same_event(place, device):
    first, second = device.make_records(2)
    assert place.answers(first, twin(first), twin(second), second) == [
        "accepted",
        "duplicate",
        "accepted",
        "duplicate",
    ]
    assert place.stored()[:2] == (2, 2)


def test_take__counter_used_again_for_other_content__is_a_replay(place, device):
    record = device.make_records(1)[0]
    assert place.answers(record, other_content(device)) == ["accepted", "counter_replayed"]
    assert place.answers(other_content(device)) == ["counter_replayed"]


def test_take__forged_or_unknown__is_kept_and_names_no_event(place, device):
    stranger = place.fleet.add("cp-0009")
    forged = device.forge([Point("B", START, 1), Point("E", START + 60, 2)], 1, derived_key("x", 1))
    [[forgery], [unknown]] = place.take(forged, stranger.make_records(1)[0])
    assert (forgery.outcome, unknown.outcome) == ("signature_forged", "device_unknown")
    assert (forgery.event_id, unknown.event_id, forgery.counter, unknown.device) == (
        None,
        None,
        1,
        "cp-0009",
    )
    assert place.answers(device.make_records(1)[0]) == ["accepted"]  # the counter is still free
    with place.store.read() as session:
        kept = rejections.newest(session, "signature_forged", "cp-0001", 5)
    assert [row.body for row in kept] == [forged]


@pytest.mark.parametrize(
    "reason",
    [
        ClaimReason.DEVICE_RETIRED,
        ClaimReason.DEVICE_SUSPENDED,
        ClaimReason.DEVICE_NOT_YET_ENROLLED,
    ],
)
def test_take__device_without_a_valid_key__is_answered_by_the_chain_status(place, device, reason):
    place.chain.keys[device_id("cp-0001")] = reason
    assert place.answers(*device.make_records(2)) == [reason, reason]
    assert place.stored() == (0, 0, [reason, reason])


def test_take__no_agreement_or_one_that_ended__is_named(place, device):
    assert place.answers(place.fleet["cp-0002"].make_records(1)[0]) == ["no_agreement"]
    place.agree("cp-0001", expires_at=START)
    assert place.answers(device.make_records(1)[0]) == ["agreement_not_live"]


def test_take__counters_before_the_agreement__are_named_and_the_next_one_is_good(place, device):
    place.agree("cp-0001", first_counter=2)
    wanted = ["before_agreement", "before_agreement", "accepted"]
    assert place.answers(*device.make_records(3)) == wanted


def test_take__other_stream_than_agreed__is_named(place):
    place.agree("meter-0001", first_counter=0)
    assert place.answers(*place.fleet["meter-0001"].reading("1")) == ["stream_not_agreed"]


def test_take__counter_that_claims_have_passed__comes_too_late(place, device):
    records = device.make_records(3)
    sqlite3.connect(place.store.path, isolation_level=None).execute(
        "UPDATE agreement SET last_counter = 2 WHERE device = 'cp-0001'"
    )
    in_order = {"metered_energy": SimpleNamespace(LATE=False)}
    intake = Intake(place.store, place.chain, in_order, lambda: place.clock)
    outcomes = [record.outcome for records in intake.take([joined(records)]) for record in records]
    assert outcomes == ["too_late", "too_late", "accepted"]


def test_take__genuine_but_not_billable__holds_its_counter_and_is_never_claimed(place):
    meter = SigningMeter()
    place.agree("EV-0001")
    place.chain.keys[device_id("EV-0001")] = meter.key
    place.clock = 1_800_000_000
    place.agree("EV-0001", expires_at=2_000_000_000)
    [[outcome]] = place.take(meter.record(payload({"ST": "T"})))
    assert (outcome.outcome, outcome.detail) == ("not_billable", "meter_status_not_ok")
    assert outcome.event_id is not None
    assert place.events("EV-0001") == {41: (None, "not_billable")}
    assert place.stored() == (1, 1, [])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message("", "cp-0001", b"x"), "unknown_topic"),
        (Message("dlms", "cp-0001", b"x"), "unknown_protocol"),
        (Message("ocmf", "cp-0001", b"OCMF|{}|{}", retained=True), "retained"),
        (Message("ocmf", "cp-0001", b""), "empty"),
        (Message("ocmf", "cp-0001", b"OCMF|\xff\xfe|{}"), "not_utf8"),
        (Message("ocmf", "cp-0001", b"x" * 300_000), "too_large"),
    ],
)
def test_take__message_that_is_none__is_kept_by_its_reason(place, message, reason):
    [[answer]] = place.take(message)
    assert (answer.outcome, answer.event_id, answer.counter) == (reason, None, None)
    assert (answer.device, answer.evidence) == ("cp-0001", sha256(message.body).hexdigest())
    assert place.stored() == (0, 0, [reason])


def test_take__record_of_another_device_on_a_topic__is_named(place, device):
    message = joined(device.make_records(1), "cp-0002")
    assert place.answers(message) == ["device_not_of_topic"]


def test_take__clock_a_week_ahead__is_refused_and_minutes_are_not(place, device):
    device.now = place.clock - 5_000
    soon = device.session("1", seconds=5_200)
    device.now = place.clock + 7 * 86_400
    assert place.answers(*soon, *device.session("1")) == ["accepted", "time_in_future"]


def test_take__good_and_bad_mixed__answers_each_in_its_place(place, device):
    first, second, third = device.make_records(3)
    stranger = place.fleet.add("cp-0009").make_records(1)[0]
    mixed = joined([first, b"OCMF|{|{}", stranger, second])
    outcomes = place.take(mixed, Message("", "", b"?"), third, first)
    assert [[o.outcome for o in group] for group in outcomes] == [
        ["accepted", "malformed", "device_unknown", "accepted"],
        ["unknown_topic"],
        ["accepted"],
        ["duplicate"],
    ]
    assert place.stored()[:2] == (3, 3)


@pytest.mark.parametrize("silent", ["keys", "agreements"])
def test_take__chain_is_silent__stores_nothing_and_the_same_batch_is_taken_later(
    place, device, silent
):
    messages = [joined(device.make_records(2)), Message("ocmf", "", b"garbage")]
    place.chain.silent.add(silent)
    with pytest.raises(Retry):
        place.take(*messages)
    assert place.stored() == (0, 0, [])
    place.chain.silent.clear()
    assert place.answers(*messages) == ["accepted", "accepted", "malformed"]


def test_put_aside__message_our_own_code_failed_on__is_kept_whole(place):
    place.intake.put_aside(Message("ocmf", "cp-0001", b"poison"), "KeyError: 'x'")
    with place.store.read() as session:
        [row] = rejections.newest(session, None, None, 5)
    assert (row.reason, row.detail, row.body) == ("internal_error", "KeyError: 'x'", b"poison")


def test_take__batch_of_many_devices__is_three_statements_of_writing(place, device):
    """The number of INSERT statements does not depend on the number of records."""
    from sqlalchemy import event

    statements, place.clock = [], START + 10**6
    event.listen(
        place.store._engine,
        "before_cursor_execute",
        lambda *call: statements.append(call[2].split()[0]),
    )
    place.take(
        joined(device.make_records(40)),
        joined(place.fleet["meter-0001"].make_records(40)),
        Message("ocmf", "", b"garbage"),
    )
    assert statements.count("INSERT") == 3
    assert place.stored()[:2] == (80, 80)
