"""Later outcomes over HTTP: in order, signed, of the caller's own devices alone."""

from __future__ import annotations

import pytest

from device_adapters.types import MAX_MESSAGE_BYTES
from orchestrator.core.later_outcome import read_outcomes
from orchestrator.core.receipt import public_key_of
from orchestrator.edges.store import later_outcomes
from tests.support.api_rail import NOW, RAW, ApiRail

PATH = "/v1/devices/acme-1/outcomes"


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    """Give a rail that dropped five records of acme-1 and one of borg-1 after it took them."""
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    for name, count in (("acme-1", 5), ("borg-1", 1)):
        body = b"\n".join(rail.device(name).make_records(count))
        answer = rail.client("operator").post("/v1/evidence", content=body, headers=RAW).json()
        reasons = {r["event_id"]: ("incomplete", "its end is missing") for r in answer["records"]}
        with rail.store.write() as session:
            later_outcomes.add_dropped(session, reasons, NOW)
    yield rail
    rail.close()


def test_outcomes__of_a_device__come_in_pages_in_order_and_signed(rail):
    client = rail.client("acme")
    items, after = [], {}
    while after is not None:
        page = client.get(PATH, params={"limit": 2} | after).json()
        items += page["items"]
        after = {"after": page["next"]} if page["next"] else None
    assert [item["counter"] for item in items] == [1, 2, 3, 4, 5]
    assert {(i["device"], i["outcome"], i["detail"]) for i in items} == {
        ("acme-1", "incomplete", "its end is missing")
    }
    page = client.get(PATH, params={"limit": 2}).json()
    key = public_key_of(rail.receipts.public_pem)
    (content,) = [read_outcomes(message.encode(), key) for message in page["signed"]]
    assert [o["id"] for o in content["outcomes"]] == [item["id"] for item in page["items"]]


def test_outcomes__acknowledged__are_left_out_unless_asked_for(rail):
    client = rail.client("acme")
    ids = [item["id"] for item in client.get(PATH).json()["items"]]
    assert client.post(f"{PATH}/ack", json={"ids": [ids[1], ids[1]]}).json() == {"acknowledged": 1}
    assert client.post(f"{PATH}/ack", json={"ids": [ids[1]]}).json() == {"acknowledged": 0}
    left = client.get(PATH).json()["items"]
    assert [item["id"] for item in left] == [*ids[:1], *ids[2:]]
    everything = client.get(PATH, params={"all": True}).json()["items"]
    assert [item["acknowledged_at"] for item in everything] == [None, NOW, None, None, None]


def test_outcomes__of_anothers_device__neither_read_nor_acknowledged(rail):
    path = "/v1/devices/borg-1/outcomes"
    (item,) = rail.client("borg").get(path).json()["items"]
    acme = rail.client("acme")
    for answer in (acme.get(path), acme.post(f"{path}/ack", json={"ids": [item["id"]]})):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    mine = acme.post(f"{PATH}/ack", json={"ids": [item["id"]]})  # by an id, over its own device
    assert mine.json() == {"acknowledged": 0}
    assert len(rail.client("borg").get(path).json()["items"]) == 1
    auditor = rail.client("auditor")
    assert len(auditor.get(path).json()["items"]) == 1
    assert auditor.post(f"{path}/ack", json={"ids": []}).status_code == 403


@pytest.mark.parametrize("body", [{"ids": ["x"]}, {"ids": ["ab" * 32] * 1_001}, {"version": 2}])
def test_acknowledgement__of_another_form__is_named(rail, body):
    answer = rail.client("acme").post(f"{PATH}/ack", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_record__too_large__is_413_with_its_reason(rail, tmp_path):
    """A body may be larger than a message: the record in it is refused by name all the same."""
    answer = rail.client("acme").post("/v1/evidence", content=b"x" * 70_000, headers=RAW)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "65536" in answer.json()["detail"] and MAX_MESSAGE_BYTES > 65_536
