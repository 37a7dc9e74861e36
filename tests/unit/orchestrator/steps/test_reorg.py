"""Blocks that vanish on a real chain: their entries are voided, and derived again to the unit."""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from orchestrator.core import ledger
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import SeenBlock
from orchestrator.edges.store import blocks, pending
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Retry
from orchestrator.steps.finalise import finalise
from orchestrator.steps.follow import follow
from tests.support.deep_rail import FINALITY, DeepRail
from tests.support.small_rail import has_anvil
from tests.support.strangers import STRANGER

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
HELD = ("escrow", "pending", "withdrawable", "frozen")


@cache
def _started() -> DeepRail:
    rail = DeepRail(Path(tempfile.mkdtemp(prefix="deep-rail-")) / "home").start()
    atexit.register(rail.stop)
    return rail


@pytest.fixture
def rail():
    """After each test every block is final, nothing is pending, and the journal says what was noted
    when its blocks were seen."""
    started = _started()
    yield started
    assert_head(started)
    started.work(FINALITY + 6)
    started.agree_with_the_chain()
    assert_head(started)
    assert_states(started)


def assert_head(rail: DeepRail) -> None:
    """Posted and pending together are the chain at its newest block, to the last unit."""
    rail.see()
    totals = dict(zip(HELD, rail.chain.view("PaymentRail", "totals"), strict=False))
    with rail.store.read() as session:
        balances = store_ledger.balances(session)
        for key, amount in store_ledger.pending_balances(session).items():
            balances[key] = balances.get(key, 0) + amount
    sums = dict.fromkeys(HELD, 0)
    for (account, asset), amount in balances.items():
        if asset == ledger.TEUR and account.split(":")[0] in sums:
            sums[account.split(":")[0]] -= amount
    assert sums == totals
    assert balances[ledger.ISSUED, ledger.TEUR] == rail.chain.view("EuroToken", "totalSupply")


def assert_states(rail: DeepRail) -> None:
    """Every entry that a vanished block had is voided, and lives again at most once."""
    with rail.store.read() as session:
        states = {
            state: list(pending.entries(session, state))
            for state in ("pending", "posted", "voided")
        }
        journal = [
            entry for _, entry in store_ledger.entries(session) if entry.source.startswith("block")
        ]
    seen = {row.block_hash: row.block_number for rows in states.values() for row, _ in rows}
    now = {block.hash for block in rail.chain.blocks(sorted(set(seen.values())))}
    alive = {
        (row.block_hash, entry.entry_id)
        for state in ("pending", "posted")
        for row, entry in states[state]
    }
    for state, rows in states.items():
        for row, entry in rows:  # a voided one of a block that came back lives there again
            lives = row.block_hash in now
            assert lives == (state != "voided") or (row.block_hash, entry.entry_id) in alive
    ids = [entry.entry_id for state in ("pending", "posted") for _, entry in states[state]]
    assert len(ids) == len(set(ids))
    # the same whether derived when first seen or when final: source, time, postings and order
    noted = [entry for _, entry in states["posted"]]
    assert noted == [entry for entry in journal if entry.entry_id in set(ids)] == journal


def kinds(rail: DeepRail, state: str, ref: str = "") -> list[str]:
    with rail.store.read() as session:
        return [
            entry.kind for _, entry in pending.entries(session, state) if ref in ("", entry.ref)
        ]


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("fate", ["dropped", "included again", "replaced"])
def test_settlement__of_vanished_blocks__is_voided_and_booked_once(rail, depth, fate):
    name = f"{fate.replace(' ', '-')}-{depth}"
    rail.join(name, 5_000)
    tx_hash = rail.settle_now(name, depth)
    payment = rail.payment(name).payment_id
    assert kinds(rail, "pending", payment) == ["settled"]
    assert_head(rail)
    placed = {
        "dropped": [],
        "included again": [rail.raw(tx_hash)],
        "replaced": [strangers(rail, name)],
    }[fate]
    rail.reorganise(depth, *placed)
    assert kinds(rail, "voided", payment) == ["settled"]
    assert_head(rail)  # also where the settlement is gone: then so is its entry
    assert kinds(rail, "pending", payment) == ([] if fate == "dropped" else ["settled"])
    rail.until(name, "posted", 40)
    assert kinds(rail, "posted", payment) == kinds(rail, "voided", payment) == ["settled"]
    same = rail.payment(name).settlement_tx == tx_hash
    assert same == (fate != "replaced")


def strangers(rail: DeepRail, name: str) -> str:
    """The raw settlement of the same batch by somebody else."""
    account = keystore.development_account(STRANGER)
    call = rail.settle_call(name)
    quote = replace(rail.chain.quote(account.address, call), gas=3_000_000)
    return rail.chain.sign(account, rail.chain.nonce(account.address), quote)[1]


def test_mint__of_a_vanished_block__is_voided_and_minted_once(rail):
    rail.join("minted-twice")
    rail.fund("minted-twice", 700)
    for _ in range(20):
        if "minted" in kinds(rail, "pending"):
            break
        rail.work(1)
    assert_head(rail)
    before = kinds(rail, "voided").count("minted")
    rail.reorganise(1)
    assert kinds(rail, "voided").count("minted") == before + 1
    assert "minted" not in kinds(rail, "pending")
    assert_head(rail)
    rail.work(FINALITY + 3)
    account = ledger.escrow(rail.agreements["minted-twice"])
    with rail.store.read() as session:
        assert store_ledger.balances(session)[account, ledger.TEUR] == -7_000_000


def test_release__of_vanished_blocks__with_its_redemption_is_booked_once(rail):
    rail.join("released", 5_000)
    rail.next_day()  # the payee has had no payout today
    rail.charge("released", "3")
    for _ in range(60):
        if "released" in kinds(rail, "pending"):
            break
        rail.work(1)
    assert "redeemed" in kinds(rail, "pending")
    assert_head(rail)
    rail.reorganise(2)
    assert {"released", "redeemed"} <= set(kinds(rail, "voided"))
    assert not {"released", "redeemed"} & set(kinds(rail, "pending"))
    assert_head(rail)
    rail.until("released", "paid_out", 40)


def other_branch(rail: DeepRail, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """From block `first` on, the node answers with blocks of other hashes, the newest too."""
    real_blocks, real_newest = rail.chain.blocks, rail.chain.newest

    def moved(block: SeenBlock) -> SeenBlock:
        return replace(block, hash="0x" + "ee" * 32) if block.number >= first else block

    monkeypatch.setattr(
        rail.chain, "blocks", lambda numbers: [moved(block) for block in real_blocks(numbers)]
    )
    monkeypatch.setattr(rail.chain, "newest", lambda: moved(real_newest()))


def test_blocks__that_come_back__are_noted_again(rail, monkeypatch):
    """A node that follows another branch for a moment: what was voided stays voided."""
    rail.join("back-again", 5_000)
    tx_hash = rail.settle_now("back-again", 2)
    payment = rail.payment("back-again").payment_id
    with rail.store.read() as session:
        before = blocks.log_of(session, tx_hash, "Settled")
    other_branch(rail, monkeypatch, before.block_number)
    follow(rail.rail)
    monkeypatch.undo()
    assert kinds(rail, "pending", payment) == [] and kinds(rail, "voided", payment) == ["settled"]
    assert_head(rail)
    with rail.store.read() as session:
        assert blocks.log_of(session, tx_hash, "Settled").block_hash == before.block_hash
    assert kinds(rail, "pending", payment) == ["settled"]
    rail.until("back-again", "posted", 40)
    assert kinds(rail, "voided", payment) == kinds(rail, "posted", payment) == ["settled"]


# --- the node's own word on finality can only delay


def final(rail: DeepRail) -> int:
    with rail.store.read() as session:
        return blocks.newest_final(session)


@pytest.mark.parametrize("claim", [0, 1])
def test_finality__of_a_node_that_is_behind__delays_and_takes_nothing_back(
    rail, monkeypatch, claim
):
    rail.work(FINALITY + 2)
    before = final(rail)
    monkeypatch.setattr(rail.rail.chain, "finalized", lambda: claim)
    rail.work(3)
    assert final(rail) == before
    monkeypatch.undo()
    rail.work(1)
    assert final(rail) > before


def test_finality__above_the_head__hastens_nothing(rail, monkeypatch):
    monkeypatch.setattr(rail.rail.chain, "finalized", lambda: 10**12)
    rail.work(FINALITY + 2)
    assert final(rail) == rail.chain.head() - FINALITY


def test_finality__of_blocks_that_were_replaced_unseen__waits_for_follow(rail):
    rail.work(2)
    before = final(rail)
    for _ in range(3):
        rail.mine()
    rail.see()
    rail.testnet.rpc("anvil_reorg", FINALITY + 2, [])
    with pytest.raises(Retry, match="the chain is rewinding"):
        finalise(rail.rail)
    assert final(rail) == before
