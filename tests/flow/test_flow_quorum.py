"""No money moves without a valid signature and a quorum; with a quorum, payments go on."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from device_adapters.types import Message
from oracles.types import Claim
from oracles.wire import Request
from orchestrator.core.payment import Stage
from orchestrator.edges.store import evidence, payments, rejections
from services.simulated_devices.device import derived_key
from services.simulated_devices.record import Point, twin, units_of
from tests.support import invariants
from tests.support.whole_rail import RETIRED, UNKNOWN, WholeRail


@pytest.fixture
def touched(rail):
    """Collect names of oracles that a test changes; restart them as honest oracles at the end."""
    names: list[str] = []
    yield names
    for name in names:
        rail.stack.stop(f"oracle-{name}")
        rail.stack.restart_oracle(name)


def _details(rail: WholeRail, after: set[str]) -> list[str]:
    """Return what each oracle did, for every payment attested since."""
    with rail.store.read() as session:
        return [
            fact.detail
            for row in rail.all_payments()
            if row.payment_id not in after
            for fact in payments.facts_of(session, row.payment_id)
            if fact.fact == "attested"
        ]


def test_payments__with_one_oracle_down__go_on_under_the_other_three(rail, touched):
    rail.until_settled()
    earlier = {row.payment_id for row in rail.all_payments()}
    touched.append("bank")
    rail.stack.stop("oracle-bank")
    rail.measure(1)
    rail.until_settled()
    details = _details(rail, earlier)
    assert len(details) == len(rail.funded)
    assert all("bank is down" in detail and detail.count(" signed") == 3 for detail in details), (
        details
    )


def test_payments__with_one_oracle_lying__go_on_and_its_signature_does_not_count(rail, touched):
    rail.until_settled()
    earlier = {row.payment_id for row in rail.all_payments()}
    touched.append("auditor")
    rail.stack.stop("oracle-auditor")
    rail.stack.restart_oracle("auditor", "--lie")
    rail.measure(1)
    rail.until_settled()
    details = _details(rail, earlier)
    assert len(details) == len(rail.funded)
    assert all("auditor signed another claim" in detail for detail in details), details
    addresses = json.loads((rail.stack.home / "rail.json").read_text())
    (liar,) = [oracle["address"] for oracle in addresses["oracles"] if oracle["name"] == "auditor"]
    with rail.store.read() as session:
        used = [
            attestation.oracle
            for row in rail.all_payments()
            if row.payment_id not in earlier
            for attestation in payments.attestations_of(session, row.batch_digest)
        ]
    assert used and liar not in used


def _act(rail: WholeRail, *words: str) -> dict:
    """Run a command of the steward or the guardian; their acts wait for nothing on this chain."""
    [result] = rail.commands([*words, "--yes", "--json"])
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def _signers(rail: WholeRail, after: set[str]) -> set[str]:
    """Return the oracles whose signatures settled the payments since."""
    with rail.store.read() as session:
        return {
            attestation.name
            for row in rail.all_payments()
            if row.payment_id not in after and row.batch_digest
            for attestation in payments.attestations_of(session, row.batch_digest)
        }


def test_committee__that_changes_under_load__settles_everything_without_a_restart_and_after_one(
    rail,
):
    """On 0.3.0 one member without its seat stopped every settlement for ever, also after a restart.

    The rail had read the committee once, and chose the same lowest addresses again and again.
    """
    rail.until_settled()
    rail.measure(2)
    assert (
        _act(rail, "committee", "unseat", "utility-a")["state"] == "done"
    )  # batches are under way
    rail.measure(2)
    rail.until_settled()
    earlier = {row.payment_id for row in rail.all_payments()}
    rail.measure(1)
    rail.until_settled()
    assert _signers(rail, earlier) == {"utility-b", "bank", "auditor"}
    assert _act(rail, "committee", "seat", "utility-a")["state"] == "done"
    rail.measure(2)
    assert _act(rail, "committee", "silence", "utility-b")["state"] == "done"
    rail.stack.stop("orchestrator")
    rail.stack.start_rail()
    rail.measure(1)
    rail.until_settled()
    earlier = {row.payment_id for row in rail.all_payments()}
    rail.measure(1)
    rail.until_settled()
    assert _signers(rail, earlier) == {"utility-a", "bank", "auditor"}
    assert _act(rail, "committee", "seat", "utility-b")["state"] == "done"  # its silence ends
    assert rail.halted() == {}
    invariants.assert_one_effect(rail)


def test_payments__with_two_of_four_oracles_down__wait_and_drain_when_they_return(rail, touched):
    rail.until_settled()
    before = {name: invariants.escrow_now(rail, name) for name in rail.funded}
    earlier = {row.payment_id for row in rail.all_payments()}
    for name in ("bank", "auditor"):
        touched.append(name)
        rail.stack.stop(f"oracle-{name}")
    rail.measure(2)

    def asked_twice() -> bool:
        fresh = [row for row in rail.all_payments() if row.payment_id not in earlier]
        return len(fresh) == len(rail.funded) and all(row.attempts >= 2 for row in fresh)

    rail.until(asked_twice, "two attempts for every new claim")
    fresh = [row for row in rail.all_payments() if row.payment_id not in earlier]
    assert {row.stage for row in fresh} == {Stage.VERIFIED}
    assert not set(invariants.applied_claims(rail)) - earlier
    assert {name: invariants.escrow_now(rail, name) for name in rail.funded} == before
    while touched:
        rail.stack.restart_oracle(touched.pop())
    rail.until_settled()
    assert all(invariants.escrow_now(rail, name) < before[name] for name in rail.funded)
    invariants.assert_one_effect(rail)


def test_records__forged_foreign_retired_or_replayed__move_nothing(rail):
    rail.measure(1)
    rail.until_settled()
    device, last = rail.fleet["cp-0001"], rail.sent["cp-0001"][-1]
    before = {name: invariants.escrow_now(rail, name) for name in rail.funded}
    newest, events = _counts(rail)
    points = [
        Point("B", device.now, device.register),
        Point("E", device.now + 3_600, device.register + units_of(7)),
    ]
    bad = {
        "signature_forged": device.forge(points, device.counter + 1, derived_key("not-it", 0)),
        "counter_replayed": device.forge(points, device.counter, device.key),
        "duplicate": last,
        "device_not_of_topic": device.forge(points, 1, device.key, name="cp-0002"),
    }
    for record in (*bad.values(), twin(last)):
        device.publish([record])
    expected = {(record, reason) for reason, record in bad.items()} | {(twin(last), "duplicate")}
    for name, reason in ((UNKNOWN, "device_unknown"), (RETIRED, "device_retired")):
        expected |= {(record, reason) for record in rail.publish(1, [name])[name]}
    rail.until(
        lambda: _rejected(rail, newest) >= expected, "an answer with the right reason to each"
    )
    rail.until_receipted()
    repeats = {(record, "duplicate") for sent in rail.sent.values() for record in sent}
    assert (
        _rejected(rail, newest) <= expected | repeats
    )  # no other reasons, however often each was sent
    assert _counts(rail)[1] == events  # none of them became an event
    rail.until_booked()
    assert {name: invariants.escrow_now(rail, name) for name in rail.funded} == before
    assert invariants.escrow_now(rail, RETIRED) == 0


def _counts(rail: WholeRail) -> tuple[int, int]:
    """Return (number of the newest rejection, number of stored events)."""
    with rail.store.read() as session:
        newest = max((row.id for row in rejections.newest(session, None, None, 1)), default=0)
        return newest, evidence.event_counts(session)["stored"]


def _rejected(rail: WholeRail, after: int) -> set[tuple[bytes, str]]:
    """Return (record, reason) of all rejections since."""
    with rail.store.read() as session:
        rows = rejections.newest(session, None, None, 5_000)
    return {(row.body, row.reason) for row in rows if row.id > after}


@pytest.mark.parametrize("holders", [(), ("utility-a", "bank", "auditor")])
def test_hole__of_a_record_that_never_came__is_reported_and_later_records_are_paid(rail, holders):
    """It also holds if oracles have the lost record: they give it up as the rail does."""
    device, agreement = rail.fleet["cp-0002"], rail.agreement("cp-0002").agreement_id
    lost, kept = device.make_records(2)
    device.forget([lost])
    for name in holders:
        rail.oracle(name).ask(_with_evidence(agreement, lost))
    device.publish([kept])
    rail.sent["cp-0002"].append(kept)
    rail.until_receipted()
    rail.until_settled()
    with rail.store.read() as session:
        holes = [
            (hole.first_counter, hole.last_counter)
            for hole in evidence.all_holes(session)
            if hole.agreement_id == agreement
        ]
        payment = evidence.event_of_evidence(session, sha256(kept).hexdigest()).payment_id
        (row,) = payments.by_ids(session, [payment])
    assert (device.counter - 1, device.counter - 1) in holes
    assert row.amount_micro > 0
    device.publish([lost])  # it arrives late, and is paid once
    rail.sent["cp-0002"].append(lost)
    rail.until(lambda: "accepted" in _answers(rail, lost), "the late record's answer")
    rail.until(lambda: _paid(rail, lost), "the late record's payment")
    with rail.store.read() as session:
        payment = evidence.event_of_evidence(session, sha256(lost).hexdigest()).payment_id
        (late,) = payments.by_ids(session, [payment])
    assert late.sequence > row.sequence and late.last_counter < row.first_counter


def _paid(rail: WholeRail, record: bytes) -> bool:
    with rail.store.read() as session:
        payment = evidence.event_of_evidence(session, sha256(record).hexdigest()).payment_id
        rows = payments.by_ids(session, [payment] if payment else [])
    return any(row.amount_micro > 0 for row in rows)


def _with_evidence(agreement: str, record: bytes) -> Request:
    """Return a claim that no oracle signs, with a record that it verifies and keeps."""
    nothing = Claim(bytes.fromhex(agreement[2:]), 1 << 30, 1, 1, bytes(32), b"")
    return Request("metered_energy", (nothing,), evidence=(Message("ocmf", "", record),))


def _answers(rail: WholeRail, record: bytes) -> list[str]:
    device = rail.fleet["cp-0002"]
    device.collect()
    return device.answers(record)
