"""Read ABIs: topics of events, selectors of errors, and logs as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.exceptions import DecodingError
from web3 import Web3
from web3._utils.events import get_event_data
from web3.exceptions import Web3Exception

from orchestrator.core.consensus_bytes import NodeFault, WrongAnswer
from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account

# contracts of 0.3.0 emit these events under their former names
FORMER_NAMES = {"DebtPaid": "CreditPaid"}
# contracts of 0.3.0 to 0.5.0 emit these events with other arguments: (name, type, indexed) of each
FORMER_ARGUMENTS = {
    "AgreementOpened": (
        ("agreement", "bytes32", True),
        ("payer", "address", True),
        ("payee", "address", True),
        ("device", "bytes32", False),
        ("product", "address", False),
        ("expiry", "uint32", False),
        ("firstCounter", "uint40", False),
        ("terms", "bytes", False),
    ),
    "PayoutAccountSet": (("payee", "address", True), ("account", "bytes32", False)),
    "PauseSet": (("paused", "bool", False),),
    "DisputeEnded": (
        ("payment", "bytes32", True),
        ("refunded", "bool", False),
        ("amount", "uint48", False),
    ),
}
_KEPT_LOGS = 4_096  # decoded logs in memory: far more than the blocks hold that are read again
_PRESENT_NAMES = {former: name for name, former in FORMER_NAMES.items()}


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block as the node shows it; hashes are 0x-hex, timestamp is Unix seconds."""

    number: int
    hash: str
    parent: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """A decoded log of one of our contracts; bytes arguments are 0x-hex.

    Its address is in lower case, and "" in logs that a release before 0.6.0 stored.
    """

    name: str
    args: dict[str, Any]
    tx_hash: str
    block_number: int
    block_hash: str
    index: int
    address: str = ""


def _signature(abi: dict[str, Any]) -> str:
    def kind(part: dict[str, Any]) -> str:
        if not part["type"].startswith("tuple"):
            return part["type"]
        inner = ",".join(kind(component) for component in part["components"])
        return f"({inner}){part['type'][5:]}"

    return f"{abi['name']}({','.join(kind(argument) for argument in abi['inputs'])})"


def event_topics(abi: list[dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield (topic 0, event ABI) of each event, and of each former form that an event had."""
    for item in abi:
        if item["type"] != "event":
            continue
        for declared in (item, *_former(item)):
            yield Web3.keccak(text=_signature(declared)).to_0x_hex(), declared


def _former(item: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if name := FORMER_NAMES.get(item["name"]):
        yield {**item, "name": name}
    if arguments := FORMER_ARGUMENTS.get(item["name"]):
        inputs = [
            {"name": name, "type": kind, "indexed": indexed} for name, kind, indexed in arguments
        ]
        yield {**item, "inputs": inputs}


def error_selectors(abis: Iterable[list[dict[str, Any]]]) -> Iterable[tuple[str, str]]:
    """Yield (selector, name) of each custom error, so that a revert can be named."""
    for abi in abis:
        for item in abi:
            if item["type"] == "error":
                yield Web3.keccak(text=_signature(item)).to_0x_hex()[:10], item["name"]


def _typed(raw: dict[str, Any]) -> dict[str, Any]:
    quantities = ("blockNumber", "logIndex", "transactionIndex")
    typed = {name: int(value, 16) if name in quantities else value for name, value in raw.items()}
    typed["topics"] = [bytes.fromhex(topic[2:]) for topic in raw["topics"]]
    typed["data"] = bytes.fromhex(raw["data"][2:])
    return typed


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def decode_log(codec: ABICodec, abi: dict[str, Any], raw: dict[str, Any]) -> DecodedLog:
    """Decode a log by its event's ABI.

    Args:
        codec: web3's ABI codec.
        abi: The event's ABI, as `event_topics` yields it.
        raw: The log as JSON-RPC gives it.

    Returns:
        The log under the event's present name.
    """
    event = get_event_data(codec, abi, _typed(raw))
    return DecodedLog(
        name=_PRESENT_NAMES.get(event["event"], event["event"]),
        args={name: _plain(value) for name, value in event["args"].items()},
        tx_hash=event["transactionHash"],
        block_number=event["blockNumber"],
        block_hash=event["blockHash"],
        index=event["logIndex"],
        address=raw["address"].lower(),
    )


class LogDecoder:
    """Decodes the logs of some contracts, each log once: the newest blocks are read repeatedly.

    Args:
        codec: web3's ABI codec.
        abis: Address (0x-hex) -> ABI of the contract there.
    """

    def __init__(self, codec: ABICodec, abis: Mapping[str, list[dict[str, Any]]]) -> None:
        self._codec = codec
        self._events = {
            (address.lower(), topic): event
            for address, abi in abis.items()
            for topic, event in event_topics(abi)
        }
        self._decoded: dict[tuple[str, str], DecodedLog] = {}  # by block hash and index

    def name(self, raw: dict[str, Any]) -> str | None:
        """Return the present name of the event of a checked log; None if it is not known."""
        event = self._event(raw)
        return _PRESENT_NAMES.get(event["name"], event["name"]) if event else None

    def decode(self, raw_logs: Iterable[dict[str, Any]]) -> list[DecodedLog]:
        """Return the logs whose events are known.

        Args:
            raw_logs: Checked logs, as core/block_json.py makes them.

        Raises:
            WrongAnswer: One does not have the arguments of its event.
        """
        return [
            self._one(event, raw) for raw in raw_logs if (event := self._event(raw)) is not None
        ]

    def _event(self, raw: dict[str, Any]) -> dict[str, Any] | None:
        return self._events.get((raw["address"], raw["topics"][0])) if raw["topics"] else None

    def _one(self, event: dict[str, Any], raw: dict[str, Any]) -> DecodedLog:
        key = (raw["blockHash"], raw["logIndex"])
        log = self._decoded.get(key)
        if log is None:
            if len(self._decoded) >= _KEPT_LOGS:
                self._decoded.clear()
            try:
                log = self._decoded[key] = decode_log(self._codec, event, raw)
            except (Web3Exception, DecodingError, ValueError) as error:
                raise WrongAnswer(
                    NodeFault.MALFORMED,
                    f"log {raw['logIndex']} of block {raw['blockHash']} is no {event['name']}: the "
                    "node shows a chain with another contract at our address",
                ) from error
        return log
