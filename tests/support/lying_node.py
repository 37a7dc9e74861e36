"""A node that lies: the real one behind it, with some of its answers changed on the way.

It stands in the place of an endpoint's HTTP session, so it costs no process and no port.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import requests

from orchestrator.edges.chain.client import Chain

Answers = list[dict[str, Any]]
_EMPTY = "0x" + "00" * 256  # a bloom filter
# changes answers in place, or returns a whole reply (status, body); None or False: nothing to do
Lie = Callable[["LyingNode", Answers, Answers], Any]


class LyingNode:
    """Lies `left` times about what `lie` knows how to change; `lied` counts, for ever."""

    def __init__(self, chain: Chain) -> None:
        self._endpoint = chain.nodes.endpoints[0]
        self._real = self._endpoint._session
        self._endpoint._session = self
        self.lie: Lie | None = None
        self.left = self.lied = 0
        self.is_batch = True  # the last request was
        self.asked: list[list[str]] = []  # the methods of each request

    def lie_about(self, lie: Lie, times: int = 1) -> None:
        self.lie, self.left, self.lied = lie, times, 0

    def stop(self) -> None:
        self._endpoint._session = self._real

    def ask(self, method: str, *params: Any) -> Any:
        """Ask the real node."""
        body = [{"jsonrpc": "2.0", "id": 0, "method": method, "params": list(params)}]
        return self._real.post(self._endpoint.url, json=body, timeout=60).json()[0].get("result")

    def post(self, url: str, json: Any, timeout: Any) -> Any:
        calls = json if isinstance(json, list) else [json]
        self.is_batch = isinstance(json, list)
        self.asked.append([call["method"] for call in calls])
        real = self._real.post(url, json=json, timeout=timeout)
        if not self.left or self.lie is None:
            return real
        answers = real.json()
        spoiled = copy.deepcopy(answers if isinstance(answers, list) else [answers])
        by_id = sorted(spoiled, key=lambda answer: answer["id"])
        did = self.lie(self, calls, by_id)
        if not did:
            return real
        self.lied, self.left = self.lied + 1, self.left - 1
        if isinstance(did, Exception):
            raise did
        return _reply(*did) if isinstance(did, tuple) else _reply(200, by_id)


def _reply(status: int, body: Any) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return SimpleNamespace(status_code=status, json=lambda: json.loads(text))


# --- lies about one method


def about(method: str, change: Callable[[LyingNode, list[Any], Any], Any]) -> Lie:
    """A lie about the first result of a method that `change` can change.

    change: (node, parameters of the call, result) -> another result; None: not this one.
    """

    def lie(node: LyingNode, calls: Answers, answers: Answers) -> bool:
        for call, answer in zip(calls, answers, strict=True):
            if call["method"] == method and answer.get("result") is not None:
                changed = change(node, call["params"], answer["result"])
                if changed is not None:
                    answer["result"] = None if changed == "null" else changed
                    return True
        return False

    return lie


def _with_logs(receipts: Any) -> dict[str, Any] | None:
    return next((receipt for receipt in receipts if receipt["logs"]), None)


def _without_its_log(node: LyingNode, params: list[Any], receipts: Any) -> Any:
    """Leave out the logs of one transaction, and say so consistently in its bloom filter."""
    receipt = _with_logs(receipts)
    if receipt is None:
        return None
    receipt["logs"], receipt["logsBloom"] = [], _EMPTY
    return receipts


def _in_another_spelling(node: LyingNode, params: list[Any], receipts: Any) -> Any:
    """Write the address so that it is the same bytes and another text."""
    receipt = _with_logs(receipts)
    if receipt is None:
        return None
    for log in receipt["logs"]:
        log["address"] = "zz" + log["address"][2:]
    return receipts


def _of_the_block_before(node: LyingNode, params: list[Any], receipts: Any) -> Any:
    block = node.ask("eth_getBlockByHash", params[0], False)
    return node.ask("eth_getBlockReceipts", block["parentHash"])


def _field(name: str, value: Any) -> Callable[[LyingNode, list[Any], Any], Any]:
    def change(node: LyingNode, params: list[Any], block: Any) -> Any:
        if isinstance(params[0], str) and params[0] in ("latest", "finalized"):
            return None
        return block | {name: value(block) if callable(value) else value}

    return change


def _earlier(node: LyingNode, params: list[Any], block: Any) -> Any:
    """Give the block before the one that was asked for."""
    if params[0] in ("latest", "finalized"):
        return None
    return node.ask("eth_getBlockByHash", block["parentHash"], params[1])


def _stale(node: LyingNode, params: list[Any], block: Any) -> Any:
    """Give an older block as the newest one, as a node behind a load balancer does."""
    if params[0] != "latest":
        return None
    return node.ask("eth_getBlockByNumber", hex(int(block["number"], 16) - 1), False)


def _other_call(node: LyingNode, params: list[Any], block: Any) -> Any:
    """Change the call data of a transaction in a whole block."""
    if not params[1] or not block["transactions"]:
        return None
    block["transactions"][0]["input"] += "00"
    return block


def _swapped(node: LyingNode, params: list[Any], block: Any) -> Any:
    """Give another hash to a transaction: its log would be taken for that of another payment."""
    if not params[1] or not block["transactions"]:
        return None
    return block | {"transactions": block["transactions"][:1] * (len(block["transactions"]) + 1)}


def _place(node: LyingNode, number: int) -> dict[str, Any]:
    block = node.ask("eth_getBlockByNumber", hex(number), False)
    return {"blockHash": block["hash"], "blockNumber": block["number"]}


CONTENT: dict[str, Lie] = {
    "a log left out once": about("eth_getBlockReceipts", _without_its_log),
    "an address in another spelling": about("eth_getBlockReceipts", _in_another_spelling),
    "receipts short": about("eth_getBlockReceipts", lambda n, p, r: r[:-1] if r else None),
    "receipts doubled": about("eth_getBlockReceipts", lambda n, p, r: r + r[:1] if r else None),
    "receipts of another block": about("eth_getBlockReceipts", _of_the_block_before),
    "receipts are null": about("eth_getBlockReceipts", lambda n, p, r: "null"),
    "receipts are words": about("eth_getBlockReceipts", lambda n, p, r: ["words"]),
    "another receipts root": about(
        "eth_getBlockByNumber", _field("receiptsRoot", "0x" + "11" * 32)
    ),
    "a bloom filter of nothing": about(
        "eth_getBlockByNumber",
        lambda n, p, b: (
            b | {"logsBloom": _EMPTY} if b["logsBloom"] != _EMPTY and p[0] != "latest" else None
        ),
    ),
    "another time": about("eth_getBlockByNumber", _field("timestamp", "0x1")),
    "another parent": about("eth_getBlockByNumber", _field("parentHash", "0x" + "22" * 32)),
    "a field of a later fork": about(
        "eth_getBlockByNumber",
        lambda n, p, b: b | {"blockAccessListHash": "0x" + "33" * 32, "gasUsed": "0x1"},
    ),
    "a header without its end": about(
        "eth_getBlockByNumber",
        lambda n, p, b: {name: value for name, value in b.items() if name != "requestsHash"},
    ),
    "another block": about("eth_getBlockByNumber", _earlier),
    "a block that is no object": about("eth_getBlockByNumber", lambda n, p, b: [1]),
    "other call data": about("eth_getBlockByHash", _other_call),
    "a transaction twice": about("eth_getBlockByHash", _swapped),
    "a null receipt": about("eth_getTransactionReceipt", lambda n, p, r: "null"),
    "a receipt without a block": about(
        "eth_getTransactionReceipt",
        lambda n, p, r: r | {"blockHash": None, "blockNumber": None},
    ),
    "a receipt of another block": about(
        "eth_getTransactionReceipt",
        lambda n, p, r: r | _place(n, int(r["blockNumber"], 16) - 1),
    ),
    "other call data of one transaction": about(
        "eth_getTransactionByHash", lambda n, p, t: t | {"input": t["input"] + "00"}
    ),
}
STALE_HEAD: Lie = about("eth_getBlockByNumber", _stale)


# --- lies about the transport


def _answers(change: Callable[[Answers], Any]) -> Lie:
    return lambda node, calls, answers: change(answers)


def _limit(most: int, refuse: Callable[[Answers, Answers], Any]) -> Lie:
    """A node that takes no more calls in one batch."""
    return lambda node, calls, answers: refuse(calls, answers) if len(calls) > most else False


def _first(answers: Answers, count: int) -> bool:
    del answers[count:]
    return True


def _error(text: str, code: int = -32600) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}


def _cut(answers: Answers, count: int) -> bool:
    for answer in answers[count:]:
        answer.pop("result", None)
        answer["error"] = {"code": -32003, "message": "response too large"}
    return True


def _renumbered(answers: Answers) -> bool:
    for answer in answers:
        answer["id"] += 1
    return True


def _twice(answers: Answers) -> bool:
    answers.append(answers[0])
    return True


TRANSPORT: dict[str, Lie] = {
    "HTTP 429": _answers(lambda answers: (429, "{}")),
    "HTTP 500": _answers(lambda answers: (500, "<html>oops</html>")),
    "truncated JSON": _answers(lambda answers: (200, json.dumps(answers)[:-9])),
    "no JSON object": _answers(lambda answers: (200, '"words"')),
    "wrong ids": _answers(_renumbered),
    "an answer twice": _answers(_twice),
    "silence": _answers(lambda answers: requests.ReadTimeout("slow")),
    "an internal error": _answers(lambda answers: (200, _error("internal error", -32603))),
}
LIMITS: dict[str, Lie] = {
    "an error for the batch": _limit(10, lambda c, a: (200, _error("batch too large"))),
    "an error as erigon words it": _limit(
        10, lambda c, a: (200, _error("batch limit 10 exceeded: 30 requests given", -32000))
    ),
    "HTTP 413": _limit(10, lambda c, a: (413, "")),
    "part of the answers": _limit(10, lambda c, a: _first(a, 10)),
    "an error for each of the rest": _limit(10, lambda c, a: _cut(a, 10)),
    "no batch at all": lambda node, calls, answers: (
        (200, _error("invalid request")) if node.is_batch else False
    ),
}
