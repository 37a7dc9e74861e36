"""POST /capture: a signed document becomes a record like any other, and a job that says so."""

from __future__ import annotations

import json

import pytest

from device_adapters.types import device_id, event_id
from oracles.types import Agreement
from orchestrator.edges.store.tables import EvidenceRow, RejectionRow
from tests.support.api_rail import ApiRail
from tests.support.epcis_xml import xml_document, xml_event
from tests.support.signing_scanner import SigningScanner, document, event

DOCUMENT = json.dumps(document(event())).encode()


@pytest.fixture
def rail(tmp_path):
    rail = ApiRail(tmp_path)
    yield rail
    rail.close()


@pytest.fixture
def scanner(rail):
    scanner = SigningScanner("acme-dock")
    rail.chain.keys[device_id(scanner.name)] = scanner.key.as_device_key()
    rail.chain.agreements_about = lambda subject: [
        Agreement(
            agreement=b"\x77" * 32,
            device="",
            device_id=device_id("recipient"),
            product="proof_of_delivery",
            terms=b"",
            start=0,
            expires_at=2**32,
            first_counter=0,
            subject=subject,
        )
    ]
    rail.agree("recipient", b"\x77" * 32)
    return scanner


def capture(rail, jws, body=DOCUMENT, who="acme", **headers):
    sent = {"Content-Type": "application/ld+json", "JWS-Signature": jws, **headers}
    return rail.client(who).post("/capture", content=body, headers=sent)


def test_capture__signed_document__is_202_with_a_job_and_the_record_is_kept(rail, scanner):
    jws = scanner.jws(DOCUMENT)
    answer = capture(rail, jws)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["success"], job["running"], job["errors"]) == (True, False, [])
    assert job["captureErrorBehaviour"] == "rollback"
    assert answer.headers["location"] == f"/capture/{job['captureID']}"
    assert answer.headers["gs1-epcis-version"] == answer.headers["gs1-cbv-version"] == "2.0.0"
    (record,) = job["records"]
    assert record["event_id"] == "0x" + event_id(device_id(scanner.name), 1).hex()
    assert [row.body for row in rail.rows(EvidenceRow)] == [jws.encode() + b"\n" + DOCUMENT]
    assert rail.verified(job["receipts"][0])["device"] == scanner.name


@pytest.mark.parametrize("media", ["application/xml", "text/xml; charset=utf-8"])
def test_capture__signed_xml_of_1_2__is_202_and_kept_byte_by_byte(rail, scanner, media):
    body = xml_document(xml_event(event()))
    jws = scanner.jws(body)
    headers = {"Content-Type": media, "GS1-EPCIS-Version": "1.2"}
    answer = capture(rail, jws, body, **headers)
    assert answer.status_code == 202, answer.text
    assert [row.body for row in rail.rows(EvidenceRow)] == [jws.encode() + b"\n" + body]


def test_capture__structure_that_is_missing__is_refused_at_once_by_name(rail, scanner):
    body = xml_document(xml_event(event())).replace(b' schemaVersion="1.2"', b"")
    answer = capture(rail, scanner.jws(body), body, **{"Content-Type": "application/xml"})
    assert (answer.status_code, answer.json()["code"]) == (422, "field_missing")


def test_capture__job__is_readable_only_by_its_sender(rail, scanner):
    proceed = {"GS1-EPCIS-Capture-Error-Behaviour": "proceed"}
    answer = capture(rail, scanner.jws(DOCUMENT), **proceed)
    where = answer.headers["location"]
    stored = rail.client("acme").get(where)
    assert (stored.status_code, stored.json()) == (200, answer.json())
    assert stored.json()["captureErrorBehaviour"] == "proceed"
    assert rail.client("borg").get(where).json()["code"] == "not_found"
    assert rail.client("acme").get("/capture/" + "0" * 32).status_code == 404


def test_capture__without_signature__is_refused_by_name_and_kept(rail, scanner):
    answer = rail.client("acme").post("/capture", json=document(event()))
    assert (answer.status_code, answer.json()["code"]) == (422, "signature_missing")
    (row,) = rail.rows(RejectionRow)
    assert row.reason == "signature_missing" and b"EPCISDocument" in row.body
    job = rail.client("acme").get(answer.headers["location"]).json()
    assert not job["success"]
    assert [error["code"] for error in job["errors"]] == ["signature_missing"]


def test_capture__one_byte_changed_on_the_way__is_forged(rail, scanner):
    answer = capture(rail, scanner.jws(DOCUMENT), DOCUMENT.replace(b"receiving", b"accepting"))
    assert (answer.status_code, answer.json()["code"]) == (422, "signature_forged")
    assert rail.rows(EvidenceRow) == []


def test_capture__wrong_check_digit__is_a_named_problem(rail, scanner):
    body = json.dumps(event(epcList=["https://id.gs1.org/00/040123451111111119"])).encode()
    assert capture(rail, scanner.jws(body), body).json()["code"] == "code_malformed"


def test_capture__sent_again__is_the_same_event_under_another_job(rail, scanner):
    jws = scanner.jws(DOCUMENT)
    first, again = capture(rail, jws).json(), capture(rail, jws)
    assert again.status_code == 202
    assert again.json()["captureID"] != first["captureID"]
    assert again.json()["records"][0]["outcome"] == "duplicate"
    assert again.json()["records"][0]["event_id"] == first["records"][0]["event_id"]


def test_capture__under_one_idempotency_key__is_the_same_job_and_no_other_signature(rail, scanner):
    jws, key = scanner.jws(DOCUMENT), {"Idempotency-Key": "k-1"}
    first, again = capture(rail, jws, **key), capture(rail, jws, **key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    other = capture(rail, scanner.jws(DOCUMENT), **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_capture__refused_under_an_idempotency_key__keeps_its_job_address(rail, scanner):
    key = {"Idempotency-Key": "k-2"}
    first = capture(rail, "", **key)
    again = capture(rail, "", **key)
    assert first.status_code == again.status_code == 422
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]


def test_capture__for_another_partners_device__is_refused(rail, scanner):
    answer = capture(rail, scanner.jws(DOCUMENT), who="borg")
    assert (answer.status_code, answer.json()["code"]) == (422, "device_not_of_topic")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"GS1-EPCIS-Version": "1.2"}, 406, "version_unsupported"),
        ({"GS1-CBV-Version": "3.0.0"}, 406, "version_unsupported"),
        ({"GS1-EPCIS-Capture-Error-Behaviour": "shrug"}, 422, "request_invalid"),
        ({"Content-Type": "text/csv"}, 415, "media_type_unsupported"),
        ({"Content-Encoding": "gzip"}, 415, "content_coding_unsupported"),
        ({"Authorization": "Bearer nonsense"}, 401, "key_unknown"),
    ],
)
def test_capture__not_as_the_standard_asks__takes_nothing(rail, scanner, headers, status, code):
    answer = capture(rail, scanner.jws(DOCUMENT), **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert rail.rows(EvidenceRow) == rail.rows(RejectionRow) == []


def test_capture__right_versions__are_taken(rail, scanner):
    versions = {"GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0"}
    assert capture(rail, scanner.jws(DOCUMENT), **versions).status_code == 202


def test_capture__empty_body__is_named(rail, scanner):
    assert capture(rail, "", b"").json()["code"] == "empty"


def test_capture__auditor__may_not(rail, scanner):
    assert capture(rail, scanner.jws(DOCUMENT), who="auditor").json()["code"] == "role_forbidden"


def test_evidence_route__raw_epcis_record__takes_the_same_path(rail, scanner):
    record = scanner.record()
    answer = rail.client("acme").post(
        "/v1/evidence?protocol=epcis",
        content=record,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 200
    assert answer.json()["records"][0]["outcome"] == "accepted"
