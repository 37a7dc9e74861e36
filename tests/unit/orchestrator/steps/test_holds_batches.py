"""A hold within a batch: its neighbours go on without it, whichever step is at work meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device_adapters.types import Rejected
from oracles.types import ClaimReason
from orchestrator.core.hold import HoldDecision, HoldReason
from orchestrator.core.payment import Stage
from orchestrator.edges.store import holds, payments
from orchestrator.errors import Retry
from orchestrator.steps import attest as attest_step
from orchestrator.steps import collect as collect_step
from orchestrator.steps.attest import attest
from orchestrator.steps.collect import collect, verify
from tests.support.bare_rail import BareRail, agreement_of

A, B, C = "cp-0001", "cp-0002", "cp-0003"


@pytest.fixture
def bare(tmp_path):
    bare_rail = BareRail(tmp_path)
    yield bare_rail
    bare_rail.close()


def hold(bare: BareRail, name: str) -> None:
    bare.place.clock += 1
    with bare.place.store.write() as session:
        row = session.get(payments.PaymentRow, bare.payment(name).payment_id)
        holds.place(session, row, holds.PaymentHolder("0xpayer", "key"), "why", bare.place.clock)


def go_on(bare: BareRail, name: str, approval: str = "0xapproval") -> None:
    with bare.place.store.write() as session:
        standing = holds.open_hold(session, bare.payment(name).payment_id)
        holds.end(session, standing, HoldDecision.CONTINUE, approval, "fine", bare.place.clock)


def refuse_all(bare: BareRail) -> None:
    """Let every oracle refuse the claim of the first device for good."""
    for number, oracle in enumerate(bare.oracles):
        says = {agreement_of(A): ClaimReason.CLAIM_DIFFERS}
        bare.oracles[number] = replace(oracle, says=says)


def claims_in(bare: BareRail, digest: str) -> list[str]:
    with bare.place.store.read() as session:
        return [row.payment_id for row, _ in payments.of_batch(session, digest)]


def test_hold__one_of_an_attested_batch__the_others_are_attested_again_without_it(bare):
    bare.claims(A, B, C)
    assert attest(bare.rail) == 3
    signed = bare.payment(A).batch_digest
    hold(bare, B)
    assert bare.stages(A, B, C) == ["verified", "held", "verified"]
    assert bare.payment(B).batch_digest is None
    assert attest(bare.rail) == 2
    again = bare.payment(A).batch_digest
    assert again == bare.payment(C).batch_digest != signed
    assert set(claims_in(bare, again)) == {bare.payment(name).payment_id for name in (A, C)}
    assert claims_in(bare, signed) == [], "nothing sends the batch that holds it"


def test_hold__while_the_oracles_are_asked__their_signatures_are_not_kept(bare, monkeypatch):
    bare.claims(A, B)
    ask = attest_step._ask

    def slow(*arguments):
        round_ = ask(*arguments)
        if bare.payment(B).stage == Stage.VERIFIED:
            hold(bare, B)
        return round_

    monkeypatch.setattr(attest_step, "_ask", slow)
    assert attest(bare.rail) == 0
    assert bare.stages(A, B) == ["verified", "held"]
    assert bare.payment(A).batch_digest is None
    monkeypatch.undo()
    assert attest(bare.rail) == 1 and bare.stages(A, B) == ["attested", "held"]
    go_on(bare, B)
    assert attest(bare.rail) == 1 and bare.stages(A, B) == ["attested", "attested"]


def test_hold__while_the_oracles_refuse__it_is_not_rejected_and_is_asked_again(bare, monkeypatch):
    bare.claims(A)
    refuse_all(bare)
    ask = attest_step._ask

    def slow(*arguments):
        round_ = ask(*arguments)
        hold(bare, A)
        return round_

    monkeypatch.setattr(attest_step, "_ask", slow)
    assert attest(bare.rail) == 0 and bare.stages(A) == ["held"]
    assert bare.payment(A).reason == "held: why"
    monkeypatch.undo()
    go_on(bare, A)
    assert attest(bare.rail) == 0 and bare.stages(A) == ["rejected"]


def test_hold__while_no_quorum_answers__keeps_its_reason(bare, monkeypatch):
    bare.claims(A, B)
    for number, oracle in enumerate(bare.oracles):
        bare.oracles[number] = replace(oracle, how="down")
    ask = attest_step._ask

    def slow(*arguments):
        hold(bare, B)
        return ask(*arguments)

    monkeypatch.setattr(attest_step, "_ask", slow)
    assert attest(bare.rail) == 0
    waiting, held = bare.payment(A), bare.payment(B)
    assert "is down" in waiting.reason and waiting.attempts == 1
    assert (held.reason, held.attempts, held.due_at) == ("held: why", 0, 0)


def test_hold__signed_for_another_claim__is_refused_and_changes_nothing(bare):
    bare.claims(A)
    with bare.place.store.write() as session:
        row = session.get(payments.PaymentRow, bare.payment(A).payment_id)
        holder = holds.PaymentHolder("0xofficer", signature="0x01", claim_hash="")
        with pytest.raises(Rejected) as caught:
            holds.place(session, row, holder, "why", bare.place.clock)
    assert caught.value.reason is HoldReason.CLAIM_CHANGED and bare.stages(A) == ["verified"]


def test_hold__within_the_second_of_the_one_before__is_to_be_tried_again(bare):
    bare.claims(A)
    hold(bare, A)
    go_on(bare, A)
    bare.place.clock -= 1
    with pytest.raises(Retry, match="in this second"):
        hold(bare, A)
    assert bare.stages(A) == ["verified"]


def test_hold__while_the_claim_is_derived__it_is_derived_when_it_goes_on(bare, monkeypatch):
    device = bare.place.fleet[A]
    assert bare.place.answers(device.make_records(1)[0]) == ["accepted"]
    assert collect(bare.rail) == 1
    derive = collect_step.claim_of

    def slow(*arguments):
        claim = derive(*arguments)
        hold(bare, A)
        return claim

    monkeypatch.setattr(collect_step, "claim_of", slow)
    assert verify(bare.rail) == 0
    assert (bare.stages(A), bare.payment(A).claim_hash) == (["held"], "")
    monkeypatch.undo()
    go_on(bare, A)
    assert bare.stages(A) == ["received"]
    assert verify(bare.rail) == 1 and bare.payment(A).claim_hash
    assert attest(bare.rail) == 1


def test_hold__twice__each_one_is_kept_and_the_claim_stays(bare):
    bare.claims(A)
    claim = bare.payment(A).claim_hash
    for number in (1, 2):
        hold(bare, A)
        assert bare.stages(A) == ["held"]
        go_on(bare, A, f"0xapproval{number}")
        assert (bare.stages(A), bare.payment(A).claim_hash) == (["verified"], claim)
    with bare.place.store.read() as session:
        rows = holds.of_payment(session, bare.payment(A).payment_id)
    assert [row.approval_id for row in rows] == ["0xapproval1", "0xapproval2"]
    assert attest(bare.rail) == 1
