"""What a node says is used only if it proves itself: each kind of lie has its name."""

from __future__ import annotations

import pytest

from device_adapters.types import device_id
from oracles.types import ClaimReason
from orchestrator.core.consensus_bytes import NodeFault, WrongAnswer
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.reader import Registry
from orchestrator.errors import Retry
from tests.support.lying_node import CONTENT, LIMITS, TRANSPORT, LyingNode
from tests.support.real_chain import account_call, has_anvil, real_chain
from tests.support.registry_chain import RegistryOnChain

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

ACCOUNT = 36
FAULTS = {
    "a log left out once": NodeFault.RECEIPTS,
    "an address in another spelling": None,  # the same bytes: the log is found all the same
    "receipts short": NodeFault.RECEIPTS,
    "receipts doubled": NodeFault.RECEIPTS,
    "receipts of another block": NodeFault.RECEIPTS,
    "receipts are null": NodeFault.MALFORMED,
    "receipts are words": NodeFault.MALFORMED,
    "another receipts root": NodeFault.HEADER,
    "a bloom filter of nothing": NodeFault.HEADER,
    "another time": NodeFault.HEADER,
    "another parent": NodeFault.HEADER,
    "a field of a later fork": NodeFault.FIELDS,
    "a header without its end": NodeFault.FIELDS,
    "another block": NodeFault.NUMBER,
    "a block that is no object": NodeFault.MALFORMED,
    "other call data": NodeFault.TRANSACTIONS,
    "a transaction twice": NodeFault.TRANSACTIONS,
    "a null receipt": None,  # the send stays open, and is asked for again
    "a receipt without a block": None,
    "a receipt of another block": NodeFault.RECEIPTS,
    "other call data of one transaction": NodeFault.TRANSACTION,
}


@pytest.fixture(scope="module")
def chain():
    """The shared chain with three calls of one account in blocks of their own."""
    chain = real_chain()
    account = keystore.development_account(ACCOUNT)
    for number in range(3):
        quote = chain.client.quote(account.address, account_call(number))
        _, raw = chain.client.sign(account, quote.nonce, quote)
        assert chain.client.broadcast([raw]) == ["sent"]
        chain.testnet.mine()
    return chain


@pytest.fixture
def liar(chain):
    """(a client that has read nothing yet, its lying node)."""
    client = chain.at(chain.testnet.url)
    return client, LyingNode(client)


def everything(client, chain):
    """What the rail takes from a node: logs, a receipt, the call of a transaction."""
    logs = client.logs_between("PaymentRail", chain.deployment.block_number, chain.client.head())
    tx_hash = logs[-1].tx_hash
    client.reader._calls.clear()  # ask for the transaction by itself too
    return logs, client.receipts([tx_hash]), client.call_input(tx_hash, "PaymentRail")


def test_faults__of_every_lie__are_in_the_table():
    assert set(FAULTS) == set(CONTENT)


@pytest.mark.parametrize("name", CONTENT)
def test_reading__with_one_lie__names_the_fault_and_then_reads_what_is_true(chain, liar, name):
    client, node = liar
    right = everything(chain.client, chain)
    node.lie_about(CONTENT[name])
    if FAULTS[name] is None:
        logs, [receipt], call = everything(client, chain)
        assert (logs, call) == (right[0], right[2]) and receipt in (None, right[1][0])
    else:
        with pytest.raises(WrongAnswer) as caught:
            everything(client, chain)
        assert caught.value.fault == FAULTS[name], caught.value
        assert f"[{FAULTS[name]}]" in str(caught.value)
        assert str(caught.value) == client.nodes.used.state.error
    assert node.lied == 1
    assert everything(client, chain) == right


@pytest.mark.parametrize("name", TRANSPORT)
def test_reading__from_a_node_that_fails_once__is_a_retry_and_then_right(chain, liar, name):
    client, node = liar
    node.lie_about(TRANSPORT[name])
    with pytest.raises(Retry):
        client.head()
    assert client.head() == chain.client.head() and client.nodes.used.state.error == ""


@pytest.mark.parametrize("name", LIMITS)
def test_reading__from_a_node_that_takes_few_calls__learns_how_many(chain, liar, name):
    client, node = liar
    chain.testnet.mine(30)
    numbers = range(chain.client.head() - 30, chain.client.head())
    node.lie_about(LIMITS[name], times=10**6)
    assert client.blocks(numbers) == chain.client.blocks(numbers)
    assert 1 <= client.nodes.used.most <= 10
    asked = len(node.asked)
    client.blocks(numbers)
    most = client.nodes.used.most
    assert len(node.asked) - asked <= -(-30 // most)  # it no longer tries what fails


def test_field_of_a_later_fork__is_named(chain, liar):
    client, node = liar
    node.lie_about(CONTENT["a field of a later fork"])
    with pytest.raises(WrongAnswer, match="blockAccessListHash"):
        client.newest()


def test_blocks__that_exclude_our_contracts__cost_their_header_alone(chain, liar):
    client, node = liar
    chain.testnet.mine(5)
    head = client.head()
    assert client.logs_between("PaymentRail", head - 4, head) == []
    assert {method for methods in node.asked for method in methods} == {
        "eth_blockNumber",
        "eth_getBlockByNumber",
    }


def test_blocks__that_were_read__are_read_once(chain, liar):
    client, node = liar
    first, last = chain.deployment.block_number, chain.client.head()
    logs = client.logs_between("PaymentRail", first, last)
    node.asked.clear()
    assert client.logs_between("PaymentRail", first, last) == logs
    assert node.asked == [["eth_getBlockByNumber"]]  # is the last one still the same?


def test_node__that_serves_receipts_one_by_one__is_read_all_the_same(chain, liar, monkeypatch):
    client, node = liar
    first, last = chain.deployment.block_number, chain.client.head()

    def lacking(node, calls, answers):
        for call, answer in zip(calls, answers, strict=True):
            if call["method"] == "eth_getBlockReceipts":
                answer.pop("result")
                answer["error"] = {"code": -32601, "message": "Method not found"}
        return True

    node.lie_about(lacking, times=10**6)
    logs = client.logs_between("PaymentRail", first, last)
    assert logs == chain.client.logs_between("PaymentRail", first, last)
    client.reader._blocks.clear()
    node.asked.clear()
    assert client.logs_between("PaymentRail", first, last) == logs
    assert not any("eth_getBlockReceipts" in methods for methods in node.asked)  # not asked again


def test_nonce__proven_by_the_state_of_a_block__counts_and_a_lie_about_it_does_not(chain, liar):
    client, node = liar
    address = keystore.development_account(ACCOUNT).address
    head = client.head()
    assert client.used_nonces(address, head) == client.nonce(address) > 0

    def lie(node, calls, answers):
        if calls[0]["method"] != "eth_getProof":
            return False
        answers[0]["result"]["nonce"] = "0xff"  # only the proof counts
        answers[0]["result"]["accountProof"] = answers[0]["result"]["accountProof"][:-1]
        return True

    node.lie_about(lie)
    with pytest.raises(WrongAnswer, match="state_root"):
        client.used_nonces(address, head)


def test_device__whose_log_was_left_out_once__is_never_unknown(tmp_path):
    registry = RegistryOnChain(tmp_path)
    device = registry.device("left-out")
    registry.agreement_ops.enrol([registry.enrolment(device)])
    client = registry.chain.at(registry.chain.testnet.url)
    node = LyingNode(client)
    node.lie_about(CONTENT["a log left out once"], times=3)
    reader, now = Registry(client, {}), registry.chain.now()
    for _ in range(3):
        with pytest.raises(WrongAnswer):
            reader.key_at(device_id("left-out"), now)
    assert reader.key_at(device_id("left-out"), now) == device.public
    assert reader.key_at(device_id("never enrolled"), now) == ClaimReason.DEVICE_UNKNOWN
    registry.store.close()
