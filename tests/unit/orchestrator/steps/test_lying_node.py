"""A node that lies once: nothing wrong is stored, nothing halts, and the payment is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.store import all_rows, blocks, sends
from orchestrator.errors import Halt, Retry
from orchestrator.steps.finalise import finalise
from orchestrator.steps.follow import follow
from services.testnet import Testnet
from tests.support.lying_node import CONTENT, STALE_HEAD, TRANSPORT, LyingNode
from tests.support.open_rail import OpenRail
from tests.support.real_chain import has_anvil
from tests.support.small_rail import START

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    started = OpenRail(tmp_path_factory.mktemp("lies") / "home").start()
    started.fund("cp-0001", 50_000)
    started.work(6)
    yield started
    started.stop()


@pytest.fixture
def node(rail):
    lying = LyingNode(rail.chain)
    yield lying
    lying.stop()


def pay(rail: OpenRail) -> None:
    """Take a record, and work until it is settled, whoever lies meanwhile."""
    before = rail.payment("cp-0001").payment_id
    rail.charge("cp-0001", "0.5")
    for _ in range(20):
        rail.work(1)  # asserts that nothing is halted
        row = rail.payment("cp-0001")
        if row.payment_id != before and row.stage in ("settled", "posted"):
            return
    raise AssertionError(f"the payment is {row.stage}")


def assert_stored_is_true(rail: OpenRail) -> None:
    """Every stored block and log is what the real node says without anything in between."""
    honest = at(rail, rail.testnet.url)
    with rail.store.read() as session:
        rows = sorted(all_rows(session, blocks.BlockRow), key=lambda row: row.number)
        logs = {
            (row.block_hash, row.log_index): row for row in all_rows(session, blocks.ChainLogRow)
        }
        failed = [row for row in all_rows(session, sends.ChainSendRow) if row.stage == "failed"]
    seen = honest.blocks(row.number for row in rows)
    assert [(b.hash, b.parent, b.timestamp) for b in seen] == [
        (row.hash, row.parent, row.timestamp) for row in rows
    ]
    wanted = honest.logs_of([block.hash for block in seen])
    assert {(log.block_hash, log.index): (log.name, log.tx_hash) for log in wanted} == {
        key: (row.name, row.tx_hash) for key, row in logs.items()
    }
    assert failed == []


LIES = {
    "a log left out once": CONTENT["a log left out once"],
    "receipts of another block": CONTENT["receipts of another block"],
    "another parent": CONTENT["another parent"],
    "a null receipt": CONTENT["a null receipt"],
    "a receipt of another block": CONTENT["a receipt of another block"],
    "other call data": CONTENT["other call data"],
    "a stale head": STALE_HEAD,
    "HTTP 429": TRANSPORT["HTTP 429"],
}


@pytest.mark.parametrize("name", LIES)
def test_worker__with_a_node_that_lies_once__stores_only_what_is_true(rail, node, name):
    node.lie_about(LIES[name])
    pay(rail)
    assert node.lied == 1, "the node never lied"
    assert_stored_is_true(rail)


def test_worker__with_a_node_that_lies_all_the_time__waits_and_says_why(rail, node):
    node.lie_about(CONTENT["a log left out once"], times=10**6)
    rail.charge("cp-0001", "0.5")
    rail.work(4)
    assert "[receipts_root]" in rail.worker.waits["follow"].reason
    node.left = 0
    rail.work(1)
    assert "follow" not in rail.worker.waits
    assert_stored_is_true(rail)


# --- two nodes


@pytest.fixture(scope="module")
def invented(rail):
    """A node with a consistent chain of its own: other blocks, same chain id and genesis."""
    with Testnet(mining="manual", extra=("--timestamp", str(START))) as other:
        assert other.rpc("eth_getBlockByNumber", "0x0", False)["hash"] == genesis(rail)
        yield other


def genesis(rail) -> str:
    return rail.chain.deployment.genesis


def at(rail: OpenRail, *urls: str) -> Chain:
    return Chain(urls[0], rail.chain.deployment, load_artifacts(), 5, urls[1:])


def mined(other: Testnet, height: int) -> None:
    other.mine(max(0, height - int(other.rpc("eth_blockNumber"), 16)))


def with_a_block_to_finalise(rail: OpenRail) -> int:
    """A followed block that is deep enough; returns its number."""
    rail.mine()
    rail.mine()
    assert follow(rail.rail) > 0
    with rail.store.read() as session:
        newest = blocks.newest(session)
    return newest.number - rail.settings.finality_blocks


def test_finalise__nodes_that_disagree_at_depth__stops_what_moves_money_until_a_person_decides(
    rail, invented
):
    number = with_a_block_to_finalise(rail)
    mined(invented, number + 3)
    context = replace(rail.rail, chain=at(rail, rail.testnet.url, invented.url))
    with pytest.raises(Halt, match=f"disagree on block {number}") as caught:
        finalise(context)
    assert "127.0.0.1" in str(caught.value)
    with rail.store.read() as session:
        assert blocks.newest_final(session) < number
    assert finalise(rail.rail) > 0  # the person has taken the other node out


def test_finalise__node_that_lacks_the_block_yet__is_waited_for(rail):
    with_a_block_to_finalise(rail)
    with Testnet(mining="manual", extra=("--timestamp", str(START))) as behind:
        context = replace(rail.rail, chain=at(rail, rail.testnet.url, behind.url))
        with pytest.raises(Retry, match="does not have it"):
            finalise(context)
    assert finalise(rail.rail) > 0


def test_finalise__node_that_is_silent__is_not_waited_for(rail):
    with_a_block_to_finalise(rail)
    context = replace(rail.rail, chain=at(rail, "http://127.0.0.1:9", rail.testnet.url))
    assert finalise(context) > 0  # also where it is the first one
    states = [endpoint.state for endpoint in context.chain.nodes.endpoints]
    assert "not reached" in states[0].error and states[1].error == ""


def test_one_node__that_invents_a_consistent_chain__cannot_be_seen_and_two_see_it(rail, invented):
    """No consensus proof is checked: what docs/OPERATING.md (Nodes) says about one endpoint."""
    mined(invented, 5)
    alone = at(rail, invented.url)
    assert alone.blocks(range(1, 6)) and alone.logs_between("PaymentRail", 1, 5) == []
    assert len(alone.hashes_at(5)) == 1
    both = at(rail, invented.url, rail.testnet.url).hashes_at(5)
    assert len(set(both.values())) == 2
