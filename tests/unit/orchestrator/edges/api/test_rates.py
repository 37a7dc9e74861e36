"""A key that sends too much waits, and learns how long; guessing keys ends early."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey

from orchestrator.core.receipt import Receipts, read_receipt
from orchestrator.edges.store.tables import RejectionRow
from tests.support.api_rail import RAW, ApiRail


@pytest.fixture
def rail(tmp_path):
    rail = ApiRail(tmp_path)
    rail.settings = rail.settings.model_copy(
        update={"api_requests_per_minute": 5, "api_refused_per_minute": 3}
    )
    rail.start()
    yield rail
    rail.close()


def test_rate__of_one_key__is_limited_and_others_go_on(rail):
    answers = [rail.client("auditor").get("/v1/payments") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    left = [int(answer.headers["RateLimit-Remaining"]) for answer in answers]
    assert left == [4, 3, 2, 1, 0, 0]
    refused = answers[-1]
    assert refused.json()["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert refused.headers["RateLimit-Limit"] == "5"
    assert rail.client("operator").get("/v1/payments").status_code == 200


def test_rate__of_wrong_keys__ends_what_their_address_may_try(rail):
    for number in range(3):
        assert rail.client(key=f"guess-{number}").get("/v1/payments").status_code == 401
    assert rail.client(key="guess-3").get("/v1/payments").status_code == 429


def test_rate__of_liveness__is_not_limited(rail):
    client = rail.client()
    assert {client.get("/health").status_code for _ in range(20)} == {200}


def test_rate__limited__stores_nothing(rail):
    for _ in range(6):
        rail.client("acme").post("/v1/evidence", content=rail.forged(), headers=RAW)
    assert len(rail.rows(RejectionRow)) == 5


def test_jwks__after_a_rotation__checks_old_and_new_receipts(rail):
    former = Receipts(rail.pem)
    current = Receipts(ECKey.generate_key("P-256").as_pem(private=True), [former.public_pem])
    rail.start(current)
    keys = rail.client().get("/.well-known/jwks.json").json()["keys"]
    assert len(keys) == 2 and all("d" not in key for key in keys)
    for receipts, key in zip((current, former), keys, strict=True):
        public = ECKey.import_key(key)
        public.ensure_kid()
        assert read_receipt(receipts.sign("cp-1", [], 7), public)["device"] == "cp-1"
