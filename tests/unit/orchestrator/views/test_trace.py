"""A trace starts from any id, shows the whole payment, and never confuses two ids."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from device_adapters.types import Rejected
from orchestrator.edges.store import rejections, tables
from orchestrator.views.trace import TraceReason, trace
from tests.support.small_rail import START, has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def traced(text: str) -> dict[str, Any]:
    with lived().store.read() as session:
        return trace(session, text)


def reconciled() -> dict[str, Any]:
    return traced(lived().payments()["cp-0001 reconciled"])["life"]


def test_trace__payment__shows_every_part_with_its_time() -> None:
    life = reconciled()
    times = [
        life["agreement"]["opened_at"],
        life["events"][0]["observed_at"],
        life["events"][0]["received_at"],
        life["attestation"]["at"],
        life["settlement"]["at"],
        life["payout"]["ordered_at"],
        life["bank_file"]["at"],
        life["statement_lines"][0]["at"],
    ]
    assert times == sorted(times)
    assert times[0] > START
    assert life["stage"] == "reconciled"


def test_trace__payment__amounts_are_texts_of_minor_units_with_their_asset() -> None:
    life = reconciled()
    assert (life["amount"], life["asset"]) == ("4650000", "tEUR/6")  # 15.5 kWh at 0.30
    assert (life["payout"]["amount"], life["payout"]["asset"]) == ("472", "EUR/2")
    assert {line["amount"] for line in life["statement_lines"]} == {"-472"}
    assert "." not in json.dumps(life["settlement"])


def test_trace__payment__decodes_the_facts_as_the_product_does() -> None:
    """In the words and units that people read; programs have the bytes in the audit bundle."""
    life = reconciled()
    assert life["claim"]["facts"]["energy"] == "15.5 kWh"
    assert life["agreement"]["terms"]["price"] == "0.3 EUR/kWh"
    assert life["payee"]["name"] == "Ladepunkt Nord eG"
    assert (life["supporting"], life["debt"]) == ([], None)


def test_trace__payment__names_who_signed_and_what_the_others_did() -> None:
    view = reconciled()["attestation"]
    assert {(s["name"], s["domain"]) for s in view["signatures"]} == {
        ("utility-a", 1),
        ("utility-b", 1),
        ("auditor", 3),
    }
    assert any(vote.startswith("bank is down") for vote in view["oracles"])


def test_trace__payment__shows_the_ledger_from_escrow_to_the_bank() -> None:
    kinds = [entry["kind"] for entry in reconciled()["ledger"]]
    assert kinds == ["settled", "released", "redeemed", "payout_booked"]


def ids_of_one_payment() -> list[tuple[str, str]]:
    life = reconciled()
    return [
        ("event", life["events"][0]["event_id"]),
        ("evidence", life["events"][1]["evidence"]),
        ("payment", life["payment_id"]),
        ("payment", life["payment_id"][:10]),
        ("payment", life["payment_id"][2:10].upper()),
        ("agreement", life["agreement_id"]),
        ("agreement", life["agreement"]["reference"]),
        ("agreement", life["agreement"]["reference"].lower()),
        ("settlement", life["settlement"]["transaction"]),
        ("batch", life["attestation"]["batch"]),
        ("payout", life["payout"]["payout_id"]),
        ("payout", life["payout"]["end_to_end_id"]),
        ("release", life["payout"]["transaction"]),
        ("device", "cp-0001"),
    ]


def test_trace__every_kind_of_id__leads_to_the_payment() -> None:
    life = reconciled()
    for kind, text in ids_of_one_payment():
        view = traced(text)
        assert view["kind"] == kind, text
        assert life["payment_id"] in [p["payment_id"] for p in view["payments"]], text


def test_trace__device_id_and_credit__lead_there_too() -> None:
    rail = lived()
    with rail.store.read() as session:
        device = next(row for row in session.query(tables.DeviceRow) if row.name == "cp-0001")
        credits = [row.credit_id for row in session.query(tables.FundingRow)]
    assert traced(device.device_id)["about"]["name"] == "cp-0001"
    assert {traced(credit)["kind"] for credit in credits} == {"credit"}


def test_trace__several_payments__are_listed_with_totals_and_no_life() -> None:
    view = traced("cp-0001")
    assert view["totals"] == {
        "payments": 2,
        "amount": "6750000",
        "asset": "tEUR/6",
        "by_stage": {"posted": 1, "reconciled": 1},
    }
    assert view["life"] is None
    assert [p["sequence"] for p in view["payments"]] == [2, 1]


def test_trace__limited_list__totals_still_count_all() -> None:
    with lived().store.read() as session:
        view = trace(session, "cp-0001", shown=1)
    assert (len(view["payments"]), view["totals"]["payments"]) == (1, 2)


def test_trace__list_cut_to_one__is_not_taken_for_the_only_payment() -> None:
    with lived().store.read() as session:
        assert trace(session, "cp-0001", shown=1)["life"] is None


def test_trace__whole_name_that_others_begin_with__is_the_one() -> None:
    rail = lived()
    with rail.store.write() as session:
        session.merge(
            tables.DeviceRow(
                device_id="0x" + "ab" * 32,
                name="cp-00011",
                curve="secp256r1",
                key_x="0x1",
                key_y="0x1",
                owner="0x0",
                enrolled_at=0,
            )
        )
    assert traced("cp-0001")["about"]["name"] == "cp-0001"


def test_trace__beginning_of_several__is_ambiguous_and_lists_them() -> None:
    with pytest.raises(Rejected) as refusal:
        traced("cp-000")
    assert refusal.value.reason is TraceReason.AMBIGUOUS
    assert "cp-000" in refusal.value.detail


@pytest.mark.parametrize("text", ["", "0x", "%", "0xffffffffffff", "nobody", "' OR 1=1 --", "\x00"])
def test_trace__nothing_of_that_name__is_not_found(text: str) -> None:
    with pytest.raises(Rejected) as refusal:
        traced(text)
    assert refusal.value.reason is TraceReason.NOT_FOUND


def test_trace__beginning_shorter_than_six__is_not_taken() -> None:
    payment = lived().payments()["cp-0001 reconciled"]
    with pytest.raises(Rejected):
        traced(payment[:7])
    assert traced(payment[:8])["id"] == payment


def test_trace__rejected_evidence__says_why_it_was_rejected() -> None:
    rail = lived()
    with rail.store.read() as session:
        body = rejections.newest(session, "signature_forged", None, 1)[0].body
    with pytest.raises(Rejected) as refusal:
        traced(sha256(body).hexdigest())
    assert refusal.value.reason is TraceReason.NOT_FOUND
    assert "signature_forged" in refusal.value.detail


def test_trace__claim_without_quorum__is_shown_as_far_as_it_came() -> None:
    life = traced(lived().payments()["meter-0001 verified"])["life"]
    assert life["claim"] is not None
    assert (life["attestation"], life["settlement"], life["payout"]) == (None, None, None)
    assert "utility-a is down" in life["reason"]


def test_trace__refused_by_the_contract__shows_the_settlement_and_the_reason() -> None:
    life = traced(lived().payments()["cp-0002 waiting_for_funds"])["life"]
    assert life["settlement"]["refusal"] == "escrow_short"
    assert life["ledger"] == []
