"""Proofs collected from a real node hold from their bytes alone, and break when a byte changes."""

from __future__ import annotations

import pytest
import rlp

from device_adapters.types import Rejected
from orchestrator.core.audit import blocks
from orchestrator.core.consensus_bytes import WrongAnswer
from orchestrator.edges.chain import proof
from orchestrator.edges.chain.ethereum import Account
from orchestrator.errors import Retry
from tests.support.audit_node import ANVIL, AuditNode
from tests.support.real_chain import reader_of

PAYER, OTHER = (Account.from_key("0x" + digits * 32) for digits in ("11", "12"))
CREATION = "0x600160005260206000f3"
# emits one log without topics, then stops: PUSH0 PUSH0 LOG0 STOP, returned by its creation code
EMITTER = "0x635f5fa0005f526004601cf3"

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


class Wallet(AuditNode):
    """A node and one account that signs its own transactions, of every type."""

    nonce = 0

    @property
    def reader(self):
        return reader_of(self.url)

    def send(self, **fields) -> str:
        tx = {"chainId": 31337, "nonce": self.nonce, "gas": 200_000, "value": 0} | fields
        if tx.get("type") in (0, 1):
            tx["gasPrice"] = 3 * 10**9
        else:
            tx |= {"maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**9}
        if tx.get("type") == 0:
            del tx["type"]
        self.nonce += 1
        raw = PAYER.sign_transaction(tx).raw_transaction
        return self.call("eth_sendRawTransaction", raw.to_0x_hex())


@pytest.fixture(scope="module")
def node():
    running = Wallet()
    try:
        running.ready().call("anvil_setBalance", PAYER.address, hex(10**20))
        yield running
    finally:
        running.stop()


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def opened(document: dict) -> tuple[blocks.Header, bytes, bytes]:
    """(header, transaction, receipt) as a verifier reads them out of a proof."""
    header = blocks.Header(unhex(document["header"]))
    transaction, receipt = (
        blocks.proven(root, document["index"], [unhex(node) for node in document[part]])
        for root, part in (
            (header.transactions_root, "transaction"),
            (header.receipts_root, "receipt"),
        )
    )
    return header, transaction, receipt


def of_every_kind(node: Wallet) -> list[str]:
    access = [{"address": PAYER.address, "storageKeys": ["0x" + "00" * 31 + "07"]}]
    delegate = OTHER.sign_authorization(
        {"chainId": 31337, "address": "0x" + "00" * 19 + "05", "nonce": 0}
    )
    return [
        node.send(type=0, to="0x" + "22" * 20, value=5),
        node.send(type=0, data=CREATION),
        node.send(type=1, to="0x" + "22" * 20, accessList=access),
        node.send(data=CREATION),
        node.send(to="0x" + "33" * 20, data="0xabcdef"),
        node.send(type=4, to="0x" + "33" * 20, authorizationList=[delegate]),
    ]


@pytest.mark.parametrize("more", [0, 20, 140])
def test_proofs__block_of_every_kind_of_transaction__each_holds(node, more):
    hashes = of_every_kind(node) + [node.send(to="0x" + "44" * 20) for _ in range(more)]
    node.call("evm_mine")
    block = node.call("eth_getBlockByNumber", "latest", False)
    assert len(block["transactions"]) == len(hashes)
    documents = proof.block_proofs(node.reader, block["hash"], hashes)
    for tx_hash in hashes:
        header, transaction, receipt = opened(documents[tx_hash])
        assert header.hash == unhex(block["hash"])
        assert header.timestamp == int(block["timestamp"], 16)
        assert blocks.keccak(transaction) == unhex(tx_hash)
        assert blocks.receipt_logs(receipt) == []


def test_proofs__log_of_a_created_contract__is_read_from_the_proven_receipt(node):
    created = node.send(data=EMITTER)
    node.call("evm_mine")
    address = node.call("eth_getTransactionReceipt", created)["contractAddress"]
    called = node.send(to=unhex(address), data="0x1234")
    node.call("evm_mine")
    _, transaction, receipt = opened(proof.proofs(node.reader, [called])[called])
    assert blocks.receipt_logs(receipt) == [blocks.ReceiptLog(unhex(address), (), b"")]
    assert blocks.transaction_call(transaction) == (unhex(address), b"\x12\x34")


def test_proofs__any_byte_of_a_proof_changed__nothing_is_proven(node):
    hashes = [node.send(to="0x" + "55" * 20) for _ in range(17)]
    node.call("evm_mine")
    document = proof.proofs(node.reader, hashes)[hashes[3]]
    root = blocks.Header(unhex(document["header"])).receipts_root
    nodes = [unhex(item) for item in document["receipt"]]
    assert len(nodes) >= 2
    for place, item in enumerate(nodes):
        for at in range(0, len(item), 7):
            broken = item[:at] + bytes([item[at] ^ 1]) + item[at + 1 :]
            with pytest.raises(Rejected):
                blocks.proven(
                    root, document["index"], [*nodes[:place], broken, *nodes[place + 1 :]]
                )


@pytest.mark.parametrize("case", ["other index", "node missing", "node off the path", "order"])
def test_proofs__other_nodes_or_place__nothing_is_proven(node, case):
    hashes = [node.send(to="0x" + "66" * 20) for _ in range(17)]
    node.call("evm_mine")
    document = proof.proofs(node.reader, hashes)[hashes[1]]
    root = blocks.Header(unhex(document["header"])).receipts_root
    nodes, index = [unhex(item) for item in document["receipt"]], document["index"]
    if case == "other index":
        index += 1
    elif case == "node missing":
        nodes = nodes[:-1]
    elif case == "node off the path":
        nodes = [*nodes, rlp.encode([b"\x20", b"nobody reads me"])]
    else:
        nodes = nodes[::-1]
    with pytest.raises(Rejected):
        blocks.proven(root, index, nodes)


@pytest.mark.parametrize("lie", ["status", "amount", "time"])
def test_proofs__node_that_lies__is_asked_again_and_proves_nothing(node, monkeypatch, lie):
    tx_hash = node.send(to="0x" + "77" * 20, value=1)
    node.call("evm_mine")
    reader = reader_of(node.url)
    honest = reader.nodes.ask

    def lying(calls):
        answers = honest(calls)
        method, result = calls[0][0], answers[0]["result"]
        if method == "eth_getBlockByHash" and lie == "amount" and calls[0][1][1]:
            result["transactions"][0]["value"] = "0x2"
        elif method == "eth_getBlockByHash" and lie == "time":
            result["timestamp"] = "0x1"
        elif method == "eth_getBlockReceipts" and lie == "status":
            result[0]["status"] = "0x0"
        return answers

    monkeypatch.setattr(reader.nodes, "ask", lying)
    with pytest.raises(WrongAnswer):
        proof.proofs(reader, [tx_hash])
    monkeypatch.undo()
    assert proof.proofs(reader, [tx_hash])


def test_proofs__transaction_not_in_that_block__asks_for_another_try(node):
    first = node.send(to="0x" + "88" * 20)
    node.call("evm_mine")
    block = node.call("eth_getBlockByNumber", "latest", False)
    second = node.send(to="0x" + "88" * 20)
    node.call("evm_mine")
    assert proof.block_proofs(node.reader, block["hash"], [first])
    with pytest.raises(WrongAnswer, match="does not hold"):
        proof.block_proofs(node.reader, block["hash"], [second])


def test_proofs__node_silent_or_transaction_unknown__asks_for_another_try(node):
    with pytest.raises(Retry):
        proof.proofs(node.reader, ["0x" + "ab" * 32])
    with pytest.raises(Retry):
        proof.proofs(reader_of("http://127.0.0.1:9"), ["0x" + "ab" * 32])


def test_receipt_logs__transaction_failed__is_unproven():
    failed = rlp.encode([b"", b"\x52\x08", bytes(256), []])
    with pytest.raises(Rejected):
        blocks.receipt_logs(failed)


@pytest.mark.parametrize("junk", [b"", b"\x80", b"\xc0", b"\x02", b"\xc1\x80", b"\xff" * 9])
def test_blocks__junk__only_the_declared_error_comes_out(junk):
    for reader in (blocks.receipt_logs, blocks.transaction_call):
        with pytest.raises(Rejected):
            reader(junk)
    with pytest.raises(Rejected):
        blocks.proven(blocks.keccak(junk), 0, [junk])
    with pytest.raises(Rejected):
        _ = blocks.Header(junk).fields
