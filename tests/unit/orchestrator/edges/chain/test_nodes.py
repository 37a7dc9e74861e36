"""Several nodes: one that is silent is replaced, and a batch is as large as a node takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import requests

from orchestrator.edges.chain.nodes import Nodes, lacks_method, names_of
from orchestrator.errors import Retry


class PlainNode:
    """Answers every call with its own name; takes `most` calls at once. In place of a session."""

    def __init__(self, name: str, most: int = 1_000) -> None:
        self.name, self.most, self.silent, self.sizes = name, most, False, []

    def post(self, url, json, timeout):
        if self.silent:
            raise requests.ConnectionError(f"refused by {url}")
        calls = json if isinstance(json, list) else [json]
        self.sizes.append(len(calls))
        if len(calls) > self.most:
            body = {"error": {"code": -32600, "message": "batch too large"}}
        else:
            body = [{"id": call["id"], "result": self.name} for call in calls]
        return SimpleNamespace(status_code=200, json=lambda: body)


def nodes_of(*plain: PlainNode) -> tuple[Nodes, list[float]]:
    clock = [0.0]
    urls = [f"https://{node.name}.example/v3/SECRET" for node in plain]
    nodes = Nodes(urls, 1, lambda: clock[0])
    for endpoint, node in zip(nodes.endpoints, plain, strict=True):
        endpoint._session = node
    return nodes, clock


def ask(nodes: Nodes, count: int = 1) -> set[str]:
    return set(nodes.rpc_many([("eth_x", [])] * count))


def test_ask__first_node_silent__asks_the_next_and_comes_back_to_the_first():
    first, second = PlainNode("a"), PlainNode("b")
    nodes, clock = nodes_of(first, second)
    assert ask(nodes) == {"a"} and second.sizes == []
    first.silent = True
    assert ask(nodes) == {"b"}
    first.silent = False
    assert ask(nodes) == {"b"}  # it rests
    clock[0] += 16
    assert ask(nodes) == {"a"}
    assert [endpoint.state.error for endpoint in nodes.endpoints] == ["", ""]


def test_ask__all_nodes_silent__names_each_without_its_secrets():
    first, second = PlainNode("a"), PlainNode("b")
    first.silent = second.silent = True
    nodes, _ = nodes_of(first, second)
    with pytest.raises(Retry, match=r"a\.example.*b\.example") as caught:
        ask(nodes)
    states = " ".join(endpoint.state.error for endpoint in nodes.endpoints)
    assert "SECRET" not in str(caught.value) + states and "ConnectionError" in states


def test_distrust__after_an_answer_that_proves_nothing__asks_another_node_for_a_while():
    nodes, clock = nodes_of(PlainNode("a"), PlainNode("b"))
    ask(nodes)
    nodes.distrust("a wrong root")
    assert nodes.endpoints[0].state.error == "a wrong root"
    assert ask(nodes) == {"b"}
    clock[0] += 16
    assert ask(nodes) == {"a"}


def test_each__asks_every_node_and_waits_for_no_silent_one_again():
    first, second = PlainNode("a"), PlainNode("b")
    nodes, clock = nodes_of(first, second)
    calls = [("eth_x", [])]
    assert list(nodes.each(calls).values()) == [["a"], ["b"]]
    nodes.distrust("a lie")  # it is asked all the same: a liar's view counts here
    assert list(nodes.each(calls).values()) == [["a"], ["b"]]
    first.silent = True
    assert list(nodes.each(calls).values()) == [["b"]]
    first.silent = False
    assert list(nodes.each(calls).values()) == [["b"]]
    clock[0] += 16
    assert list(nodes.each(calls).values()) == [["a"], ["b"]]
    first.silent = second.silent = True
    with pytest.raises(Retry):
        nodes.each(calls)


def test_batches__of_a_node_that_takes_ten__are_learned_and_grow_up_to_ten():
    node = PlainNode("a", most=10)
    nodes, _ = nodes_of(node)
    assert ask(nodes, 200) == {"a"}
    assert node.sizes[:6] == [200, 100, 50, 25, 12, 6]
    node.sizes.clear()
    for _ in range(100):
        ask(nodes, 60)
    refused = [size for size in node.sizes if size > 10]
    assert nodes.endpoints[0].most == 10 and len(refused) <= 3
    assert nodes.endpoints[0].state.most_calls == 10


def test_batches__of_a_node_that_takes_more_again__grow_again():
    node = PlainNode("a", most=10)
    nodes, _ = nodes_of(node)
    ask(nodes, 200)
    node.most = 1_000
    for _ in range(2_000):
        ask(nodes, 400)
    assert nodes.endpoints[0].most == 200


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        ({"code": -32601, "message": "Method not found"}, True),
        ({"code": -32004, "message": "Method eth_getBlockReceipts is not supported"}, True),
        ({"code": -32600, "message": "Unsupported method: eth_getBlockReceipts"}, True),
        ("the method eth_getBlockReceipts does not exist/is not available", True),
        ({"code": -32000, "message": "header not found"}, False),
        ({"code": -32005, "message": "limit exceeded"}, False),
        (None, False),
    ],
)
def test_lacks_method__as_nodes_say_it__is_known(error, lacks):
    assert lacks_method({"id": 0, "error": error}) is lacks


def test_names__hold_no_secret_and_are_different():
    urls = ["https://u:p@n.example/k1?t=1", "https://n.example/k2", "http://127.0.0.1:8545"]
    assert names_of(urls) == [
        "https://n.example (1)",
        "https://n.example (2)",
        "http://127.0.0.1:8545",
    ]
