"""Read ABIs: topics of events, selectors of errors, and logs as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eth_abi.codec import ABICodec
from web3 import Web3
from web3._utils.events import get_event_data

from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account

# contracts of 0.3.0 emit these events under their former names
FORMER_NAMES = {"DebtPaid": "CreditPaid"}
_PRESENT_NAMES = {former: name for name, former in FORMER_NAMES.items()}


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """A decoded log of one of our contracts; bytes arguments are 0x-hex."""

    name: str
    args: dict[str, Any]
    tx_hash: str
    block_number: int
    block_hash: str
    index: int


def _signature(abi: dict[str, Any]) -> str:
    def kind(part: dict[str, Any]) -> str:
        if not part["type"].startswith("tuple"):
            return part["type"]
        inner = ",".join(kind(component) for component in part["components"])
        return f"({inner}){part['type'][5:]}"

    return f"{abi['name']}({','.join(kind(argument) for argument in abi['inputs'])})"


def event_topics(abi: list[dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield (topic 0, event ABI) of each event, and of each former name that an event had."""
    for item in abi:
        if item["type"] != "event":
            continue
        former = FORMER_NAMES.get(item["name"])
        for declared in (item, {**item, "name": former}) if former else (item,):
            yield Web3.keccak(text=_signature(declared)).to_0x_hex(), declared


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
    )
