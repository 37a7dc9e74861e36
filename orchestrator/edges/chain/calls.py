"""Calls to our contracts: by name, as bytes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A call to one of our contracts, by name."""

    contract: str
    function: str
    args: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Quote:
    """An encoded call with its gas limit and fees (wei), ready to be signed with a nonce.

    Its nonce is the sender's lowest that no block has used; a store may know higher ones.
    """

    to: str
    data: str
    gas: int
    max_fee_wei: int
    tip_wei: int
    nonce: int


class CallCodec:
    """Encodes and decodes calls.

    Args:
        contracts: web3's contracts by name, with their addresses.
    """

    def __init__(self, contracts: Mapping[str, Any]) -> None:
        self._contracts = contracts

    def encode(self, call: Call) -> tuple[str, bytes]:
        """Return (address of the contract, encoded call)."""
        contract = self._contracts[call.contract]
        return contract.address, bytes.fromhex(
            contract.encode_abi(call.function, list(call.args))[2:]
        )

    def decode(self, target: str, data: bytes) -> Call | None:
        """Return which call to one of our contracts this is, None if it is none."""
        for name, contract in self._contracts.items():
            if contract.address.lower() == target.lower():
                try:
                    function, arguments = contract.decode_function_input(data)
                except ValueError:
                    return None
                return Call(name, function.fn_name, tuple(arguments.values()))
        return None

    def arguments(self, call: Call) -> dict[str, Any]:
        """Return {name of the argument in the contract: its value}; bytes are 0x-hex."""
        function = self._contracts[call.contract].get_function_by_name(call.function)
        names = [item["name"] for item in function.abi["inputs"]]
        return {
            name: "0x" + value.hex() if isinstance(value, bytes) else value
            for name, value in zip(names, call.args, strict=True)
        }
