"""Four eyes: two officers of the chain sign the whole content, and a changed row moves nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from device_adapters.types import Rejected
from oracles.attest import address_of, recover, sign
from orchestrator import approvals, cli
from orchestrator.approvals import approve, propose, withdraw
from orchestrator.core.approval import APPROVE, PROPOSE, WITHDRAW, Approval, ApprovalReason, Office
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.ethereum import Account, encode_typed_data
from orchestrator.edges.store import Store, add_all
from orchestrator.edges.store import approvals as rows
from orchestrator.edges.store.tables import BlockRow, ChainLogRow
from orchestrator.errors import Halt
from tests.support.officers import EXPIRY_S, employ, office_of, seat_for_commands

CHAIN = 31337
ADA, BEN, EVE = (bytes([n]) * 32 for n in (1, 2, 3))
PAY = Approval("release_payout", "0x" + "ab" * 32, {"cents": 5, "account": "DE00"}, 1_000)
OFFICE = office_of(ADA, BEN, now=2_000)


@pytest.fixture
def store(tmp_path):
    empty = Store(tmp_path / "rail.sqlite3")
    yield empty
    empty.close()


def reason(call, *arguments) -> str:
    with pytest.raises(Rejected) as refusal:
        call(*arguments)
    return refusal.value.reason


def ready(store, office=OFFICE, kind=PAY.kind):
    with store.write() as session:
        return approvals.ready(session, office, kind)


def decided(store, office=OFFICE) -> str:
    identity = propose(store, office, PAY, ADA)
    approve(store, office, identity, BEN)
    return identity


def at(office: Office, now: int) -> Office:
    return replace(office, now=now)


def test_approval__proposed_and_approved_by_two__is_ready_until_executed(store):
    identity = propose(store, OFFICE, PAY, ADA)
    assert ready(store) == []
    assert approve(store, OFFICE, identity, BEN) == PAY
    assert ready(store) == [(identity, PAY)] and ready(store, kind="another") == []
    with store.write() as session:
        rows.mark_executed(session, identity, 3_000)
    assert ready(store) == []


def test_approval__approved_by_its_proposer_a_stranger_or_twice__is_not(store):
    identity = propose(store, OFFICE, PAY, ADA)
    assert reason(approve, store, OFFICE, identity, ADA) == ApprovalReason.SAME_OFFICER
    assert reason(approve, store, OFFICE, identity, EVE) == ApprovalReason.NOT_AN_OFFICER
    # a signature for another chain recovers to somebody else
    other = replace(OFFICE, chain_id=1)
    assert reason(approve, store, other, identity, BEN) == ApprovalReason.NOT_AN_OFFICER
    approve(store, OFFICE, identity, BEN)
    assert reason(approve, store, OFFICE, identity, BEN) == ApprovalReason.APPROVAL_APPROVED
    assert reason(approve, store, OFFICE, "0x00", BEN) == ApprovalReason.APPROVAL_UNKNOWN


@pytest.mark.parametrize("step", [PROPOSE, WITHDRAW])
def test_approval__a_signature_of_another_step_as_approval__does_not_count(store, step):
    identity = propose(store, OFFICE, PAY, ADA)
    signed = "0x" + sign(PAY.digest(step, CHAIN), BEN).hex()
    refusal = reason(approvals.approve_signed, store, OFFICE, identity, signed)
    assert refusal == ApprovalReason.NOT_AN_OFFICER


def test_approval__by_a_stranger_or_about_an_open_subject__is_not_proposed(store):
    assert reason(propose, store, OFFICE, PAY, EVE) == ApprovalReason.NOT_AN_OFFICER
    identity = propose(store, OFFICE, PAY, ADA)
    assert propose(store, OFFICE, PAY, ADA) == identity  # the same again is the same
    later = Approval(PAY.kind, PAY.subject, PAY.detail, 1_001)
    assert reason(propose, store, OFFICE, later, BEN) == ApprovalReason.APPROVAL_OPEN


@pytest.mark.parametrize(
    "change",
    [
        'detail = \'{"account":"DE00","cents":500}\'',
        "subject = '0xcd'",
        "proposed_at = 5",
        "kind = 'release_payout '",
        "approver_signature = proposer_signature",
        "proposer_signature = approver_signature",
        "proposer = approver, approver = proposer",
        "approval_id = '0x01'",  # a second life of what was executed
    ],
)
def test_approval__changed_in_the_store__halts_instead_of_moving_money(store, change):
    decided(store)
    with sqlite3.connect(store.path) as database:
        database.execute(f"UPDATE approval SET {change}")
    with pytest.raises(Halt, match="does not hold"):
        ready(store, kind="release_payout " if "kind" in change else PAY.kind)


def test_office__seated_by_a_row_of_the_database__signs_nothing(store):
    """On 0.3.0 whoever wrote the database seated officers; now only the chain seats them."""
    with store.write() as session:
        for name, key in (("eve", EVE), ("ben", BEN)):
            rows.add_all(session, [rows.OfficerRow(address=address_of(key), name=name, added_at=1)])
    own = office_of(EVE, BEN, now=2_000)  # what the attacker would like the office to be
    identity = propose(store, own, PAY, EVE)
    approve(store, own, identity, BEN)
    assert ready(store, own) != [] and ready(store) == []


def test_office__officer_who_left_after_signing__no_longer_counts_until_back(store):
    identity = decided(store)
    assert ready(store, office_of(ADA, EVE, now=2_000)) == []
    assert ready(store, office_of(BEN, EVE, now=2_000)) == []
    assert ready(store) == [(identity, PAY)]  # re-seated: leaving and joining again works


def test_office__with_one_officer_left__is_not_locked(store):
    """On 0.3.0 the one that remained could approve nothing and seat nobody; now the chain seats."""
    alone = office_of(ADA, now=2_000)
    identity = propose(store, alone, PAY, ADA)
    assert reason(approve, store, alone, identity, ADA) == ApprovalReason.SAME_OFFICER
    approve(store, office_of(ADA, EVE, now=2_001), identity, EVE)
    assert ready(store, office_of(ADA, EVE, now=2_002)) == [(identity, PAY)]


@pytest.mark.parametrize("is_approved", [False, True])
@pytest.mark.parametrize("key", [ADA, BEN])
def test_proposal__withdrawn_by_one_officer__moves_nothing_and_blocks_nothing(
    store, is_approved, key
):
    """On 0.3.0 a failed proposal blocked its subject for ever."""
    identity = propose(store, OFFICE, PAY, ADA)
    if is_approved:
        approve(store, OFFICE, identity, BEN)
    assert reason(withdraw, store, OFFICE, identity, EVE) == ApprovalReason.NOT_AN_OFFICER
    assert withdraw(store, OFFICE, identity, key) == PAY
    assert ready(store) == []
    again = Approval(PAY.kind, PAY.subject, PAY.detail, 1_001)
    assert propose(store, OFFICE, again, ADA) == again.approval_id
    assert reason(withdraw, store, OFFICE, identity, key) == ApprovalReason.APPROVAL_WITHDRAWN
    if not is_approved:
        refused = reason(approve, store, OFFICE, identity, BEN)
        assert refused == ApprovalReason.APPROVAL_WITHDRAWN


def test_proposal__executed__is_not_withdrawn(store):
    identity = decided(store)
    with store.write() as session:
        rows.mark_executed(session, identity, 3_000)
    assert reason(withdraw, store, OFFICE, identity, ADA) == ApprovalReason.APPROVAL_EXECUTED


@pytest.mark.parametrize(("now", "expired"), [(EXPIRY_S + 999, False), (EXPIRY_S + 1_000, True)])
def test_proposal__at_its_expiry__moves_nothing_and_blocks_nothing(store, now, expired):
    identity, later = decided(store), at(OFFICE, now)
    again = Approval(PAY.kind, PAY.subject, PAY.detail, now)
    if expired:
        assert ready(store, later) == []
        assert reason(withdraw, store, later, identity, ADA) == ApprovalReason.APPROVAL_EXPIRED
        assert propose(store, later, again, ADA) == again.approval_id
    else:
        assert ready(store, later) == [(identity, PAY)]
        assert reason(propose, store, later, again, ADA) == ApprovalReason.APPROVAL_OPEN


def test_proposal__expired__is_not_approved(store):
    identity = propose(store, OFFICE, PAY, ADA)
    late = at(OFFICE, PAY.proposed_at + EXPIRY_S)
    assert reason(approve, store, late, identity, BEN) == ApprovalReason.APPROVAL_EXPIRED


def test_proposal__of_an_officer_who_left__blocks_nothing_and_is_not_approved(store):
    identity = propose(store, OFFICE, PAY, ADA)
    without = office_of(BEN, EVE, now=2_000)
    assert reason(approve, store, without, identity, BEN) == ApprovalReason.NOT_AN_OFFICER
    again = Approval(PAY.kind, PAY.subject, PAY.detail, 1_001)
    assert propose(store, without, again, BEN) == again.approval_id


def test_approval__approved_and_no_longer_true__blocks_nothing(store):
    identity = propose(store, OFFICE, PAY, ADA)
    other = Approval(PAY.kind, PAY.subject, {"cents": 6, "account": "DE00"}, 1_001)
    assert reason(propose, store, OFFICE, other, ADA) == ApprovalReason.APPROVAL_OPEN
    approve(store, OFFICE, identity, BEN)
    again = Approval(PAY.kind, PAY.subject, PAY.detail, 1_002)
    assert reason(propose, store, OFFICE, again, ADA) == ApprovalReason.APPROVAL_OPEN
    assert propose(store, OFFICE, other, ADA) == other.approval_id


@pytest.mark.parametrize(
    ("seats", "holds"),
    [
        ([], True),  # before any seat on chain, officers of the store vouch for their time
        ([(500, ADA), (500, BEN)], True),
        ([(500, ADA), (500, EVE)], False),  # Ben never had a seat, a row of the store is no help
    ],
)
def test_verify__of_an_executed_approval__asks_who_ever_had_a_seat(store, seats, holds):
    identity = decided(store)
    with store.write() as session:
        rows.mark_executed(session, identity, 2_500)
        for name, key in (("ada", ADA), ("ben", BEN)):
            add_all(session, [rows.OfficerRow(address=address_of(key), name=name, added_at=10)])
        for number, (timestamp, key) in enumerate(seats, 1):
            block = f"0x{number}"
            seen = BlockRow(number=number, hash=block, parent="", timestamp=timestamp)
            log = ChainLogRow(
                block_hash=block,
                log_index=0,
                block_number=number,
                tx_hash="0x",
                name="OfficerSeated",
                args=json.dumps({"officer": address_of(key)}),
            )
            session.add_all([seen, log])
    with store.read() as session:
        row = rows.get(session, identity)
        if holds:
            assert approvals.takes_effect(session, OFFICE, row)
        else:
            with pytest.raises(Halt, match="never was an officer"):
                approvals.verify(session, CHAIN, row)


def test_name__of_an_officer__may_change_but_belongs_to_one(store):
    with store.write() as session:
        rows.name_officer(session, "0xA", "ada")
        rows.name_officer(session, "0xA", "ada lovelace")
        with pytest.raises(Halt, match="is named"):
            rows.name_officer(session, "0xB", "ada lovelace")
        assert rows.officer_names(session) == {"0xA": "ada lovelace"}


def test_typed_data__as_a_wallet_signs_it__is_the_same_digest():
    wallet = Account.from_key(BEN)
    for step in (PROPOSE, APPROVE, WITHDRAW):
        message = encode_typed_data(full_message=PAY.typed_data(step, CHAIN))
        signature = bytes(wallet.sign_message(message).signature)
        assert recover(PAY.digest(step, CHAIN), signature) == wallet.address


# --- the commands


@pytest.fixture
def run(tmp_path, monkeypatch):
    store = Store(tmp_path / "proofrail.sqlite3")
    addresses = employ(tmp_path, store, "Ada", "Ben")
    wallet = Account.from_key(EVE)
    with store.write() as session:
        rows.name_officer(session, wallet.address, "Eve")
    Deployment(CHAIN, "0x0", {}, {}, True).save(tmp_path / "deployment.json")
    seat_for_commands(monkeypatch, *addresses, wallet.address)
    propose(
        store,
        Office(CHAIN, frozenset({wallet.address}), 0, EXPIRY_S),
        replace(PAY, proposed_at=int(time.time())),
        EVE,
    )
    store.close()

    def call(*arguments: str, code: int = 0):
        answer = CliRunner().invoke(cli.app, ["--home", str(tmp_path), *arguments, "--json"])
        assert answer.exit_code == code, answer.output
        return json.loads(answer.stdout)

    return call


def test_commands__a_proposal__is_listed_shown_and_approved_by_another(run):
    (listed,) = run("approval", "list")
    identity = listed["approval_id"]
    assert (listed["stage"], listed["proposed_by"]) == ("proposed", "Eve")
    assert listed["expires_at"] == listed["proposed_at"] + 7 * 86_400
    assert run("approval", "show", identity[:12])["detail"] == PAY.detail
    assert run("approval", "approve", identity[:12], "--as", "Ben")["approved"]
    assert [row["stage"] for row in run("approval", "list")] == ["approved"]
    refused = run("approval", "approve", identity, "--as", "Ada", code=2)["error"]
    assert refused["code"] == "approval_approved"


def test_commands__withdraw__ends_a_proposal(run):
    (listed,) = run("approval", "list")
    identity = listed["approval_id"]
    assert run("approval", "withdraw", identity[:14], "--as", "Ada")["withdrawn"]
    assert run("approval", "list") == []
    (row,) = run("approval", "list", "--all")
    assert (row["stage"], row["withdrawn_by"]) == ("withdrawn", "Ada")
    refused = run("approval", "approve", identity, "--as", "Ben", code=2)["error"]
    assert refused["code"] == "approval_withdrawn"


def test_commands__an_officer_whose_key_is_elsewhere__signs_there(run):
    (listed,) = run("approval", "list")
    identity = listed["approval_id"]
    refused = run("approval", "withdraw", identity, "--as", "Eve", code=2)["error"]
    assert "--typed-data" in refused["message"]
    document = run("approval", "show", identity, "--to-withdraw")
    wallet = Account.from_key(EVE)
    signed = wallet.sign_message(encode_typed_data(full_message=document)).signature.hex()
    assert run("approval", "withdraw", identity, "--signature", "0x" + signed)["withdrawn"]
