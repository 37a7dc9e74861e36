"""Held payments on a real chain: who stops one, what stands still, and how it goes on or ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from device_adapters.types import Message, Rejected
from oracles.attest import sign
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.types import ClaimReason, Progress
from orchestrator import approvals as four_eyes
from orchestrator.core.hold import (
    HELD_AND_REJECTED,
    HOLD,
    KIND,
    HoldDecision,
    HoldReason,
    decision_document,
    hold_document,
)
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.sender import Sender, send_in_turn
from orchestrator.edges.store import agreements, approvals, evidence, holds, payments, sends
from orchestrator.edges.store.tables import HoldRow
from orchestrator.errors import Halt
from orchestrator.operations import agreement_calls
from orchestrator.products import deployed
from orchestrator.rebuild import rebuild
from orchestrator.steps import settle as settle_step
from orchestrator.steps.attest import attest, claim_of_row
from orchestrator.steps.collect import collect, verify
from orchestrator.steps.holds import decide_holds
from orchestrator.steps.settle import settle
from orchestrator.views.payment import life
from services.oracle import catch_up
from tests.support.officers import seated_keys
from tests.support.open_rail import OpenRail
from tests.support.small_rail import START, WillingOracle, has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
WHY = "the meter was opened"


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRail]:
    rail = OpenRail(Path(tmp_path_factory.mktemp("rail")) / "home").start()
    rail.work(2)
    rail.clock = START + 100_000
    yield rail
    rail.stop()


def hold(rail: OpenRail, name: str, reason: str = WHY) -> HoldRow:
    """Hold a device's newest payment as its payer, by an API key."""
    rail.clock += 1
    with rail.store.write() as session:
        row = session.get(payments.PaymentRow, rail.payment(name).payment_id)
        holder = holds.Holder(rail.payer.address, key_name="ada")
        return holds.place(session, row, holder, reason, rail.clock)


def decide(
    rail: OpenRail, name: str, decision: HoldDecision, approve: bool = True, **changed: object
) -> str:
    """Let one officer propose and another approve; return the approval's id."""
    row, (first, second) = rail.payment(name), seated_keys()[:2]
    with rail.store.read() as session:
        standing = holds.of_payment(session, row.payment_id)[-1]
    given = {"claim_hash": row.claim_hash, "held_at": standing.held_at, "reason": "looked at it"}
    document = decision_document(
        row.payment_id, decision=decision, now=rail.clock, **(given | changed)
    )
    office = rail.rail.office()
    identity = four_eyes.propose(rail.store, office, document, first)
    if approve:
        four_eyes.approve(rail.store, office, identity, second)
    return identity


def facts_of(rail: OpenRail, name: str) -> list[str]:
    with rail.store.read() as session:
        return [str(f.fact) for f in payments.facts_of(session, rail.payment(name).payment_id)]


def life_of(rail: OpenRail, name: str) -> dict:
    row = rail.payment(name)
    with rail.store.read() as session:
        return life(session, row, agreements.get(session, row.agreement_id))


def skip(rail: OpenRail, name: str) -> None:
    """Payer and payee pass over the claim that the chain expects next."""
    with rail.store.read() as session:
        agreement = agreements.get(session, rail.agreements[name])
    skipped = agreement_calls.claim_to_skip(rail.store, rail.chain, agreement, None)
    document = agreement_calls.document(rail.chain, skipped)
    keys = {"payer": rail.payer, "payee": rail.payee}
    signatures = {party: sign_document(document, key) for party, key in keys.items()}
    sender = Sender(rail.store, rail.chain, rail.rail.sender.account)
    send_in_turn(
        sender, [agreement_calls.skip_call(skipped, signatures)], rail.clock, partial(rail.mine, 1)
    )


def bring_to(rail: OpenRail, name: str, stage: str) -> None:
    """Bring a new payment of 1.50 EUR to a stage before its settlement."""
    rail.join(name, 0 if stage == "waiting_for_funds" else 20_000)
    rail.charge(name, "5")
    if stage == "waiting_for_funds":
        rail.until(name, stage)
        return
    for step in (collect, verify, attest)[: ("received", "verified", "attested").index(stage) + 1]:
        step(rail.rail)
    assert rail.payment(name).stage == stage


@pytest.mark.parametrize("stage", ["received", "verified", "attested", "waiting_for_funds"])
def test_hold__at_each_stage_before_settlement__stops_it_and_then_it_goes_on(rail, stage):
    name = f"stop-{stage[:8]}"
    bring_to(rail, name, stage)
    before = rail.payment(name)
    placed = hold(rail, name)
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
    approval = decide(rail, name, HoldDecision.CONTINUE)
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
    bring_to(rail, "late-1", "attested")
    assert settle(rail.rail) == 1  # signed and sent, in no block yet

    def refusal() -> str:
        before = rail.payment("late-1")
        with pytest.raises(Rejected) as caught:
            hold(rail, "late-1")
        assert rail.payment("late-1") == before
        return caught.value.reason

    assert refusal() is HoldReason.SETTLEMENT_SENT
    rail.until("late-1", "posted")
    assert refusal() is HoldReason.ALREADY_SETTLED
    bring_to(rail, "late-2", "verified")
    hold(rail, "late-2")
    with pytest.raises(Rejected) as caught:
        hold(rail, "late-2")
    assert caught.value.reason is HoldReason.ALREADY_HELD
    decide(rail, "late-2", HoldDecision.REJECT)
    rail.work(1)
    with pytest.raises(Rejected) as caught:
        hold(rail, "late-2")
    assert caught.value.reason is HoldReason.ALREADY_ENDED


def test_race__held_while_the_settlement_is_prepared__is_not_sent(rail, monkeypatch):
    bring_to(rail, "race-1", "attested")
    digest, quote = rail.payment("race-1").batch_digest, settle_step.quote_with_anchor

    def slow_node(context, call):
        hold(rail, "race-1")  # another process, between reading the batch and signing it
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
    bring_to(rail, "race-2", "attested")
    assert settle(rail.rail) == 1
    with pytest.raises(Rejected, match="is signed"):
        hold(rail, "race-2")
    rail.until("race-2", "posted")
    with rail.store.read() as session:
        assert not holds.of_payment(session, rail.payment("race-2").payment_id)


def test_decision__of_one_officer_or_about_another_hold__moves_nothing(rail):
    bring_to(rail, "four-1", "verified")
    hold(rail, "four-1")
    decide(rail, "four-1", HoldDecision.CONTINUE, approve=False)
    rail.work(2)
    assert rail.payment("four-1").stage == Stage.HELD
    row = rail.payment("four-1")
    with rail.store.read() as session:
        [proposal] = approvals.about(session, KIND, row.payment_id)
    four_eyes.approve(rail.store, rail.rail.office(), proposal.approval_id, seated_keys()[1])
    rail.work(1)
    assert rail.payment("four-1").stage != Stage.HELD
    bring_to(rail, "four-2", "verified")
    earlier = hold(rail, "four-2").held_at
    rail.clock += 5
    decide(rail, "four-2", HoldDecision.CONTINUE, held_at=earlier - 1)
    rail.work(2)
    assert rail.payment("four-2").stage == Stage.HELD


def test_decision__claim_changed_in_the_store_since__halts_and_keeps_the_hold(rail):
    bring_to(rail, "edit-1", "verified")
    hold(rail, "edit-1")
    decide(rail, "edit-1", HoldDecision.CONTINUE)
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
    bring_to(rail, "over-1", "attested")
    hold(rail, "over-1")
    rail.charge("over-1", "7")
    approval = decide(rail, "over-1", HoldDecision.REJECT)
    rail.work(6)
    rejected = rail.payment("over-1")
    assert (rejected.stage, rejected.reason) == (Stage.REJECTED, HELD_AND_REJECTED)
    assert rejected.sequence == 1, "nothing follows before the skip"
    [view] = life_of(rail, "over-1")["holds"]
    assert "agreement skip" in view["next"] and view["approval"] == approval
    records = [e["event_id"] for e in life_of(rail, "over-1")["events"]]
    assert records, "its records stay as evidence"
    skip(rail, "over-1")
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


class RealOracle(WillingOracle):
    """The oracle of its key as it runs in a process of its own: rules, memory and chain."""

    nodes: dict[str, OracleNode] = {}

    def ask(self, request):
        return self.nodes[self.name].attest(request)


def real_oracles(rail: OpenRail, folder: Path) -> list[RealOracle]:
    """Put real oracles in the place of the rail's stand-ins."""
    at, oracles = rail.chain.deployment.addresses, []

    def progress(agreement: bytes) -> Progress | None:
        sequence, last, *_, status = rail.chain.view("PaymentRail", "agreementState", agreement)
        return Progress(sequence, last) if status else None

    for stand_in in rail.rail.oracles:
        identity = Identity(
            name=stand_in.name,
            domain=stand_in.domain,
            address=stand_in.address,
            sign=partial(sign, private_key=stand_in.key),
            chain_id=rail.chain.deployment.chain_id,
            committee=at["OracleCommittee"],
            rail=at["PaymentRail"],
        )
        registry = rail.rail.registry
        view = OracleView(registry, registry, progress, deployed(at))
        (folder / stand_in.name).mkdir()
        node = OracleNode(identity, view, Memory(folder / stand_in.name / "oracle.sqlite3"))
        RealOracle.nodes[stand_in.name] = node
        fields = {n: getattr(stand_in, n) for n in stand_in.__dataclass_fields__}
        oracles.append(RealOracle(**fields | {"down": False}))
    return oracles


def test_reject__of_what_real_oracles_attested__only_a_skip_lets_the_agreement_go_on(
    rail, tmp_path, monkeypatch
):
    """Oracles sign one claim for a sequence: the same one again after a hold, no other ever."""
    monkeypatch.setattr(rail, "rail", replace(rail.rail, oracles=real_oracles(rail, tmp_path)))
    monkeypatch.setattr(rail.worker, "context", rail.rail)
    bring_to(rail, "real-1", "attested")
    first = claim_of_row(rail.payment("real-1"))
    hold(rail, "real-1")
    decide(rail, "real-1", HoldDecision.CONTINUE)
    assert decide_holds(rail.rail) == attest(rail.rail) == 1  # they sign the same claim again
    hold(rail, "real-1")
    rail.charge("real-1", "7")
    decide(rail, "real-1", HoldDecision.REJECT)
    assert decide_holds(rail.rail) == 1
    node = RealOracle.nodes["auditor"]
    other = replace(first, last_counter=first.last_counter + 2, evidence=b"\x01" * 32)
    answer = node.attest(_request(rail, other))
    assert answer.signature is None
    assert ClaimReason.ALREADY_ATTESTED_OTHERWISE in {r.reason for r in answer.refusals}
    rail.work(3)
    assert rail.payment("real-1").sequence == 1
    skip(rail, "real-1")
    for _ in range(8):
        rail.work(1, 10)
        for oracle in RealOracle.nodes.values():
            catch_up(rail.chain, oracle._memory)
    second = rail.payment("real-1")
    assert (second.sequence, second.amount_micro) == (2, 7 * 300_000), second


def _request(rail: OpenRail, claim):
    from oracles.wire import Request

    row = rail.payment("real-1")
    with rail.store.read() as session:
        records = evidence.records_of(session, row.payment_id)
    messages = tuple(Message(r.protocol, "", r.body, source="http") for r in records)
    return Request("metered_energy", (claim,), evidence=messages)


@pytest.mark.parametrize("decision", [None, HoldDecision.REJECT])
def test_stranger__settles_what_is_held_and_the_block_goes__the_hold_stands_again(rail, decision):
    name = f"alien-{decision or 'held'}"
    bring_to(rail, name, "attested")
    call = rail.settle_call(name)  # with signatures that somebody copied in time
    hold(rail, name)
    if decision:
        decide(rail, name, decision)
        rail.work(1)
    stage, reason = rail.payment(name).stage, rail.payment(name).reason
    snapshot = rail.testnet.rpc("evm_snapshot")
    rail.send(20, call)
    from orchestrator.steps.follow import follow

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
    bring_to(rail, "book-1", "verified")
    row, key, now = rail.payment("book-1"), seated_keys()[0], rail.clock
    document = hold_document(row.payment_id, row.claim_hash, WHY, now)
    office = rail.rail.office()
    signature = "0x" + sign(document.digest(HOLD, office.chain_id), key).hex()
    officer = document.signer(HOLD, office.chain_id, signature, office.officers)
    with rail.store.write() as session:
        fresh = session.get(payments.PaymentRow, row.payment_id)
        holder = holds.Holder(officer, signature=signature, claim_hash=row.claim_hash)
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
        found_words = [str(d.what) for d in rebuild(rail.store, rail.chain).differences]
        with rail.store.write() as session:
            stored = holds.of_payment(session, row.payment_id)[-1]
            for column, value in before.items():
                setattr(stored, column, value)
            session.add(stored)
        return found_words

    assert any("no officer signed" in text for text in change(reason="another reason"))
    forged = change(decision="continue", decided_at=now, approval_id="0x00")
    assert any("no executed approval" in text for text in forged)
    assert any("nobody holds it" in text for text in forged)
    assert rebuild(rail.store, rail.chain).same
