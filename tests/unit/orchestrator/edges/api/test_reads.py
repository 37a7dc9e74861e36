"""What can be read over HTTP is what the store holds: whole, in pages, amounts as text."""

from __future__ import annotations

import base64

import pytest

from device_adapters.types import device_id, event_id
from orchestrator.core import ledger
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import Fact
from orchestrator.core.references import funding_reference
from orchestrator.edges.store import add_all, evidence, payments, tables
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.products.metered_energy import product as energy
from tests.support.api_rail import NOW, RAW, ApiRail, agreement_of

DEVICE = device_id("acme-1")
AGREEMENT = agreement_of(DEVICE)
A = "0x" + AGREEMENT.hex()
FACTS = "0x" + energy.encode_facts(energy.EnergyFacts(0, 1, 1, NOW, NOW + 1)).hex()
TERMS = "0x" + energy.encode_terms(energy.EnergyTerms(300_000, 22_000)).hex()
PAYEE = "0x" + "22" * 20
BIG = 2**62  # beyond what a JavaScript number holds


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    body = b"\n".join(rail.device().make_records(3))
    rail.client("acme").post("/v1/evidence", content=body, headers=RAW)
    for _ in range(5):
        rail.client("acme").post("/v1/evidence", content=rail.forged(), headers=RAW)
    with rail.store.write() as session:
        fill(session)
    yield rail
    rail.close()


def fill(session):
    """One agreement with seven payments, the first settled with a great amount."""
    session.merge(
        tables.AgreementRow(
            agreement_id=A,
            device_id="0x" + DEVICE.hex(),
            device="acme-1",
            product="metered_energy",
            product_address="0x" + "44" * 20,
            payer="0x" + "11" * 20,
            payee=PAYEE,
            cap_micro=BIG,
            period_days=30,
            window_s=60,
            expiry=2**31,
            first_counter=0,
            required_domain=0,
            salt="0x",
            terms=TERMS,
            signature="0x",
            reference=funding_reference(AGREEMENT),
            stage="live",
        )
    )
    add_all(
        session,
        [
            tables.PaymentRow(
                payment_id=payment(n),
                agreement_id=A,
                sequence=n,
                stage="verified",
                next_step="attest",
                first_counter=n,
                last_counter=n,
                created_at=NOW + n // 3,
                amount_micro=BIG if n == 1 else 0,
                facts=FACTS,
            )
            for n in range(1, 8)
        ],
    )
    evidence.claim_events(session, A, 1, 2, payment(1))
    payments.record_facts(session, [payments.NewFact(payment(1), Fact.SETTLED, "0xblock")], NOW)
    entries = [ledger.settled(payment(1), A, PAYEE, BIG), ledger.funded("wallet", A, BIG + 5)]
    store_ledger.post(session, entries, NOW)
    add_all(
        session,
        [
            tables.BlockRow(number=n, hash=f"0x{n:064x}", parent="0x", timestamp=NOW, final=n < 3)
            for n in (1, 2, 3)
        ],
    )


def payment(sequence):
    return "0x" + payment_id(AGREEMENT, sequence).hex()


def walk(client, path, limit):
    """Every item of a listing, page by page."""
    items, after = [], None
    while True:
        params = {"limit": limit} | ({"after": after} if after else {})
        answer = client.get(path, params=params).json()
        items += answer["items"]
        assert len(answer["items"]) == limit or answer["next"] is None
        after = answer["next"]
        if after is None:
            return items


def test_event__taken_and_claimed__names_its_payment(rail):
    path = "/v1/events/0x" + event_id(DEVICE, 1).hex()
    view = rail.client("acme").get(path).json()
    assert (view["device"], view["counter"], view["payment_id"]) == ("acme-1", 1, payment(1))
    assert (view["agreement_id"], view["reason"], view["received_at"]) == (A, None, NOW)


def test_payment__settled__has_its_events_and_facts_in_order(rail):
    view = rail.client("auditor").get(f"/v1/payments/{payment(1)}").json()
    assert view["stage"] == "settled"
    assert view["events"] == ["0x" + event_id(DEVICE, n).hex() for n in (1, 2)]
    assert [fact["fact"] for fact in view["facts"]] == ["settled"]


def test_amount__beyond_what_readers_hold_in_a_number__is_exact_text(rail):
    view = rail.client("auditor").get(f"/v1/payments/{payment(1)}").json()
    assert view["amount"] == {"amount_minor": "4611686018427387904", "asset": "tEUR/6"}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_payments__walked_in_pages_of_any_size__come_once_each_oldest_first(rail, limit):
    view = walk(rail.client("auditor"), "/v1/payments", limit)
    assert sorted(p["payment_id"] for p in view) == sorted(payment(n) for n in range(1, 8))
    keys = [(p["created_at"], p["payment_id"]) for p in view]
    assert keys == sorted(keys)


def test_payments__by_stage_and_agreement__are_only_those(rail):
    client = rail.client("auditor")
    assert [p["sequence"] for p in client.get("/v1/payments?stage=settled").json()["items"]] == [1]
    assert len(client.get(f"/v1/payments?agreement={A}").json()["items"]) == 7
    assert client.get(f"/v1/payments?agreement=0x{'00' * 32}").json()["items"] == []


def test_payment__unknown__is_not_found(rail):
    answer = rail.client("auditor").get("/v1/payments/0x" + "00" * 32)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("cursor", ["x", "eA==", base64.b64encode(b"9" * 30).decode(), "\u00e9"])
def test_cursor__not_issued_by_the_api__is_refused(rail, cursor):
    for path in ("/v1/payments", "/v1/rejected"):
        answer = rail.client("auditor").get(path, params={"after": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_unknown")


def test_rejections__walked_in_pages__come_once_each_newest_first(rail):
    view = walk(rail.client("acme"), "/v1/rejected", 2)
    numbers = [r["number"] for r in view]
    assert len(numbers) == 5 and numbers == sorted(numbers, reverse=True)
    assert {r["reason"] for r in view} == {"signature_forged"}
    assert all(r["next_step"] for r in view)


def test_rejection__by_number__holds_the_bytes_as_they_came(rail):
    (row, *_) = rail.rows(tables.RejectionRow)
    view = rail.client("acme").get(f"/v1/rejected/{row.id}").json()
    assert base64.b64decode(view["body_base64"]) == row.body
    assert view["size_bytes"] == len(row.body)


def test_devices_and_agreements__listed__are_those_of_the_store(rail):
    client = rail.client("auditor")
    names = [d["name"] for d in walk(client, "/v1/devices", 1)]
    assert names == ["ACME-3", "acme-1", "acme-2", "borg-1"]
    (agreement,) = (a for a in walk(client, "/v1/agreements", 1) if a["agreement_id"] == A)
    assert (agreement["agreement_id"], agreement["cap"]["amount_minor"]) == (A, str(BIG))
    assert agreement["reference"] == funding_reference(AGREEMENT)


def test_balances__all__add_up_to_zero_and_are_text(rail):
    view = rail.client("auditor").get("/v1/ledger/balances").json()["balances"]
    by_account = {b["account"]: b["balance"]["amount_minor"] for b in view}
    assert by_account == {
        f"escrow:{A}": "-5",
        f"pending:{PAYEE}": str(-BIG),
        "wallets": str(BIG + 5),
    }
    assert sum(map(int, by_account.values())) == 0


def test_status__of_a_rail_at_work__counts_by_stage_and_reason(rail):
    rail.worker["halted"] = {"settle": "why"}
    view = rail.client("auditor").get("/v1/status").json()
    assert view["worker"] == {"turns": {"collect": 4}, "halted": {"settle": "why"}}
    assert view["problems"] == []
    assert view["stages"] == {"verified": 6, "settled": 1}
    assert view["rejections"] == {"signature_forged": 5}
    assert (view["head"]["number"], view["final_block"]) == (3, 2)


def test_health__without_a_key__answers(rail):
    assert rail.client().get("/health").json() == {"status": "ok"}


def test_trace__of_an_event__leads_to_its_payment(rail):
    view = rail.client("auditor").get("/v1/trace/0x" + event_id(DEVICE, 1).hex())
    assert view.status_code == 200
    assert payment(1) in view.text


def test_trace__of_nothing_known__is_not_found(rail):
    answer = rail.client("auditor").get("/v1/trace/0x" + "00" * 32)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_trace__of_anothers_id__reads_as_one_of_an_unknown_id(rail):
    client = rail.client("borg")
    ids = [DEVICE, payment(1), payment(1)[:10], "0x" + event_id(DEVICE, 1).hex(), "unknown-1"]
    answers = [client.get(f"/v1/trace/{one}") for one in ids]
    details = {
        answer.json()["detail"].replace(one, "ID") for answer, one in zip(answers, ids, strict=True)
    }
    assert {answer.status_code for answer in answers} == {404} and len(details) == 1
