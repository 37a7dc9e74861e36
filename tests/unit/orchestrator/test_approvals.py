"""Four eyes: two different officers sign the whole content, and a changed row moves nothing."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest
from typer.testing import CliRunner

from device_adapters.types import Rejected
from oracles.attest import address_of, recover, sign
from orchestrator import approvals, cli
from orchestrator.core.approval import APPROVE, PROPOSE, Approval, ApprovalReason
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import Account, encode_typed_data
from orchestrator.edges.store import Store
from orchestrator.edges.store import approvals as rows
from orchestrator.errors import Halt

CHAIN = 31337
ADA, BEN, EVE = (bytes([n]) * 32 for n in (1, 2, 3))
PAY = Approval("release_payout", "0x" + "ab" * 32, {"cents": 5, "account": "DE00"}, 1_000)


@pytest.fixture
def store(tmp_path):
    empty = Store(tmp_path / "rail.sqlite3")
    for name, key in (("ada", ADA), ("ben", BEN)):
        assert approvals.found_officer(empty, address_of(key), name, 10)
    yield empty
    empty.close()


def reason(call, *arguments) -> str:
    with pytest.raises(Rejected) as refusal:
        call(*arguments)
    return refusal.value.reason


def ready(store, kind=PAY.kind):
    with store.write() as session:
        return approvals.ready(session, CHAIN, kind)


def test_approval__proposed_and_approved_by_two__is_ready_until_executed(store):
    identity = approvals.propose(store, CHAIN, PAY, ADA)
    assert ready(store) == []
    assert approvals.approve(store, CHAIN, identity, BEN, 2_000) == PAY
    assert ready(store) == [(identity, PAY)] and ready(store, "another") == []
    with store.write() as session:
        rows.mark_executed(session, identity, 3_000)
    assert ready(store) == []


def test_approval__approved_by_its_proposer_a_stranger_or_twice__is_not(store):
    identity = approvals.propose(store, CHAIN, PAY, ADA)
    approve = approvals.approve
    assert reason(approve, store, CHAIN, identity, ADA, 1) == ApprovalReason.SAME_OFFICER
    assert reason(approve, store, CHAIN, identity, EVE, 1) == ApprovalReason.NOT_AN_OFFICER
    # a signature for another chain recovers to somebody else
    assert reason(approve, store, 1, identity, BEN, 1) == ApprovalReason.NOT_AN_OFFICER
    approve(store, CHAIN, identity, BEN, 1)
    assert reason(approve, store, CHAIN, identity, BEN, 2) == ApprovalReason.APPROVAL_APPROVED
    assert reason(approve, store, CHAIN, "0x00", BEN, 2) == ApprovalReason.APPROVAL_UNKNOWN


def test_approval__a_proposal_signature_as_approval__does_not_count(store):
    identity = approvals.propose(store, CHAIN, PAY, ADA)
    signed = "0x" + sign(PAY.digest(PROPOSE, CHAIN), BEN).hex()
    refusal = reason(approvals.approve_signed, store, CHAIN, identity, signed, 1)
    assert refusal == ApprovalReason.NOT_AN_OFFICER


def test_approval__by_a_stranger_or_about_an_open_subject__is_not_proposed(store):
    assert reason(approvals.propose, store, CHAIN, PAY, EVE) == ApprovalReason.NOT_AN_OFFICER
    identity = approvals.propose(store, CHAIN, PAY, ADA)
    assert approvals.propose(store, CHAIN, PAY, ADA) == identity  # the same again is the same
    later = Approval(PAY.kind, PAY.subject, PAY.detail, 1_001)
    assert reason(approvals.propose, store, CHAIN, later, BEN) == ApprovalReason.APPROVAL_OPEN


@pytest.mark.parametrize(
    "change",
    [
        'detail = \'{"account":"DE00","cents":500}\'',
        "subject = '0xcd'",
        "proposed_at = 5",
        "kind = 'release_payout '",
        "approver_signature = proposer_signature",
        "proposer_signature = approver_signature",
        "approval_id = '0x01'",  # a second life of what was executed
    ],
)
def test_approval__changed_in_the_store__halts_instead_of_moving_money(store, change):
    approvals.approve(store, CHAIN, approvals.propose(store, CHAIN, PAY, ADA), BEN, 2_000)
    with sqlite3.connect(store.path) as database:
        database.execute(f"UPDATE approval SET {change}")
    with pytest.raises(Halt, match="does not hold"):
        ready(store, "release_payout " if "kind" in change else PAY.kind)


def test_approval__of_an_officer_who_left_since__still_holds_and_signs_no_more(store):
    approvals.approve(store, CHAIN, approvals.propose(store, CHAIN, PAY, ADA), BEN, 2_000)
    gone = Approval(approvals.REMOVE_OFFICER, address_of(BEN), {"name": "ben"}, 2_001)
    new = Approval(approvals.ADD_OFFICER, address_of(EVE), {"name": "eve"}, 2_001)
    for officer in (new, gone):
        approvals.approve(store, CHAIN, approvals.propose(store, CHAIN, officer, ADA), BEN, 2_002)
    assert len(ready(store)) == 1
    later = Approval(PAY.kind, "0xdd", {}, 2_003)
    identity = approvals.propose(store, CHAIN, later, ADA)
    refused = reason(approvals.approve, store, CHAIN, identity, BEN, 2_004)
    assert refused == ApprovalReason.NOT_AN_OFFICER
    approvals.approve(store, CHAIN, identity, EVE, 2_005)
    assert len(ready(store)) == 2


def test_office__two_founders__a_third_needs_a_approval(store):
    assert not approvals.found_officer(store, address_of(EVE), "eve", 11)
    assert approvals.found_officer(store, address_of(ADA), "ada", 12)  # again: nothing changes
    with store.read() as session:
        assert sorted(rows.officers(session).values()) == ["ada", "ben"]


def test_typed_data__as_a_wallet_signs_it__is_the_same_digest():
    wallet = Account.from_key(BEN)
    for step in (PROPOSE, APPROVE):
        message = encode_typed_data(full_message=PAY.typed_data(step, CHAIN))
        signature = bytes(wallet.sign_message(message).signature)
        assert recover(PAY.digest(step, CHAIN), signature) == wallet.address


# --- the commands


@pytest.fixture
def run(tmp_path):
    Store(tmp_path / "proofrail.sqlite3").close()
    Deployment(CHAIN, "0x0", {}, {}, True).save(tmp_path / "deployment.json")

    def call(*arguments: str, code: int = 0):
        answer = CliRunner().invoke(cli.app, ["--home", str(tmp_path), *arguments, "--json"])
        assert answer.exit_code == code, answer.output
        return json.loads(answer.stdout)

    return call


def test_commands__officers_and_a_approval__from_founding_to_a_third(run):
    for name in ("Ada", "Ben"):
        assert run("officer", "add", name)["seated"]
    assert "needs an approval" in run("officer", "add", "Eve", code=2)["error"]["message"]
    identity = run("officer", "add", "Eve", "--as", "Ada")["approval"]
    refused = run("approval", "approve", identity, "--as", "Ada", code=2)["error"]
    assert refused["code"] == "same_officer"
    (listed,) = run("approval", "list")
    assert listed["stage"] == "proposed" and listed["proposed_by"] == "Ada"
    assert run("approval", "show", identity[:12])["detail"] == {"name": "Eve"}
    assert run("approval", "approve", identity[:12], "--as", "Ben")["approved"]
    assert [o["name"] for o in run("officer", "list")] == ["Ada", "Ben", "Eve"]
    assert run("approval", "list") == []
    (listed,) = run("approval", "list", "--all")
    assert listed["stage"] == "executed" and listed["approved_at"] <= time.time()


def test_commands__an_officer_whose_key_is_elsewhere__signs_there(run):
    wallet = Account.from_key(BEN)
    run("officer", "add", "Ada")
    run("officer", "add", "Ben", "--address", wallet.address.lower())
    identity = run("officer", "remove", "Ada", "--as", "Ada")["approval"]
    refused = run("approval", "approve", identity, "--as", "Ben", code=2)["error"]
    assert "--typed-data" in refused["message"]
    document = run("approval", "show", identity, "--typed-data")
    signed = wallet.sign_message(encode_typed_data(full_message=document)).signature.hex()
    assert run("approval", "approve", identity, "--signature", "0x" + signed)["approved"]
    former = next(o for o in run("officer", "list") if o["name"] == "Ada")
    assert former["removed_at"]


def test_officer__removed_by_an_address_in_small_letters__signs_no_more(store):
    gone = Approval(approvals.REMOVE_OFFICER, address_of(BEN).lower(), {"name": "ben"}, 1)
    identity = approvals.propose(store, CHAIN, gone, ADA)
    approvals.approve(store, CHAIN, identity, BEN, 2_000)
    assert reason(approvals.propose, store, CHAIN, PAY, BEN) == ApprovalReason.NOT_AN_OFFICER


def test_approval__approved_and_no_longer_true__blocks_nothing(store):
    identity = approvals.propose(store, CHAIN, PAY, ADA)
    other = Approval(PAY.kind, PAY.subject, {"cents": 6, "account": "DE00"}, 1_001)
    assert reason(approvals.propose, store, CHAIN, other, ADA) == ApprovalReason.APPROVAL_OPEN
    approvals.approve(store, CHAIN, identity, BEN, 2_000)
    again = Approval(PAY.kind, PAY.subject, PAY.detail, 1_002)
    assert reason(approvals.propose, store, CHAIN, again, ADA) == ApprovalReason.APPROVAL_OPEN
    assert approvals.propose(store, CHAIN, other, ADA) == other.approval_id
