"""A decided call is sent exactly once: stored before its broadcast, and no nonce twice."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import (
    ChainCall,
    displaced,
    patience,
    send_and_wait,
    send_in_turn,
    settle_up,
)
from orchestrator.edges.store import Store, blocks, sends
from orchestrator.errors import Halt, Retry
from tests.support.real_chain import FaultyNode, account_call, effects, has_anvil, real_chain

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
ROOT = Path(__file__).resolve().parents[5]


@pytest.fixture
def chain():
    return real_chain()


@pytest.fixture
def store(tmp_path):
    empty = Store(tmp_path / "rail.sqlite3")
    yield empty
    empty.close()


def other_process(chain, store, account: int, numbers: list[int], die: str = ""):
    given = {
        "database": str(store.path),
        "url": chain.testnet.url,
        "account": account,
        "die": die,
        "deployment": asdict(chain.deployment),
        "numbers": numbers,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.real_chain", json.dumps(given)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )


def calls(numbers) -> list[ChainCall]:
    return [ChainCall("account", str(n), account_call(n)) for n in numbers]


def prepare(sender, number: int) -> str:
    quote = sender.quote(account_call(number))
    with sender.store.write() as session:
        return sender.prepare(session, "account", str(number), quote, 0)


def sent(store, tx_hash):
    with store.read() as session:
        return sends.by_hash(session, tx_hash)


@pytest.mark.parametrize(("die", "account"), [("before", 20), ("after", 21)])
def test_sender__killed_around_its_broadcast__the_same_bytes_land_once(chain, store, die, account):
    assert other_process(chain, store, account, [1], die).wait(300) == -9
    sender = chain.sender(store, account)
    address = sender.account.address
    with store.read() as session:
        [row] = sends.unmined(session, chain.deployment.chain_id, address)
    assert row.stage == "signed" and len(effects(chain, address)) == (die == "after")
    assert send_and_wait(sender, calls([1]), 0, lambda: None) == [row.tx_hash]
    assert effects(chain, address) == [1] and chain.client.nonce(address) == 1
    assert sent(store, row.tx_hash).stage == "mined"


def test_sender__rolled_back_approval__spends_no_nonce_and_sends_nothing(chain, store):
    sender = chain.sender(store, 22)
    quote = sender.quote(account_call(1))
    with pytest.raises(ZeroDivisionError), store.write() as session:
        sender.prepare(session, "account", "1", quote, 0)
        raise ZeroDivisionError
    assert sender.broadcast() == 0
    send_and_wait(sender, calls([2]), 0, lambda: None)
    assert effects(chain, sender.account.address) == [2]


def test_sender__two_processes_with_one_key_and_store__use_each_nonce_once(chain, store):
    other = other_process(chain, store, 23, list(range(100, 112)))
    sender = chain.sender(store, 23)
    for number in range(12):
        send_and_wait(sender, calls([number]), 0, lambda: None)
    assert other.wait(300) == 0
    address = sender.account.address
    assert sorted(effects(chain, address)) == [*range(12), *range(100, 112)]
    assert chain.client.nonce(address) == 24


def test_sender__used_key_on_a_new_store__begins_at_the_chains_nonce(chain, store, tmp_path):
    send_and_wait(chain.sender(store, 24), calls([1, 2]), 0, lambda: None)
    fresh = Store(tmp_path / "fresh.sqlite3")
    sender = chain.sender(fresh, 24)
    send_and_wait(sender, calls([3]), 0, lambda: None)
    assert effects(chain, sender.account.address) == [1, 2, 3]
    fresh.close()


def test_send_and_wait__the_same_call_again__sends_nothing_new(chain, store):
    sender = chain.sender(store, 25)
    once = send_and_wait(sender, calls([1, 2]), 0, lambda: None)
    assert send_and_wait(sender, calls([2, 1]), 0, lambda: None) == once[::-1]
    assert effects(chain, sender.account.address) == [1, 2]


def test_send_in_turn__interrupted__sends_the_same_call_once_and_another_one_too(
    chain, store, monkeypatch
):
    """A second payment into an escrow was taken for the first, while no block held that one."""
    sender = chain.sender(store, 28)
    with monkeypatch.context() as interrupted, pytest.raises(Retry):
        interrupted.setattr(type(sender), "broadcast", lambda _: 0)
        send_in_turn(sender, [account_call(1)], 0, patience(-1))
    assert effects(chain, sender.account.address) == []
    with monkeypatch.context() as interrupted, pytest.raises(Retry):
        interrupted.setattr(type(sender), "broadcast", lambda _: 0)
        send_in_turn(sender, [account_call(2)], 0, patience(-1))
    [again] = send_in_turn(sender, [account_call(1)], 0, lambda: None)
    assert effects(chain, sender.account.address) == [1, 2]
    assert sent(store, again).nonce == 0
    [later] = send_in_turn(sender, [account_call(1)], 0, lambda: None)
    assert later != again and effects(chain, sender.account.address) == [1, 2, 1]


def test_send_and_wait__call_that_would_revert__sends_nothing_and_says_why(chain, store):
    sender = chain.sender(store, 26)
    call = Call("EuroToken", "mint", (b"\1" * 32, sender.account.address, 5))
    with pytest.raises(Retry, match=r"EuroToken\.mint would revert: NotInRole"):
        send_and_wait(sender, [ChainCall("mint", "x", call)], 0, lambda: None)
    assert chain.client.nonce(sender.account.address) == 0


def test_send_and_wait__call_that_fails_on_chain__halts_and_can_be_tried_again(chain, store):
    """Two quotes that were both good, one credit: the second one's nonce is spent all the same."""
    minter = chain.sender(store, 3)
    call = Call("EuroToken", "mint", (b"\2" * 32, minter.account.address, 10_000))
    with pytest.raises(Halt, match="mint of second failed on chain"):
        send_and_wait(
            minter,
            [ChainCall("mint", "first", call), ChainCall("mint", "second", call)],
            0,
            lambda: None,
        )
    with store.read() as session:
        assert sends.by_ref(session, "mint", "first").stage == "mined"
        assert sends.by_ref(session, "mint", "second") is None


def test_sender__half_of_all_calls_fail__each_send_has_one_effect(chain, store):
    """Replies lost after the fact, errors, truncation, doubled calls: none is taken for a no."""
    node = FaultyNode(chain.testnet.url, share=50, seed=1)
    sender = chain.sender(store, 27, chain.at(node.url))
    numbers = list(range(1, 25))
    for number in numbers:
        while True:
            try:
                send_and_wait(sender, calls([number]), 0, lambda: None)
                break
            except Retry:
                continue
    node.stop()
    address = sender.account.address
    assert effects(chain, address) == numbers and chain.client.nonce(address) == len(numbers)
    assert node.faults.total() > 80 and set(node.faults) == set(FaultyNode.KINDS)


def test_settle_up__asked_of_a_silent_node__changes_nothing_and_holds_up_no_writer(chain, store):
    tx_hash = prepare(chain.sender(store, 29), 1)
    node = FaultyNode(chain.testnet.url, share=100, seed=3)
    node.KINDS = ("refused",)
    with store.write() as session, pytest.raises(Retry):
        # within the only writer's turn: had it opened a turn of its own first, it would hang here
        settle_up(Store(store.path, wait_s=0), chain.at(node.url), [tx_hash])
        session.rollback()
    node.stop()
    assert sent(store, tx_hash).stage == "signed"


def test_unmine__blocks_that_are_orphaned__open_their_sends_with_the_same_bytes(chain, store):
    sender = chain.sender(store, 30)
    [tx_hash] = send_and_wait(sender, calls([1]), 0, lambda: None)
    row = sent(store, tx_hash)
    with store.write() as session:
        sends.record_orphaned(session, row.block_number)
        assert sends.open_send(session, "account", "1").raw == row.raw
    assert sender.broadcast() == 1  # the chain holds it: nothing happens
    assert settle_up(store, chain.client, [tx_hash]) == {tx_hash: True}
    assert effects(chain, sender.account.address) == [1]


@pytest.mark.parametrize("has_log", [True, False])
def test_displaced__transaction_whose_log_is_stored__is_not_given_up_for_a_missing_receipt(
    store, has_log
):
    """A node that has no receipt of it once must not make the rail send the payment again."""
    tx_hash, address = "0x" + "ab" * 32, "0x" + "11" * 20
    fields = {"purpose": "settle", "ref": "r", "raw": "0x00", "created_at": 0}
    log = {"block_hash": "0xbb", "log_index": 0, "block_number": 3, "name": "Settled", "args": "{}"}
    with store.write() as session:
        sends.add(
            session,
            sends.ChainSendRow(tx_hash=tx_hash, chain_id=1, sender=address, nonce=4, **fields),
        )
        if has_log:
            session.add(blocks.ChainLogRow(tx_hash=tx_hash, **log))
    chain = SimpleNamespace(
        deployment=SimpleNamespace(chain_id=1),
        used_nonces=lambda address, block: 5,
        receipts=lambda hashes: [None] * len(hashes),
    )
    ended = displaced(store, chain, address, 3)
    assert [row.tx_hash for row in ended] == ([] if has_log else [tx_hash])
    assert sent(store, tx_hash).stage == ("signed" if has_log else "failed")
