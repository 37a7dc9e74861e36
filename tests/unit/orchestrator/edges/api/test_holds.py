"""The hold route: a payer or payee stops its own payment, and nobody else any."""

from __future__ import annotations

import pytest

from device_adapters.types import device_id
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.store import holds, payments
from orchestrator.edges.store.access import issue_key, keys, renew_key
from orchestrator.edges.store.tables import AgreementRow, ChainSendRow, PaymentRow
from tests.support.api_rail import ApiRail, agreement_of

PAYER, PAYEE, OTHER = ("0x" + digit * 40 for digit in "abc")
BODY = {"reason": "the meter was opened"}
OURS = "0x" + agreement_of(device_id("acme-1")).hex()


@pytest.fixture
def rail(tmp_path):
    rail = ApiRail(tmp_path)
    with rail.store.write() as session:
        agreement = session.get(AgreementRow, OURS)
        agreement.payer, agreement.payee = PAYER, PAYEE
        session.add(agreement)
        for name, scope, party in (
            ("payer", "acme-", PAYER),
            ("payee", "acme-", PAYEE),
            ("other", "acme-", OTHER),
            ("afar", "borg-", PAYER),
        ):
            rail.keys[name] = issue_key(session, name, "partner", scope, party=party)
    yield rail
    rail.close()


def payment(rail: ApiRail, stage: Stage = Stage.VERIFIED, **columns: object) -> str:
    identity = "0x" + f"{len(rail.rows(PaymentRow)) + 1:064x}"
    row = {
        "payment_id": identity,
        "agreement_id": OURS,
        "sequence": len(rail.rows(PaymentRow)) + 1,
        "stage": stage,
        "next_step": "attest",
        "first_counter": 1,
        "last_counter": 2,
        "created_at": 1,
        "claim_hash": "0x" + "c1" * 32,
    }
    with rail.store.write() as session:
        session.add(PaymentRow(**row | columns))
    return identity


def post(rail: ApiRail, name: str, identity: str, body: object = BODY):
    return rail.client(name).post(f"/v1/payments/{identity}/hold", json=body)


@pytest.mark.parametrize(("name", "party"), [("payer", PAYER), ("payee", PAYEE)])
def test_hold__by_a_party__stops_it_and_every_reader_sees_why(rail, name, party):
    identity = payment(rail)
    answer = post(rail, name, identity)
    assert answer.status_code == 200, answer.text
    wanted = {"held_by": party, "signed": False, "reason": BODY["reason"], "decision": None}
    assert wanted.items() <= answer.json().items()
    for reader in ("payer", "payee", "auditor"):
        shown = rail.client(reader).get(f"/v1/payments/{identity}").json()
        assert shown["stage"] == "held" and shown["holds"] == [answer.json()]
        [listed] = rail.client(reader).get("/v1/payments?stage=held").json()["items"]
        assert listed["payment_id"] == identity
    with rail.store.read() as session:
        [row] = holds.of_payment(session, identity)
    assert (row.key_name, row.signature, row.stage) == (name, "", "verified")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("acme", 403, "not_a_party_of_the_payment"),  # sees the device, stands for nobody
        ("other", 403, "not_a_party_of_the_payment"),
        ("afar", 404, "not_found"),  # the payer's key for other devices
        ("auditor", 403, "role_forbidden"),
        ("operator", 403, "role_forbidden"),  # officers sign; an operator's key is no officer
        ("", 401, "key_missing"),
    ],
)
def test_hold__by_anybody_else__is_refused(rail, name, status, code):
    identity = payment(rail)
    answer = post(rail, name, identity)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    with rail.store.read() as session:
        assert [row.stage for row in payments.by_ids(session, [identity])] == ["verified"]
        assert not holds.of_payment(session, identity)


def test_hold__by_a_payee_that_only_the_claim_names__is_allowed(rail):
    identity = payment(rail, payee=OTHER)
    assert post(rail, "payee", identity).status_code == 403  # this claim pays somebody else
    assert post(rail, "other", identity).status_code == 200


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (Stage.SETTLED, "already_settled"),
        (Stage.POSTED, "already_settled"),
        (Stage.EXPIRED, "already_ended"),
        (Stage.HELD, "already_held"),
    ],
)
def test_hold__too_late__is_a_conflict_with_a_next_step(rail, stage, code):
    answer = post(rail, "payer", payment(rail, stage))
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert answer.json()["next_step"]


def test_hold__settlement_signed__is_a_conflict(rail):
    identity = payment(rail, Stage.ATTESTED, next_step=None, batch_digest="0x01")
    answer = post(rail, "payer", identity)
    assert (answer.status_code, answer.json()["code"]) == (409, "settlement_already_sent")


@pytest.mark.parametrize(("stage", "status"), [("signed", 409), ("sent", 409), ("failed", 200)])
def test_hold__after_a_rewind__is_refused_while_the_settlement_may_come_back(rail, stage, status):
    identity = payment(rail, Stage.ATTESTED, next_step="settle", batch_digest="0xba")
    send = {"chain_id": 1, "sender": "0x1", "nonce": 1, "purpose": "settle", "ref": "0xba"}
    with rail.store.write() as session:
        session.add(ChainSendRow(tx_hash="0x5e", raw="0x", stage=stage, created_at=1, **send))
    assert post(rail, "payer", identity).status_code == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": ""}, "hold_reason_malformed"),
        ({"reason": "x" * 201}, "hold_reason_malformed"),
        ({"reason": "a\u0000b"}, "hold_reason_malformed"),
        ({}, "request_invalid"),
        ({"reason": 5}, "request_invalid"),
    ],
)
def test_hold__reason_that_cannot_be_kept__is_refused(rail, body, code):
    answer = post(rail, "payer", payment(rail), body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_hold__twice_and_again_after_it_went_on__is_named_each_time(rail):
    identity = payment(rail)
    assert post(rail, "payer", identity).status_code == 200
    assert post(rail, "payee", identity).json()["code"] == "already_held"
    with rail.store.write() as session:
        standing = holds.open_hold(session, identity)
        standing.decided_at, standing.decision = int(rail.clock), "continue"
        session.add(standing)
        facts = [payments.NewFact(identity, Fact.CONTINUED)]
        payments.record_facts(session, facts, int(rail.clock))
    answer = post(rail, "payer", identity)  # within the second of the first hold
    assert (answer.status_code, answer.json()["code"]) == (503, "try_again_later")
    rail.clock += 1
    assert post(rail, "payer", identity).status_code == 200
    shown = rail.client("payer").get(f"/v1/payments/{identity}").json()["holds"]
    assert [hold["decision"] for hold in shown] == ["continue", None]


def test_key__renewed__stands_for_the_same_party_and_only_a_partners_key_for_any(rail):
    with rail.store.write() as session:
        renew_key(session, "payer", int(rail.clock))
        assert {row.party for row in keys(session) if row.name == "payer"} == {PAYER}
        with pytest.raises(ValueError, match="only a partner"):
            issue_key(session, "x", "operator", party=PAYER)
