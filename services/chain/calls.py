"""What the keeper reads in a JSON-RPC call before anvil gets it: block tags, work and refusals."""

from __future__ import annotations

import json
from typing import Any

SENDS = frozenset({"eth_sendRawTransaction", "eth_sendTransaction"})
# the keeper alone decides when a block is mined, and these wait for a block of somebody else's
_REFUSED = frozenset(
    {
        "evm_setAutomine",
        "anvil_setAutomine",
        "evm_setIntervalMining",
        "anvil_setIntervalMining",
        "eth_sendRawTransactionSync",
        "eth_sendTransactionSync",
    }
)
_TAGS = ("finalized", "safe")
_TAGGED_KEYS = ("fromBlock", "toBlock", "blockNumber")
_CHANGING = ("evm_", "anvil_", "hardhat_")
_READING = frozenset(
    {"anvil_nodeInfo", "anvil_metadata", "anvil_dumpState", "anvil_getAutomine", "evm_snapshot"}
)


def parse(body: bytes) -> list[dict[str, Any]] | None:
    """Return the calls of a body, one or those of a batch; None if it holds none in JSON."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    calls = parsed if isinstance(parsed, list) else [parsed]
    if not calls or not all(isinstance(call, dict) for call in calls):
        return None
    return calls


def is_refused(call: dict[str, Any]) -> bool:
    """Return whether this chain does not offer a method that anvil has."""
    return call.get("method") in _REFUSED


def changes_chain(call: dict[str, Any]) -> bool:
    """Return whether a call may change blocks or state without a transaction."""
    method = call.get("method")
    return isinstance(method, str) and method.startswith(_CHANGING) and method not in _READING


def with_final(call: dict[str, Any], final: int) -> dict[str, Any]:
    """Return a call with the number of the final block where it says `finalized` or `safe`.

    anvil counts them from its newest block; here they are the newest block that a dump holds.
    """
    method, params = call.get("method"), call.get("params")
    if not (isinstance(method, str) and method.startswith("eth_") and isinstance(params, list)):
        return call
    return call | {"params": [_param_with_final(param, hex(final)) for param in params]}


def _param_with_final(param: Any, final: str) -> Any:
    if isinstance(param, str):
        return final if param in _TAGS else param
    if isinstance(param, dict):
        return {
            key: final if key in _TAGGED_KEYS and value in _TAGS else value
            for key, value in param.items()
        }
    return param


def refusal(call: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a method that this chain does not offer."""
    text = f"{call.get('method')}: the keeper of this chain decides when it mines"
    return _error(call.get("id"), -32601, text)


def error_body(text: str) -> bytes:
    """Return the answer to a body that is no call."""
    return json.dumps(_error(None, -32600, text)).encode()


def _error(number: Any, code: int, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
