"""Idempotency keys: one request per key, one effect, one answer, for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator.edges.store.access import renew_key
from orchestrator.edges.store.tables import EventRow, RejectionRow
from tests.support.api_rail import ApiRail


@pytest.fixture
def rail(tmp_path):
    rail = ApiRail(tmp_path)
    yield rail
    rail.close()


def post(client, record, key="order-1", media="text/plain"):
    headers = {"Content-Type": media, "Idempotency-Key": key}
    return client.post("/v1/evidence", content=record, headers=headers)


def test_key__same_request_again__gets_the_same_bytes(rail):
    record, client = rail.record(), rail.client("acme")
    first, again = post(client, record), post(client, record)
    assert first.content == again.content and again.status_code == 200
    assert again.json()["records"][0]["outcome"] == "accepted"  # and not "duplicate"


def test_key__a_rejected_record_again__gets_the_same_problem_and_is_kept_once(rail):
    forged, client = rail.forged(), rail.client("acme")
    first, again = post(client, forged), post(client, forged)
    assert first.content == again.content
    assert (again.status_code, again.headers["content-type"]) == (422, "application/problem+json")
    assert len(rail.rows(RejectionRow)) == 1


def test_key__after_a_restart_and_a_new_api_key__still_gets_the_same_bytes(rail):
    record = rail.record()
    first = post(rail.client("acme"), record)
    rail.start()
    with rail.store.write() as session:
        rail.keys["acme"] = renew_key(session, "acme", 0)
    assert post(rail.client("acme"), record).content == first.content


def test_key__another_body__is_a_conflict_and_takes_nothing(rail):
    client = rail.client("acme")
    post(client, rail.record())
    answer = post(client, rail.record())
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert len(rail.rows(EventRow)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"media": "application/octet-stream"},
        {"query": "?protocol=other"},
    ],
)
def test_key__same_body_with_another_content_type_or_query__is_a_conflict(rail, change):
    record, client = rail.record(), rail.client("acme")
    post(client, record)
    headers = {"Content-Type": change.get("media", "text/plain"), "Idempotency-Key": "order-1"}
    path = "/v1/evidence" + change.get("query", "")
    assert client.post(path, content=record, headers=headers).status_code == 409


def test_key__of_another_client__is_another_key(rail):
    assert post(rail.client("acme"), rail.record("acme-1")).status_code == 200
    assert post(rail.client("borg"), rail.record("borg-1")).status_code == 200


def test_key__quoted_as_in_the_draft__is_the_same_key(rail):
    record, client = rail.record(), rail.client("acme")
    assert post(client, record, '"order-1"').content == post(client, record, "order-1").content


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, "h\u00e9".encode("latin-1")])
def test_key__of_no_use__is_refused(rail, key):
    answer = post(rail.client("acme"), rail.record(), key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_malformed")
    assert rail.rows(EventRow) == []


def test_key__given_twice__is_refused(rail):
    headers = [("Content-Type", "text/plain"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = rail.client("acme").post("/v1/evidence", content=rail.record(), headers=headers)
    assert answer.json()["code"] == "idempotency_key_malformed"


def test_key__many_at_once__one_effect_and_one_answer(rail):
    forged = rail.forged()  # each take of a rejection would leave a row
    together = Barrier(8, timeout=120)

    def send(_):
        client = rail.client("acme")
        together.wait()
        return post(client, forged).content

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(send, range(8)))
    assert len(answers) == 1 and len(rail.rows(RejectionRow)) == 1


def test_key__many_at_once_with_different_bodies__one_wins_and_the_rest_conflict(rail):
    records, together = rail.device().make_records(6), Barrier(6, timeout=120)

    def send(record):
        client = rail.client("acme")
        together.wait()
        return post(client, record).status_code

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(send, records)) == [200, 409, 409, 409, 409, 409]
    assert len(rail.rows(EventRow)) == 1


def test_key__request_that_died_on_the_way__can_only_be_repeated_as_it_was(rail):
    record, other, client = rail.record(), rail.record(), rail.client("acme")
    rail.chain.away = True
    assert post(client, record).status_code == 503
    rail.chain.away = False
    assert post(client, other).status_code == 409
    answer = post(client, record)
    assert answer.status_code == 200
    assert post(client, record).content == answer.content
