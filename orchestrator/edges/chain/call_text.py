"""Decodes a call to one of our contracts into named arguments, for people to check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web3 import Web3

from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.rails import abi_of, address_of


def call_view(deployment: Deployment, sender: str, call: Call) -> dict[str, Any]:
    """Return the JSON view of a call: contract, function, named arguments, and its call data.

    The arguments are decoded from the call data itself: what is shown is what would be signed.

    Args:
        deployment: Where the contracts are.
        sender: Who signs it.
        call: The call.
    """
    abi = abi_of(deployment, load_artifacts(), call.contract)
    contract = Web3().eth.contract(address_of(deployment, call.contract), abi=abi)
    data = contract.encode_abi(call.function, list(call.args))
    _, arguments = contract.decode_function_input(data)
    return {
        "from": sender,
        "to": contract.address,
        "contract": call.contract,
        "function": call.function,
        "arguments": {name: _plain(value) for name, value in arguments.items()},
        "data": data,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value
