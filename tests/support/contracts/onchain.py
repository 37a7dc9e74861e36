"""Contracts on the test chain as Python objects: one HTTP call per read, one per transaction.

web3's own contract objects cost milliseconds per call in checks that these tests do not need, and
poll for receipts; `requests` costs another millisecond. Types are encoded by web3's codec and logs
decoded by web3, as in the product.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Iterator, Sequence
from functools import cached_property
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from web3 import Web3
from web3._utils.events import get_event_data

from orchestrator.edges.chain.abi import event_topics
from orchestrator.edges.chain.ethereum import LocalAccount
from services.testnet import TX_GAS_LIMIT

CODEC = Web3().codec
_JSON = {"Content-Type": "application/json"}


class Node:
    """A chain's JSON-RPC over one kept connection."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=120)

    def answer(self, method: str, *params: Any) -> dict[str, Any]:
        """Return the node's whole answer, which holds either `result` or `error`."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        self._connection.request("POST", "/", json.dumps(body), _JSON)
        return json.loads(self._connection.getresponse().read())

    def rpc(self, method: str, *params: Any) -> Any:
        """Return the result of one call. Raises RuntimeError with the node's error."""
        answer = self.answer(method, *params)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def mined(self, call: dict[str, Any]) -> dict[str, Any]:
        """Send a transaction of an account that the chain signs for; return its receipt.

        Raises AssertionError if the transaction reverted.
        """
        receipt = self.rpc("eth_sendTransactionSync", {"gas": hex(TX_GAS_LIMIT), **call})
        assert receipt["status"] == "0x1", f"reverted: {self.answer('eth_call', call, 'latest')}"
        return receipt

    def timestamp(self, block: str = "latest") -> int:
        """Return the time of a block in Unix seconds."""
        return int(self.rpc("eth_getBlockByNumber", block, False)["timestamp"], 16)

    def mine_at(self, timestamp: int) -> None:
        """Mine one block of that time (Unix seconds)."""
        self.rpc("evm_mine", {"timestamp": hex(timestamp)})

    def snapshot(self) -> str:
        """Return the id of a snapshot, which one `restore` uses up."""
        return self.rpc("evm_snapshot")

    def restore(self, snapshot: str) -> None:
        """Undo everything since the snapshot. A revert leaves the pool, so that goes as well."""
        assert self.rpc("evm_revert", snapshot), "the chain could not be restored"
        self.rpc("anvil_dropAllTransactions")


class Account(str):
    """A development account: its checksummed address, which is a string, and its key."""

    private_key: bytes

    def __new__(cls, signer: LocalAccount) -> Account:
        account = super().__new__(cls, signer.address)
        account.private_key = bytes(signer.key)
        return account

    @property
    def address(self) -> str:
        return str(self)


class EventLog:
    """A decoded log: its name, and its arguments as attributes or items."""

    def __init__(self, event_name: str, arguments: dict[str, Any]) -> None:
        self.event_name, self._arguments = event_name, arguments

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_arguments"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name: str) -> Any:
        return self._arguments[name]


class MinedReceipt:
    """What a transaction did: gas used, and the logs of every contract of ours."""

    def __init__(self, raw: dict[str, Any], events: dict[str, dict[str, Any]]) -> None:
        self._raw, self._events = raw, events
        self.gas_used = int(raw["gasUsed"], 16)

    @cached_property
    def events(self) -> list[EventLog]:
        return [
            self._decoded(self._events[log["topics"][0]], log)
            for log in self._raw["logs"]
            if log["topics"][0] in self._events
        ]

    def _decoded(self, abi: dict[str, Any], log: dict[str, Any]) -> EventLog:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        raw = {**log, "topics": topics, "data": bytes.fromhex(log["data"][2:])}
        return EventLog(abi["name"], dict(get_event_data(CODEC, abi, raw)["args"]))


class OnChain:
    """A deployed contract; its functions are attributes.

    A view answers when it is called. Any other function is sent by `sender` and returns its
    receipt; `Method.encode_input` gives the call data alone.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        address: str,
        abi: list[dict[str, Any]],
        events: dict[str, dict[str, Any]],
    ) -> None:
        self.node, self.contract_name = node, name
        self.address, self.events = address, events
        functions = [item for item in abi if item["type"] == "function"]
        self._methods = {item["name"]: Method(self, item) for item in functions}
        assert len(self._methods) == len(functions), f"{name} has functions of one name"

    @property
    def mutable_methods(self) -> list[Method]:
        return [method for method in self._methods.values() if not method.is_view]

    def method(self, name: str) -> Method:
        """Return a function by name, also where this class has an attribute of that name."""
        return self._methods[name]

    def __getattr__(self, name: str) -> Method:
        try:
            return self.__dict__["_methods"][name]
        except KeyError:
            contract = self.__dict__.get("contract_name")
            raise AttributeError(f"{contract} has no function {name}") from None


class Method:
    """One function of a deployed contract."""

    def __init__(self, contract: OnChain, abi: dict[str, Any]) -> None:
        self.contract, self.name = contract, abi["name"]
        self.is_view = abi["stateMutability"] in ("view", "pure")
        self._inputs, self._outputs = abi["inputs"], abi["outputs"]
        self._types = [kind(part) for part in self._inputs]
        self._selector = Web3.keccak(text=f"{self.name}({','.join(self._types)})")[:4]

    def encode_input(self, *args: Any) -> bytes:
        """Return the call data. Accounts and contracts stand for their addresses."""
        return bytes(self._selector) + CODEC.encode(self._types, plain(args))

    def request(self, *args: Any, sender: Any = None) -> dict[str, Any]:
        """Return the call as JSON-RPC takes it."""
        request = {"to": self.contract.address, "data": Web3.to_hex(self.encode_input(*args))}
        return request | ({"from": str(sender)} if sender is not None else {})

    def __call__(self, *args: Any, sender: Any = None) -> Any:
        request = self.request(*args, sender=sender)
        node = self.contract.node
        if not self.is_view:
            assert sender is not None, f"{self.name} changes the chain: name a sender"
            return MinedReceipt(node.mined(request), self.contract.events)
        return self.decoded(node.rpc("eth_call", request, "latest"))

    @property
    def has_many_outputs(self) -> bool:
        return len(self._outputs) > 1

    def decoded(self, answer: str) -> Any:
        """Return what a call answered: one value, or several under the contract's names."""
        data = bytes.fromhex(answer[2:])
        values = CODEC.decode([kind(part) for part in self._outputs], data)
        shaped = _shaped(self._outputs, values)
        return shaped if len(self._outputs) != 1 else shaped[0]


def creation(artifact: Any, args: Sequence[Any]) -> str:
    """Return the data of the transaction that creates a contract. made: its build artifact."""
    inputs = next((item["inputs"] for item in artifact.abi if item["type"] == "constructor"), [])
    return artifact.bytecode + CODEC.encode([kind(part) for part in inputs], plain(args)).hex()


def events_of(artifacts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the event ABIs of all contracts by topic 0."""
    return {
        topic: abi for artifact in artifacts.values() for topic, abi in event_topics(artifact.abi)
    }


def errors_of(artifacts: dict[str, Any]) -> dict[bytes, tuple[str, list[str]]]:
    """Return name and argument types of every custom error by its selector."""
    return dict(_errors(artifacts))


def _errors(artifacts: dict[str, Any]) -> Iterator[tuple[bytes, tuple[str, list[str]]]]:
    for artifact in artifacts.values():
        for item in artifact.abi:
            if item["type"] == "error":
                types = [kind(part) for part in item["inputs"]]
                selector = Web3.keccak(text=f"{item['name']}({','.join(types)})")[:4]
                yield bytes(selector), (item["name"], types)


def kind(part: dict[str, Any]) -> str:
    """Return a parameter's type as signatures write it, structs as tuples."""
    if not part["type"].startswith("tuple"):
        return part["type"]
    return f"({','.join(map(kind, part['components']))}){part['type'][5:]}"


def plain(value: Any) -> Any:
    """Replace accounts and contracts, at any depth, by their addresses."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.address if isinstance(value, OnChain | Account) else value


def _shaped(parts: list[dict[str, Any]], values: Sequence[Any]) -> tuple[Any, ...]:
    """A tuple whose items have the names that the contract gives them."""
    names = [part["name"] or f"item_{index}" for index, part in enumerate(parts)]
    shape = namedtuple("Answer", names, rename=True)
    return shape(*(_typed(part, value) for part, value in zip(parts, values, strict=True)))


def _typed(part: dict[str, Any], value: Any) -> Any:
    if part["type"].endswith("]"):
        inner = {**part, "type": part["type"][: part["type"].rindex("[")]}
        return [_typed(inner, item) for item in value]
    if part["type"] == "tuple":
        return _shaped(part["components"], value)
    return Web3.to_checksum_address(value) if part["type"] == "address" else value
