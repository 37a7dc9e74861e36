"""Holds: which payment may be stopped, what a reason is, and what officers sign."""

from __future__ import annotations

import pytest

from device_adapters.types import Rejected
from oracles.attest import address_of, sign
from orchestrator.core.approval import APPROVE, PROPOSE
from orchestrator.core.hold import (
    HOLD,
    HoldDecision,
    HoldReason,
    checked_reason,
    decision_document,
    hold_document,
    require_holdable,
)
from orchestrator.core.payment import Stage

KEY, CHAIN_ID = b"\x07" * 32, 31337
ANSWERS = {
    **dict.fromkeys(("received", "verified", "attested", "waiting_for_funds"), None),
    "held": HoldReason.ALREADY_HELD,
    **dict.fromkeys(("rejected", "refused", "expired", "skipped"), HoldReason.ALREADY_ENDED),
    **dict.fromkeys(
        ("settled", "posted", "paid_out", "booked", "reconciled", "disputed", "refunded"),
        HoldReason.ALREADY_SETTLED,
    ),
}


def refusal(*arguments: object) -> Rejected | None:
    try:
        require_holdable(*arguments)
    except Rejected as refused:
        return refused
    return None


def test_holdable__each_stage__is_answered_as_written_down() -> None:
    assert set(ANSWERS) == set(Stage)
    for stage, reason in ANSWERS.items():
        refused = refusal("0x01", Stage(stage), False)
        assert (refused and refused.reason) == reason, stage


def test_holdable__settled_or_being_sent__points_to_what_is_left() -> None:
    for refused in (
        refusal("0x01", Stage.POSTED, False),
        refusal("0x01", Stage.ATTESTED, True),
    ):
        assert "payment dispute" in refused.detail and "payout" in refused.detail
    assert refusal("0x01", Stage.ATTESTED, True).reason is HoldReason.SETTLEMENT_SENT


@pytest.mark.parametrize("text", ["a", "x" * 200, "Zähler geöffnet, 12. Mai"])
def test_reason__printable__is_kept_as_it_is(text: str) -> None:
    assert checked_reason(text) == text


@pytest.mark.parametrize("text", ["", " ", "x" * 201, "a\nb", "a\x1b[2J", "\u202eabc", "a\x00"])
def test_reason__empty_long_or_unprintable__is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        checked_reason(text)
    assert caught.value.reason is HoldReason.REASON_MALFORMED


def test_hold__signed__passes_for_no_proposal_and_no_approval() -> None:
    document, officers = hold_document("0x01", "0xc1", "why", 7), {address_of(KEY)}
    signature = sign(document.digest(HOLD, CHAIN_ID), KEY).hex()
    assert document.signer(HOLD, CHAIN_ID, signature, officers) == address_of(KEY)
    for step in (PROPOSE, APPROVE):
        with pytest.raises(Rejected):
            document.signer(step, CHAIN_ID, signature, officers)


def test_documents__any_part_that_differs__have_another_digest() -> None:
    decisions = [
        decision_document("0x01", "0xc1", 5, HoldDecision.CONTINUE, "why", 7),
        decision_document("0x02", "0xc1", 5, HoldDecision.CONTINUE, "why", 7),
        decision_document("0x01", "0xc2", 5, HoldDecision.CONTINUE, "why", 7),
        decision_document("0x01", "0xc1", 6, HoldDecision.CONTINUE, "why", 7),
        decision_document("0x01", "0xc1", 5, HoldDecision.REJECT, "why", 7),
        decision_document("0x01", "0xc1", 5, HoldDecision.CONTINUE, "because", 7),
        hold_document("0x01", "0xc1", "why", 7),
    ]
    assert len({document.approval_id for document in decisions}) == len(decisions)
