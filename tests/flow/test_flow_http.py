"""Evidence by HTTP on a running rail: receipts, replays, refusals, and payment as by MQTT."""

from __future__ import annotations

from hashlib import sha256

from device_adapters.types import device_id, event_id
from orchestrator.core.receipt import public_key_of, read_receipt
from orchestrator.edges.store import evidence, payments, rejections
from services.simulated_devices.device import derived_key
from services.simulated_devices.record import Point, counter_of, units_of
from tests.support import invariants
from tests.support.whole_rail import WholeRail

RAW = {"Content-Type": "text/plain"}
QUORUM = 3  # of four; one may not have read the newest block yet


def _unpublished(rail: WholeRail, count: int, name: str = "cp-0001") -> list[bytes]:
    """Return records that the device gives to its operator instead of publishing them."""
    records = rail.fleet[name].make_records(count)
    rail.fleet[name].forget(records)
    rail.sent[name] += records
    return records


def _event_of(record: bytes, name: str = "cp-0001") -> str:
    return "0x" + event_id(device_id(name), counter_of(record)).hex()


def _post(rail: WholeRail, **options):
    return rail.api("POST", "/v1/evidence", "partner", **options)


def test_record__posted_by_a_partner__is_paid_although_no_oracle_saw_it_over_mqtt(rail):
    (record,) = _unpublished(rail, 1)
    answer = _post(rail, data=record, headers=RAW)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["records"]
    assert (result["outcome"], result["event_id"]) == ("accepted", _event_of(record))
    (receipt,) = answer.json()["receipts"]
    key = public_key_of((rail.stack.settings.keys / "receipt.pub.pem").read_bytes())
    content = read_receipt(receipt["receipt"].encode(), key)
    assert content["records"][0]["evidence"] == sha256(record).hexdigest()
    rail.until_settled()
    with rail.store.read() as session:
        payment = evidence.event(session, result["event_id"]).payment_id
        (row,) = payments.by_ids(session, [payment])
        details = [
            fact.detail for fact in payments.facts_of(session, payment) if fact.fact == "attested"
        ]
    assert row.amount_micro > 0 and row.settlement_tx
    assert details, "no oracle attested the payment"
    signed = sum(part.endswith(" signed") for part in details[0].split("; "))
    assert signed >= QUORUM, details


def test_batch__of_good_and_bad_records__each_is_answered_and_the_good_ones_are_paid(rail):
    good = _unpublished(rail, 2)
    device = rail.fleet["cp-0001"]
    points = [
        Point("B", device.now, device.register),
        Point("E", device.now + 3_600, device.register + units_of(5)),
    ]
    forged = device.forge(points, device.counter + 1, derived_key("stranger", 0))
    batch = {
        "records": [{"record": record.decode()} for record in (good[0], forged, good[1], good[0])]
    }
    answer = _post(rail, json=batch)
    assert answer.status_code == 200, answer.text
    assert [row["outcome"] for row in answer.json()["records"]] == [
        "accepted",
        "signature_forged",
        "accepted",
        "duplicate",
    ]
    rail.until_settled()
    with rail.store.read() as session:
        assert all(evidence.event(session, _event_of(record)).payment_id for record in good)
    invariants.assert_one_effect(rail)


def test_idempotency_key__replayed__gets_the_same_bytes_and_another_body_gets_409(rail):
    first, second = _unpublished(rail, 2)
    headers = RAW | {"Idempotency-Key": "flow-1"}
    answers = [_post(rail, data=first, headers=dict(headers)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    other = _post(rail, data=second, headers=dict(headers))
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert _post(rail, data=second, headers=RAW).status_code == 200
    rail.until_settled()
    invariants.assert_one_effect(rail)


def test_record__forged__is_answered_with_a_problem_document_and_kept(rail):
    device = rail.fleet["cp-0001"]
    points = [
        Point("B", device.now, device.register),
        Point("E", device.now + 3_600, device.register + units_of(6)),
    ]
    forged = device.forge(points, device.counter + 1, derived_key("stranger", 0))
    answer = _post(rail, data=forged, headers=RAW)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("signature_forged", 422)
    assert problem["next_step"] and problem["records"][0]["event_id"] is None
    with rail.store.read() as session:
        kept = rejections.newest(session, "signature_forged", "cp-0001", 5)
    assert forged in [row.body for row in kept]


def test_record__of_a_device_outside_the_partners_scope__is_refused(rail):
    (record,) = rail.fleet["meter-0001"].make_records(1)
    answer = _post(rail, data=record, headers=RAW)
    assert answer.status_code in (403, 422), answer.text
    assert answer.json()["records"][0]["event_id"] is None
    rail.sent["meter-0001"].append(record)
    rail.until_receipted()  # the meter still sends it on its own topic
    rail.until_settled()
