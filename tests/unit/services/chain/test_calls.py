"""What the chain's keeper reads and changes in JSON-RPC calls."""

from __future__ import annotations

import json

import pytest

from services.chain.calls import changes_chain, is_refused, parse, with_final


def call(method: str, *params: object) -> dict:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


@pytest.mark.parametrize("tag", ["finalized", "safe"])
@pytest.mark.parametrize(
    ("method", "before", "after"),
    [
        ("eth_getBlockByNumber", ["TAG", False], ["0x1f", False]),
        ("eth_getBalance", ["0xaa", "TAG"], ["0xaa", "0x1f"]),
        ("eth_call", [{"to": "0xaa"}, {"blockNumber": "TAG"}], [{"to": "0xaa"}, "BLOCK"]),
        ("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "TAG"}], "LOGS"),
    ],
)
def test_tag__of_a_final_block__is_the_newest_dumped_one(tag, method, before, after):
    given = json.loads(json.dumps(before).replace("TAG", tag))
    wanted = {
        "LOGS": [{"fromBlock": "0x1", "toBlock": "0x1f"}],
    }.get(str(after), after)
    wanted = [{"blockNumber": "0x1f"} if part == "BLOCK" else part for part in wanted]
    assert with_final(call(method, *given), 31)["params"] == wanted


@pytest.mark.parametrize(
    "other",
    [
        call("eth_getBlockByNumber", "latest", False),
        call("eth_getLogs", {"address": "finalized"}),
        call("web3_sha3", "finalized"),
        {"id": 1, "method": "eth_getBlockByNumber", "params": {"tag": "finalized"}},
        {"id": 1, "method": 7},
        {},
    ],
)
def test_call__without_such_a_tag__stays_as_it_is(other):
    assert with_final(other, 31) == other


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"[1]", b"\xff", b"null", b"[" * 200_000])
def test_body__that_is_no_call__is_refused(body):
    assert parse(body) is None


def test_methods__that_change_the_chain__differ_from_those_that_read():
    changing = ["evm_mine", "anvil_reorg", "evm_revert", "hardhat_setBalance"]
    reading = ["anvil_nodeInfo", "eth_sendRawTransaction", "eth_call", "anvil_dumpState"]
    assert [method for method in changing + reading if changes_chain(call(method))] == changing
    assert is_refused(call("evm_setAutomine", True)) and not is_refused(call("evm_mine"))
