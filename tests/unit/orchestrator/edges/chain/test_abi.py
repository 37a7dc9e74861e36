"""Logs of earlier contracts: an event that was renamed is read under its present name."""

from __future__ import annotations

from eth_abi import encode
from web3 import Web3

from orchestrator.core.audit.blocks import ReceiptLog
from orchestrator.core.audit.logs import FORMER_NAMES as AUDITED_NAMES
from orchestrator.core.audit.logs import events
from orchestrator.edges.chain.abi import FORMER_NAMES, decode_log, event_topics
from orchestrator.edges.chain.artifacts import load_artifacts

AGREEMENT, PAYEE = b"\1" * 32, "0x" + "22" * 20
FORMER_TOPIC = Web3.keccak(text="CreditPaid(bytes32,address,uint256)")


def test_decode_log__debt_paid_on_a_rail_of_0_3_0__has_the_present_name():
    abi = dict(event_topics(load_artifacts()["PaymentRail"].abi))[FORMER_TOPIC.to_0x_hex()]
    raw = {
        "address": "0x" + "33" * 20,
        "topics": [FORMER_TOPIC.to_0x_hex(), "0x" + AGREEMENT.hex(), "0x" + PAYEE[2:].zfill(64)],
        "data": "0x" + encode(["uint256"], [7]).hex(),
        "transactionHash": "0x" + "44" * 32,
        "blockHash": "0x" + "55" * 32,
        "blockNumber": "0x1",
        "transactionIndex": "0x0",
        "logIndex": "0x2",
    }
    log = decode_log(Web3().codec, abi, raw)
    assert log.name == "DebtPaid"
    assert log.args == {"agreement": "0x" + AGREEMENT.hex(), "payee": PAYEE, "amount": 7}


def test_audit_events__debt_paid_on_a_rail_of_0_3_0__has_the_present_name():
    topics = [bytes(FORMER_TOPIC), AGREEMENT, bytes.fromhex(PAYEE[2:].zfill(64))]
    log = ReceiptLog(b"\3" * 20, topics, encode(["uint256"], [7]))
    assert events([log], b"\3" * 20) == [("DebtPaid", (AGREEMENT, PAYEE, 7))]


def test_former_names__of_events__are_the_same_for_chain_and_audit():
    assert FORMER_NAMES == AUDITED_NAMES
