"""A partner follows its own ids, and learns nothing of others' devices or of whole payouts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.views.partner_trace import partner_trace
from orchestrator.views.trace import trace
from tests.support.small_rail import has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


def traced(identity: str) -> dict[str, Any]:
    with lived().store.read() as session:
        return trace(session, identity)


def own(device: str) -> bool:
    return device == "cp-0001"


def test_payment__of_an_own_device__is_shown_without_the_payout_of_all() -> None:
    whole = traced(lived().payments()["cp-0001 reconciled"])
    view = partner_trace(whole, own)
    assert view["life"]["settlement"] == whole["life"]["settlement"]
    assert set(view["life"]["payout"]) == {"payout_id", "stage", "ordered_at"}
    assert {entry["kind"] for entry in view["life"]["ledger"]} == {"settled"}
    assert whole["life"]["payout"]["end_to_end_id"] not in json.dumps(view)


@pytest.mark.parametrize("kind", ["payment", "evidence", "agreement"])
def test_ids__of_another_partners_device__lead_nowhere(kind: str) -> None:
    life = traced(lived().payments()["cp-0001 reconciled"])["life"]
    identity = {
        "payment": life["payment_id"],
        "evidence": life["events"][0]["evidence"],
        "agreement": life["agreement"]["agreement_id"],
    }[kind]
    assert partner_trace(traced(identity), own) is not None
    assert partner_trace(traced(identity), lambda device: device == "cp-0002") is None


@pytest.mark.parametrize("name", ["settlement", "payout", "batch"])
def test_ids__that_hold_payments_of_several_partners__lead_nowhere(name: str) -> None:
    life = traced(lived().payments()["cp-0001 reconciled"])["life"]
    identity = {
        "settlement": life["settlement"]["transaction"],
        "payout": life["payout"]["payout_id"],
        "batch": life["attestation"]["batch"],
    }[name]
    assert partner_trace(traced(identity), own) is None


def test_device__with_payments_of_others_too__counts_its_own_alone() -> None:
    view = partner_trace(traced("cp-0001"), own)
    assert view["about"]["name"] == "cp-0001"
    assert view["totals"]["payments"] == len(view["payments"]) > 0
    mixed = traced("cp-0001") | {"payments": [*view["payments"], {"device": "x", "amount": "1"}]}
    assert partner_trace(mixed, own)["payments"] == view["payments"]
