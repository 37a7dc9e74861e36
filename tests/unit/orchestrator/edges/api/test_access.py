"""Who may do what: every role on every route, and one partner against another's devices."""

from __future__ import annotations

import pytest

from device_adapters.types import device_id, event_id
from orchestrator.edges.store import add_all, tables
from orchestrator.edges.store.access import KeyRole, issue_key, keys, renew_key, revoke_key
from tests.support.api_rail import RAW, ApiRail

ID = "0x" + "00" * 32
OPEN = {("GET", "/health"), ("GET", "/ready"), ("GET", "/.well-known/jwks.json")}
MAY = {  # route -> roles that are let in
    ("POST", "/v1/evidence"): {"partner", "operator"},
    ("GET", "/v1/events/{event_id}"): {"partner", "auditor", "operator"},
    ("GET", "/v1/rejected"): {"partner", "auditor", "operator"},
    ("GET", "/v1/rejected/{number}"): {"partner", "auditor", "operator"},
    ("GET", "/v1/payments/{payment_id}"): {"partner", "auditor", "operator"},
    ("POST", "/v1/payments/{payment_id}/hold"): {"partner"},
    ("POST", "/capture"): {"partner", "operator"},
    ("GET", "/capture/{capture_id}"): {"partner", "operator"},
    ("GET", "/v1/payments"): {"partner", "auditor", "operator"},
    ("GET", "/v1/agreements"): {"partner", "auditor", "operator"},
    ("GET", "/v1/devices"): {"partner", "auditor", "operator"},
    ("GET", "/v1/devices/{device}/outcomes"): {"partner", "auditor", "operator"},
    ("POST", "/v1/devices/{device}/outcomes/ack"): {"partner", "operator"},
    ("GET", "/v1/effects"): {"partner", "auditor", "operator"},
    ("GET", "/v1/ledger/balances"): {"auditor", "operator"},
    ("GET", "/v1/trace/{any_id}"): {"partner", "auditor", "operator"},
    ("GET", "/v1/status"): {"auditor", "operator"},
}
HOLDERS = {"partner": "acme", "auditor": "auditor", "operator": "operator"}


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    for name in ("acme-1", "borg-1", "ACME-3"):
        client = rail.client("operator")
        client.post("/v1/evidence", content=rail.record(name), headers=RAW)
        client.post("/v1/evidence", content=rail.forged(name), headers=RAW)
    yield rail
    rail.close()


def call(client, method, route):
    path = route.format(
        device="acme-1", event_id=ID, payment_id=ID, any_id=ID, number=9_999, capture_id="0" * 32
    )
    body = {"content": b"x", "headers": RAW} if method == "POST" else {}
    return client.request(method, path, **body)


def test_matrix__any_route__has_a_row(rail):
    there = {
        (method.upper(), path)
        for path, methods in rail.schema["paths"].items()
        for method in methods
    }
    assert there == set(MAY) | OPEN


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize("route", MAY)
def test_route__each_role__is_let_in_or_refused_as_the_matrix_says(rail, route, role):
    answer = call(rail.client(HOLDERS[role]), *route)
    refused = answer.status_code == 403 and answer.json()["code"] == "role_forbidden"
    assert refused != (role in MAY[route])
    assert answer.status_code < 500


@pytest.mark.parametrize("route", MAY)
def test_route__without_a_key_or_with_a_wrong_one__is_closed(rail, route):
    for client, code in ((rail.client(), "key_missing"), (rail.client(key="x"), "key_unknown")):
        answer = call(client, *route)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Basic x", "Bearer", "Bearer ", "bearer\t", "x"])
def test_key__in_another_form__is_no_key(rail, header):
    answer = rail.client().get("/v1/status", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")


@pytest.mark.parametrize(
    ("caller", "device", "seen"),
    [
        ("acme", "acme-1", True),
        ("acme", "borg-1", False),
        ("acme", "ACME-3", False),
        ("borg", "borg-1", True),
        ("borg", "acme-1", False),
        ("auditor", "borg-1", True),
        ("operator", "ACME-3", True),
    ],
)
def test_event__of_a_device__is_seen_by_its_partner_only(rail, caller, device, seen):
    path = "/v1/events/0x" + event_id(device_id(device), 1).hex()
    answer = rail.client(caller).get(path)
    assert answer.status_code == (200 if seen else 404)
    if seen:
        assert answer.json()["device"] == device


def test_event__of_another_partner__is_answered_like_a_missing_event(rail):
    there, nowhere = "0x" + event_id(device_id("borg-1"), 1).hex(), "0x" + "00" * 32
    answers = [rail.client("acme").get(f"/v1/events/{i}").text for i in (there, nowhere)]
    assert answers[0].replace(there, nowhere) == answers[1]


@pytest.mark.parametrize(
    ("caller", "devices"),
    [
        ("acme", {"acme-1"}),
        ("borg", {"borg-1"}),
        ("auditor", {"acme-1", "borg-1", "ACME-3"}),
    ],
)
def test_rejections__listed__are_those_of_the_callers_devices(rail, caller, devices):
    rows = rail.client(caller).get("/v1/rejected?reason=signature_forged").json()["items"]
    assert {row["device"] for row in rows} == devices


def test_rejections__of_another_partner__are_not_there_by_filter_or_number(rail):
    every = rail.client("auditor").get("/v1/rejected").json()["items"]
    foreign = [row["number"] for row in every if not row["device"].startswith("acme-")]
    acme = rail.client("acme")
    assert foreign
    assert acme.get("/v1/rejected?device=borg-1").json()["items"] == []
    assert {acme.get(f"/v1/rejected/{number}").status_code for number in foreign} == {404}
    own = next(row["number"] for row in every if row["device"] == "acme-1")
    assert acme.get(f"/v1/rejected/{own}").status_code == 200


def test_key__renewed__has_a_grace_for_its_former_value_and_keeps_its_rights(rail):
    with rail.store.write() as session:
        first = issue_key(session, "passing", "auditor", now=int(rail.clock))
        assert renew_key(session, "unknown", 0) is None
        second = renew_key(session, "passing", int(rail.clock), grace_s=60)
    assert [status_of(rail, key) for key in (first, second)] == [200, 200]
    rail.clock += 61
    assert [status_of(rail, key) for key in (first, second)] == [401, 200]
    with rail.store.write() as session:
        third = renew_key(session, "passing", int(rail.clock))
    assert [status_of(rail, key) for key in (second, third)] == [401, 200]


def test_key__revoked__ends_at_once_with_its_former_value(rail):
    with rail.store.write() as session:
        first = issue_key(session, "leaving", "auditor")
        second = renew_key(session, "leaving", int(rail.clock), grace_s=60)
        assert revoke_key(session, "leaving") and not revoke_key(session, "leaving")
    assert [status_of(rail, key) for key in (first, second)] == [401, 401]


def test_key__of_a_name_that_is_taken__is_refused(rail):
    with rail.store.write() as session, pytest.raises(ValueError, match="exists"):
        issue_key(session, "auditor", "auditor")


def status_of(rail, key: str) -> int:
    return rail.client(key=key).get("/v1/status").status_code


def test_keys__in_the_store__are_hashes_of_256_random_bits(rail):
    with rail.store.read() as session:
        kept = {row.key_hash for row in keys(session)}
    for key in rail.keys.values():
        assert len(key.removeprefix("proofrail_")) == 43  # 256 bits in base64url
        assert key not in kept
    raw = (rail.home / "rail.sqlite3").read_bytes() + (rail.home / "rail.sqlite3-wal").read_bytes()
    assert not any(key.encode() in raw for key in rail.keys.values())


@pytest.mark.parametrize(
    ("name", "role", "scope"),
    [
        ("x", "partner", ""),
        ("x", "king", "a-"),
        ("", "auditor", ""),
    ],
)
def test_issue__of_a_key_that_would_open_too_much__is_refused(rail, name, role, scope):
    with rail.store.write() as session, pytest.raises(ValueError):
        issue_key(session, name, role, scope)


def test_partner__whose_row_lost_its_scope__sees_nothing(rail):
    with rail.store.write() as session:
        key = issue_key(session, "bare", "partner", "bare-")
        row = next(row for row in keys(session) if row.name == "bare")
        session.delete(row)
        session.flush()
        add_all(
            session,
            [tables.ApiKeyRow(key_hash=row.key_hash, name="bare", role=KeyRole.PARTNER, scope="")],
        )
    assert rail.client(key=key).get("/v1/rejected").status_code == 403
