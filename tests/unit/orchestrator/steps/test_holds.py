"""Held payments on a real chain: who stops one, what stands still, and how it goes on or ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_adapters.types import Rejected
from oracles.attest import sign
from orchestrator import approvals as four_eyes
from orchestrator.core.hold import (
    HELD_AND_REJECTED,
    HOLD,
    KIND,
    HoldDecision,
    HoldReason,
    hold_document,
)
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.store import agreements, approvals, evidence, holds, payments, sends
from orchestrator.errors import Halt
from orchestrator.rebuild import rebuild
from orchestrator.steps import settle as settle_step
from orchestrator.steps.follow import follow
from orchestrator.steps.holds import decide_holds
from orchestrator.steps.settle import settle
from orchestrator.views.payment import life
from tests.support.held_rail import WHY, HeldRail
from tests.support.officers import seated_keys
from tests.support.small_rail import START, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldRail]:
    rail = HeldRail(Path(tmp_path_factory.mktemp("rail")) / "home").start()
    rail.work(2)
    rail.clock = START + 100_000
    yield rail
    rail.stop()


def facts_of(rail: HeldRail, name: str) -> list[str]:
    with rail.store.read() as session:
        return [str(f.fact) for f in payments.facts_of(session, rail.payment(name).payment_id)]


def life_of(rail: HeldRail, name: str) -> dict:
    row = rail.payment(name)
    with rail.store.read() as session:
        return life(session, row, agreements.get(session, row.agreement_id))


@pytest.mark.parametrize("stage", ["received", "verified", "attested", "waiting_for_funds"])
def test_hold__at_each_stage_before_settlement__stops_it_and_then_it_goes_on(rail, stage):
    name = f"stop-{stage[:8]}"
    rail.bring_to(name, stage)
    before = rail.payment(name)
    placed = rail.hold(name)
    assert (placed.stage, placed.claim_hash) == (stage, before.claim_hash)
    rail.charge(name, "7")
    rail.work(6)
    held = rail.payment(name)
    assert (held.stage, held.next_step, held.sequence) == (Stage.HELD, None, 1)
    assert held.reason == f"held: {WHY}"
    assert rail.rail.memory is not None and held.settlement_tx == before.settlement_tx
    if stage == "waiting_for_funds":  # the money comes while it is held
        rail.fund(name, 20_000)
        rail.work(6)
        assert rail.payment(name).stage == Stage.HELD
    approval = rail.decide(name, HoldDecision.CONTINUE)
    rail.work(1)
    assert rail.payment(name).reason != f"held: {WHY}"
    rail.work(10)
    first = rail.chain.view("PaymentRail", "agreementState", rail.agreements[name])
    assert first[0] == 2, "both claims are settled, in order"
    with rail.store.read() as session:
        one = agreements.payment_at(session, rail.agreements[name], 1)
        row = approvals.get(session, approval)
        [ended] = holds.of_payment(session, one.payment_id)
        again = [f.fact for f in payments.facts_of(session, one.payment_id)]
    assert one.amount_micro == 5 * 300_000 and before.claim_hash in ("", one.claim_hash)
    assert (ended.decision, ended.approval_id) == ("continue", approval) and row.executed_at
    assert [fact for fact in again if fact in ("held", "continued")] == ["held", "continued"]


def test_hold__of_what_is_sent_settled_held_or_ended__is_refused_by_name(rail):
    rail.bring_to("late-1", "attested")
    assert settle(rail.rail) == 1  # signed and sent, in no block yet

    def refusal() -> str:
        before = rail.payment("late-1")
        with pytest.raises(Rejected) as caught:
            rail.hold("late-1")
        assert rail.payment("late-1") == before
        return caught.value.reason

    assert refusal() is HoldReason.SETTLEMENT_SENT
    rail.until("late-1", "posted")
    assert refusal() is HoldReason.ALREADY_SETTLED
    rail.bring_to("late-2", "verified")
    rail.hold("late-2")
    with pytest.raises(Rejected) as caught:
        rail.hold("late-2")
    assert caught.value.reason is HoldReason.ALREADY_HELD
    rail.decide("late-2", HoldDecision.REJECT)
    rail.work(1)
    with pytest.raises(Rejected) as caught:
        rail.hold("late-2")
    assert caught.value.reason is HoldReason.ALREADY_ENDED


def test_race__held_while_the_settlement_is_prepared__is_not_sent(rail, monkeypatch):
    rail.bring_to("race-1", "attested")
    digest, quote = rail.payment("race-1").batch_digest, settle_step.quote_with_anchor

    def slow_node(context, call):
        rail.hold("race-1")  # another process, between reading the batch and signing it
        return quote(context, call)

    monkeypatch.setattr(settle_step, "quote_with_anchor", slow_node)
    assert settle(rail.rail) == 0
    monkeypatch.undo()
    with rail.store.read() as session:
        assert sends.open_send(session, "settle", digest) is None
    rail.work(4)
    assert rail.payment("race-1").stage == Stage.HELD
    assert rail.chain.view("PaymentRail", "agreementState", rail.agreements["race-1"])[0] == 0


def test_race__held_after_the_settlement_is_signed__is_refused_and_settles(rail):
    rail.bring_to("race-2", "attested")
    assert settle(rail.rail) == 1
    with pytest.raises(Rejected, match="is signed"):
        rail.hold("race-2")
    rail.until("race-2", "posted")
    with rail.store.read() as session:
        assert not holds.of_payment(session, rail.payment("race-2").payment_id)


def test_decision__of_one_officer_or_about_another_hold__moves_nothing(rail):
    rail.bring_to("four-1", "verified")
    rail.hold("four-1")
    rail.decide("four-1", HoldDecision.CONTINUE, approve=False)
    rail.work(2)
    assert rail.payment("four-1").stage == Stage.HELD
    row = rail.payment("four-1")
    with rail.store.read() as session:
        [proposal] = approvals.about(session, KIND, row.payment_id)
    four_eyes.approve(rail.store, rail.office(), proposal.approval_id, seated_keys()[1])
    rail.work(1)
    assert rail.payment("four-1").stage != Stage.HELD
    rail.bring_to("four-2", "verified")
    earlier = rail.hold("four-2").held_at
    rail.clock += 5
    rail.decide("four-2", HoldDecision.CONTINUE, held_at=earlier - 1)
    rail.work(2)
    assert rail.payment("four-2").stage == Stage.HELD


def test_decision__claim_changed_in_the_store_since__halts_and_keeps_the_hold(rail):
    rail.bring_to("edit-1", "verified")
    rail.hold("edit-1")
    rail.decide("edit-1", HoldDecision.CONTINUE)
    honest = rail.payment("edit-1").claim_hash

    def write(claim: str) -> None:
        with rail.store.write() as session:
            row = session.get(payments.PaymentRow, rail.payment("edit-1").payment_id)
            row.claim_hash = claim
            session.add(row)

    write("0x" + "66" * 32)
    with pytest.raises(Halt, match="stays held"):
        decide_holds(rail.rail)
    assert rail.payment("edit-1").stage == Stage.HELD
    write(honest)
    assert decide_holds(rail.rail) == 1


def test_reject__then_skipped_by_payer_and_payee__the_agreement_goes_on_behind_its_records(rail):
    rail.bring_to("over-1", "attested")
    rail.hold("over-1")
    rail.charge("over-1", "7")
    approval = rail.decide("over-1", HoldDecision.REJECT)
    rail.work(6)
    rejected = rail.payment("over-1")
    assert (rejected.stage, rejected.reason) == (Stage.REJECTED, HELD_AND_REJECTED)
    assert rejected.sequence == 1, "nothing follows before the skip"
    [view] = life_of(rail, "over-1")["holds"]
    assert "agreement skip" in view["next"] and view["approval"] == approval
    records = [e["event_id"] for e in life_of(rail, "over-1")["events"]]
    assert records, "its records stay as evidence"
    rail.skip("over-1")
    rail.work(12, 20)
    with rail.store.read() as session:
        one, two = (
            agreements.payment_at(session, rail.agreements["over-1"], number) for number in (1, 2)
        )
        kept = evidence.event_ids(session, one.payment_id)
    assert (one.stage, one.amount_micro) == (Stage.SKIPPED, 0) and list(kept) == records
    assert two.amount_micro == 7 * 300_000 and two.stage in (Stage.POSTED, Stage.PAID_OUT)
    result = rebuild(rail.store, rail.chain)
    assert result.same, result.differences


@pytest.mark.parametrize("decision", [None, HoldDecision.REJECT])
def test_stranger__settles_what_is_held_and_the_block_goes__the_hold_stands_again(rail, decision):
    name = f"alien-{decision or 'held'}"
    rail.bring_to(name, "attested")
    call = rail.settle_call(name)  # with signatures that somebody copied in time
    rail.hold(name)
    if decision:
        rail.decide(name, decision)
        rail.work(1)
    stage, reason = rail.payment(name).stage, rail.payment(name).reason
    snapshot = rail.testnet.rpc("evm_snapshot")
    rail.send(20, call)
    follow(rail.rail)
    assert rail.payment(name).stage == Stage.SETTLED, "the chain decides"
    assert rail.testnet.rpc("evm_revert", snapshot)
    rail.mine(7)
    rail.mine(7)
    for _ in range(4):
        follow(rail.rail)
    assert (rail.payment(name).stage, rail.payment(name).reason) == (stage, reason)
    assert Fact.ORPHANED in facts_of(rail, name)
    rail.work(4)
    assert rail.payment(name).stage == stage


def test_hold__signed_by_an_officer__rebuild_checks_the_signature_and_the_decision(rail):
    rail.bring_to("book-1", "verified")
    row, key, now = rail.payment("book-1"), seated_keys()[0], rail.clock
    document = hold_document(row.payment_id, row.claim_hash, WHY, now)
    office = rail.office()
    signature = "0x" + sign(document.digest(HOLD, office.chain_id), key).hex()
    officer = document.signer(HOLD, office.chain_id, signature, office.officers)
    with rail.store.write() as session:
        fresh = session.get(payments.PaymentRow, row.payment_id)
        holder = holds.PaymentHolder(officer, signature=signature, claim_hash=row.claim_hash)
        holds.place(session, fresh, holder, WHY, now)
    rail.work(3)
    assert rebuild(rail.store, rail.chain).same

    def change(**columns: object) -> list[str]:
        with rail.store.write() as session:
            stored = holds.of_payment(session, row.payment_id)[-1]
            before = {column: getattr(stored, column) for column in columns}
            for column, value in columns.items():
                setattr(stored, column, value)
            session.add(stored)
        differences = [str(d.what) for d in rebuild(rail.store, rail.chain).differences]
        with rail.store.write() as session:
            stored = holds.of_payment(session, row.payment_id)[-1]
            for column, value in before.items():
                setattr(stored, column, value)
            session.add(stored)
        return differences

    assert any("no officer signed" in text for text in change(reason="another reason"))
    forged = change(decision="continue", decided_at=now, approval_id="0x00")
    assert any("no executed approval" in text for text in forged)
    assert any("nobody holds it" in text for text in forged)
    assert rebuild(rail.store, rail.chain).same
