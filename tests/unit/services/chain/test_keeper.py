"""The keeper of the development chain, with a real anvil and a clock of the test's own."""

from __future__ import annotations

import errno
import json

import pytest
import requests

from services.chain.server import MAX_BODY_BYTES
from tests.support.kept_chain import KeptChain
from tests.support.real_chain import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def chain(tmp_path):
    kept = KeptChain(tmp_path / "chain").start()
    yield kept
    kept.stop()


def test_transaction__that_comes_in__is_mined_and_final_within_seconds_and_then_nothing_is(chain):
    tx_hash = chain.pay()
    assert chain.rpc("eth_getTransactionReceipt", tx_hash) is None
    chain.keep(0.5)
    assert int(chain.rpc("eth_getTransactionReceipt", tx_hash)["blockNumber"], 16) == 1
    assert (chain.number("latest"), chain.number("finalized")) == (1, 0)
    chain.keep(1.5)
    assert (chain.number("latest"), chain.number("finalized"), chain.number("safe")) == (4, 4, 4)
    chain.keep(200)
    assert chain.number("latest") == 4


def test_idle_chain__after_a_heartbeat__has_a_final_block_more(chain):
    chain.keep(301)
    assert chain.number("latest") == 1
    chain.keep(2)
    assert chain.number("finalized") == 1


def test_burst__of_more_than_a_block_holds__is_mined_to_the_end(chain):
    accounts = chain.rpc("eth_accounts")
    gas = hex(15_000_000)  # two fill a block
    calls = [
        {"from": sender, "to": accounts[0], "value": "0x1", "gas": gas} for sender in accounts[1:6]
    ]
    hashes = [chain.rpc("eth_sendTransaction", call) for call in calls]
    chain.keep(3)
    receipts = [chain.rpc("eth_getTransactionReceipt", tx_hash) for tx_hash in hashes]
    assert all(receipts)
    assert chain.number("finalized") == chain.number("latest")


def test_finalized__at_any_step_of_a_dump__is_in_one(tmp_path):
    chain, seen = KeptChain(tmp_path / "chain"), []

    def look(step: str) -> None:
        if step != "older removed" and chain.url:
            seen.append((step, chain.keeper.final))

    chain.step = look
    chain.start()
    chain.pay()
    chain.keep(3)
    chain.stop()
    assert {final for _, final in seen} == {0}  # until the folder was synced
    assert chain.keeper.final == 4


def test_kill__after_a_block__loses_what_no_dump_holds_and_nothing_else(tmp_path):
    chain = KeptChain(tmp_path / "chain", genesis_at=1_700_000_000).start()
    genesis = chain.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
    kept_hash = chain.pay()
    chain.keep(3)
    final = chain.rpc("eth_getBlockByNumber", "finalized", False)
    lost_hash = chain.pay()
    chain.keep(0.5)
    lost = chain.rpc("eth_getTransactionReceipt", lost_hash)["blockHash"]
    chain.kill()
    chain.start()
    try:
        assert chain.rpc("eth_getBlockByNumber", "0x0", False)["hash"] == genesis
        assert chain.rpc("eth_getBlockByNumber", final["number"], False)["hash"] == final["hash"]
        assert chain.rpc("eth_getTransactionReceipt", kept_hash)["status"] == "0x1"
        assert chain.rpc("eth_getTransactionReceipt", lost_hash) is None
        assert chain.number("finalized") == int(final["number"], 16)
        chain.keep(2)  # new blocks come by themselves, so that followers notice
        assert chain.number("latest") == chain.number("finalized") == int(final["number"], 16) + 3
        assert chain.rpc("eth_getBlockByHash", lost, False) is None
    finally:
        chain.stop()


def test_clock__of_a_chain_ahead_of_the_day__does_not_go_back_at_a_restart(tmp_path):
    chain = KeptChain(tmp_path / "chain").start()
    chain.rpc("evm_increaseTime", 10 * 24 * 3600)
    chain.rpc("evm_mine")
    before = int(chain.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    chain.stop()
    chain.start()
    chain.keep(3)
    chain.pay()
    chain.keep(1)
    blocks = [chain.rpc("eth_getBlockByNumber", hex(number), False) for number in range(6)]
    times = [int(block["timestamp"], 16) for block in blocks]
    chain.stop()
    assert times[1] == before and times == sorted(times)


def test_full_disk__stops_finality_alone_and_ends_by_itself(tmp_path, caplog):
    chain = KeptChain(tmp_path / "chain").start()
    caplog.set_level("INFO")

    def full(step: str) -> None:
        if step == "half written":
            raise OSError(errno.ENOSPC, "No space left on device")

    chain.step = full
    tx_hash = chain.pay()
    chain.keep(30)
    assert chain.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
    head = chain.number("latest")
    assert head >= 4 and chain.number("finalized") == 0
    health = requests.get(f"{chain.url}/health", timeout=60).json()
    assert health == {"head": head, "final": 0, "problem": "[Errno 28] No space left on device"}
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1
    chain.step = lambda name: None
    chain.keep(6)
    assert chain.number("finalized") == head
    assert requests.get(f"{chain.url}/health", timeout=60).json()["problem"] == ""
    assert "written again" in caplog.text
    chain.stop()


def test_dump__that_took_two_seconds__is_followed_by_the_next_one_after_eight(tmp_path):
    chain = KeptChain(tmp_path / "chain").start()

    def slow(step: str) -> None:
        chain.now += 2.0 if step == "synced" else 0.0

    chain.step = slow
    chain.pay()
    chain.keep(4)  # block 1, its cover of three, and a dump that ends at 3.05 seconds
    assert chain.keeper.final == 4
    chain.pay()
    chain.keep(7)
    assert (chain.number("latest"), chain.keeper.final) == (8, 4)
    chain.keep(1)
    assert chain.keeper.final == 8
    chain.stop()


def test_torn_newest_dump__is_reported_and_the_one_before_is_used(tmp_path, caplog):
    chain = KeptChain(tmp_path / "chain").start()
    for _ in range(2):
        chain.pay()
        chain.keep(3)
    chain.stop()
    older, newest = sorted(chain.folder.glob("*.dump"))
    newest.write_bytes(newest.read_bytes()[:-7])
    chain.start()
    assert chain.keeper.final == chain.number("finalized") == 4
    assert f"{newest.name} is not used: it has" in caplog.text
    assert older.exists() and newest.with_name(f"{newest.name}.unreadable").exists()
    chain.stop()


def test_blocks__mined_and_taken_back_by_hand__are_stored_and_never_above_the_head(chain):
    snapshot = chain.rpc("evm_snapshot")
    chain.rpc("anvil_mine", "0x5")
    chain.keep(2)
    assert chain.number("finalized") == 5
    assert chain.rpc("evm_revert", snapshot)
    assert chain.number("finalized") == chain.number("latest") == 0
    chain.keep(2)
    chain.kill()
    chain.start()
    assert chain.number("latest") == 0


def test_batch__with_calls_of_every_kind__is_answered_call_by_call(chain):
    chain.pay()
    chain.keep(3)
    methods = [
        ("eth_blockNumber", []),
        ("evm_setAutomine", [True]),
        ("eth_getBlockByNumber", ["finalized", False]),
        ("no_such", []),
    ]
    batch = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, params) in enumerate(methods)
    ]
    answers = {
        answer["id"]: answer for answer in requests.post(chain.url, json=batch, timeout=60).json()
    }
    assert answers[0]["result"] == "0x4"
    assert "decides when it mines" in answers[1]["error"]["message"]
    assert answers[2]["result"]["number"] == "0x4"
    assert answers[3]["error"]["code"] == -32601


def post(url: str, body: bytes, kind: str = "application/json") -> requests.Response:
    return requests.post(url, data=body, headers={"Content-Type": kind}, timeout=60)


def test_server__of_strange_bodies__refuses_each_and_goes_on(chain):
    head = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    ).encode()
    assert post(chain.url, b"[" * 200_000).json()["error"]["code"] == -32600
    assert post(chain.url, head, "text/plain").status_code == 415
    assert post(chain.url, b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    assert requests.get(chain.url, timeout=60).status_code == 405
    assert post(chain.url, head, "application/json; charset=utf-8").json()["result"] == "0x0"


def test_server__whose_anvil_ended__says_so(chain):
    chain.keeper.testnet.kill()
    assert requests.get(f"{chain.url}/health", timeout=60).status_code == 503
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
    assert post(chain.url, body).status_code == 502


def test_week__of_heartbeats__stays_small_and_is_loaded(tmp_path):
    """Heartbeats of a week, 2,016 at the default of 300 s, mined at once with their times."""
    chain = KeptChain(tmp_path / "chain").start()
    chain.pay()
    chain.keep(3)
    for _ in range(8):
        chain.rpc("anvil_mine", hex(252), hex(300))
    chain.keep(2)
    head = chain.rpc("eth_getBlockByNumber", "latest", False)
    chain.kill()
    newest = sorted(chain.folder.glob("*.dump"))[-1]
    assert newest.stat().st_size < 1_000_000
    chain.start()
    assert chain.rpc("eth_getBlockByNumber", head["number"], False)["hash"] == head["hash"]
    assert int(head["number"], 16) >= 2_020  # a busy machine may see the work in two blocks
    chain.pay()
    chain.keep(3)
    assert chain.number("finalized") == chain.number("latest") > 2_020
    chain.stop()


def test_genesis__of_a_chain_that_restarts_again_and_again__stays(tmp_path):
    """anvil dumps the block 0 of each of its starts, and takes any of them when it loads them."""
    chain = KeptChain(tmp_path / "chain").start()
    genesis = chain.rpc("eth_getBlockByNumber", "0x0", False)["hash"]
    for _ in range(6):
        chain.pay()
        chain.keep(2)
        chain.stop()
        chain.start()
        assert chain.rpc("eth_getBlockByNumber", "0x0", False)["hash"] == genesis
    chain.stop()
