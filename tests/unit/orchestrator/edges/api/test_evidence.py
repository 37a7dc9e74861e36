"""Evidence over HTTP: an event id or a named reason for each record, receipts after the commit."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest

from device_adapters.types import device_id, event_id
from orchestrator.core.receipt import Receipts
from orchestrator.edges.store.tables import EventRow, RejectionRow
from tests.support.api_rail import NOW, RAW, ApiRail


@pytest.fixture
def rail(tmp_path):
    rail = ApiRail(tmp_path)
    yield rail
    rail.close()


def test_raw_record__genuine__is_answered_with_its_event_id_and_a_receipt(rail):
    record = rail.record()
    answer = rail.client("acme").post("/v1/evidence", content=record, headers=RAW)
    assert answer.status_code == 200
    (record_answer,) = answer.json()["records"]
    assert record_answer["event_id"] == "0x" + event_id(device_id("acme-1"), 1).hex()
    assert record_answer["evidence"] == sha256(record).hexdigest()
    assert (record_answer["device"], record_answer["counter"], record_answer["outcome"]) == (
        "acme-1",
        1,
        "accepted",
    )
    assert record_answer["reason"] is None and record_answer["next_step"] is None
    (receipt,) = answer.json()["receipts"]
    signed = rail.verified(receipt)
    assert (signed["device"], signed["at"]) == ("acme-1", NOW)
    assert signed["records"] == [
        {
            "evidence": record_answer["evidence"],
            "counter": 1,
            "outcome": "accepted",
            "event": record_answer["event_id"],
        }
    ]
    assert [row.event_id for row in rail.rows(EventRow)] == [record_answer["event_id"]]


def test_receipt__whenever_it_is_signed__the_record_is_committed(rail):
    seen = []

    class Watching(Receipts):
        def sign(self, device, answers, at):
            seen.append(len(rail.rows(EventRow)))
            return super().sign(device, answers, at)

    rail.start(receipts=Watching(rail.pem))
    rail.client("acme").post("/v1/evidence", content=rail.record(), headers=RAW)
    assert seen == [1]


def test_raw_body__several_records__are_answered_in_order_and_none_stops_another(rail):
    good, forged, late = rail.record(), rail.forged(), rail.record("borg-1")
    body = b"\n".join((good, forged, late))
    answer = rail.client("operator").post("/v1/evidence", content=body, headers=RAW)
    assert answer.status_code == 200
    outcomes = [r["outcome"] for r in answer.json()["records"]]
    assert outcomes == ["accepted", "signature_forged", "accepted"]
    signed = [rail.verified(r) for r in answer.json()["receipts"]]
    assert [(s["device"], len(s["records"])) for s in signed] == [("acme-1", 2), ("borg-1", 1)]


def test_raw_record__forged__is_a_problem_named_by_its_reason_and_is_kept(rail):
    forged = rail.forged()
    answer = rail.client("acme").post("/v1/evidence", content=forged, headers=RAW)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "signature_forged"
    assert problem["type"] == "urn:proofrail:problem:signature_forged"
    assert "exactly as signed" in problem["next_step"] and problem["instance"] == "/v1/evidence"
    assert problem["records"][0]["event_id"] is None
    assert rail.verified(problem["receipts"][0])["records"][0]["outcome"] == "signature_forged"
    assert [(r.reason, r.body) for r in rail.rows(RejectionRow)] == [("signature_forged", forged)]
    assert rail.rows(EventRow) == []


def test_raw_record__sent_again__is_a_duplicate_with_the_same_event(rail):
    record, client = rail.record(), rail.client("acme")
    first = client.post("/v1/evidence", content=record, headers=RAW).json()["records"][0]
    again = client.post("/v1/evidence", content=record, headers=RAW)
    assert again.status_code == 200
    (record_answer,) = again.json()["records"]
    assert (record_answer["outcome"], record_answer["event_id"]) == ("duplicate", first["event_id"])
    assert len(rail.rows(EventRow)) == 1


def test_batch__text_base64_and_rubbish__each_entry_is_answered_by_itself(rail):
    first, two = rail.record(), rail.record("acme-2")
    batch = {
        "records": [
            {"protocol": "ocmf", "record": first.decode()},
            {"record_base64": base64.b64encode(two).decode()},
            {"protocol": "ocmf", "record": "no record"},
            {"protocol": "telepathy", "record": "x"},
            {"record_base64": base64.b64encode(b"\xff\xfe").decode()},
        ]
    }
    answer = rail.client("acme").post("/v1/evidence", json=batch)
    assert answer.status_code == 200
    record_answer = answer.json()["records"]
    assert [r["item"] for r in record_answer] == [0, 1, 2, 3, 4]
    assert [r["outcome"] for r in record_answer[:2]] == ["accepted", "accepted"]
    assert record_answer[3]["outcome"] == "unknown_protocol"
    assert all(r["reason"] and r["next_step"] for r in record_answer[2:])
    assert len(rail.rows(EventRow)) == 2 and len(rail.rows(RejectionRow)) == 3


def test_batch__one_rejected_record__is_still_a_batch(rail):
    batch = {"records": [{"record": rail.forged().decode()}]}
    answer = rail.client("acme").post("/v1/evidence", json=batch)
    assert answer.status_code == 200
    assert answer.json()["records"][0]["outcome"] == "signature_forged"


@pytest.mark.parametrize(
    "batch",
    [
        [],
        {},
        {"records": []},
        {"records": [{}]},
        {"records": ["x"]},
        {"records": {"record": "x"}},
        {"records": [{"record": 1}]},
        {"records": [{"record": "x", "record_base64": "eA=="}]},
        {"records": [{"record_base64": "e!"}]},
        {"records": [{"record": "x", "more": 1}]},
        {"records": [{"record": "x"}] * 1_001},
        {"records": [{"record": "x"}], "more": 1},
    ],
)
def test_batch__not_of_the_form__is_refused_with_the_fields_and_takes_nothing(rail, batch):
    answer = rail.client("acme").post("/v1/evidence", json=batch)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert all(e["field"].startswith("body") and e["message"] for e in answer.json()["errors"])
    assert rail.rows(RejectionRow) == []


def test_batch__in_the_query__the_protocol_is_that_of_a_raw_body(rail):
    client, record = rail.client("acme"), rail.record()
    answer = client.post("/v1/evidence?protocol=telepathy", content=record, headers=RAW)
    assert answer.json()["code"] == "unknown_protocol"
    octets = {"Content-Type": "application/octet-stream"}
    assert client.post("/v1/evidence", content=record, headers=octets).status_code == 200


def test_partner__posts_for_another_partners_device__is_refused_by_name_and_kept(rail):
    foreign, own = rail.record("borg-1"), rail.record("acme-1")
    body = foreign + b"\n" + own
    answer = rail.client("acme").post("/v1/evidence", content=body, headers=RAW)
    outcomes = [r["outcome"] for r in answer.json()["records"]]
    assert outcomes == ["device_not_of_topic", "accepted"]
    assert [row.device_id for row in rail.rows(EventRow)] == ["0x" + device_id("acme-1").hex()]
    assert [(row.reason, row.body) for row in rail.rows(RejectionRow)] == [
        ("device_not_of_topic", foreign)
    ]
    # the record itself is unharmed: its own partner can send it
    assert rail.client("borg").post("/v1/evidence", content=foreign, headers=RAW).status_code == 200


def test_evidence__while_the_chain_is_away__is_answered_retry_later_and_not_stored(rail):
    rail.chain.away, record = True, rail.record()
    client = rail.client("acme")
    answer = client.post("/v1/evidence", content=record, headers=RAW)
    assert (answer.status_code, answer.json()["code"]) == (503, "try_again_later")
    assert answer.headers["retry-after"] == "1"
    assert rail.rows(EventRow) == [] and rail.rows(RejectionRow) == []
    rail.chain.away = False
    assert client.post("/v1/evidence", content=record, headers=RAW).status_code == 200
