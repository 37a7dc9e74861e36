"""Calls to our contracts: by name, as bytes, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from web3 import Web3

from orchestrator.edges.chain import ethereum  # noqa: F401 - web3 imports eth-account


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


class Contracts(Mapping[str, Any]):
    """web3's contracts by name, each built at its first use: that takes ten milliseconds each.

    Args:
        web3: Where they are called.
        addresses: Name -> address.
        abis: Name -> interface.
    """

    def __init__(
        self, web3: Web3, addresses: Mapping[str, str], abis: Mapping[str, list[dict[str, Any]]]
    ) -> None:
        self.addresses = addresses
        self._web3, self._abis = web3, abis
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a contract."""
        if name not in self._built:
            kind, _, place = name.partition("@")
            if name in self.addresses:
                address, abi = self.addresses[name], self._abis[name]
            else:  # one of many, at the address in its name
                address, abi = Web3.to_checksum_address(place), self._abis[kind]
            self._built[name] = self._web3.eth.contract(address=address, abi=abi)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self.addresses)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.addresses)


class CallCodec:
    """Encodes and decodes calls."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    def encode(self, call: Call) -> tuple[str, bytes]:
        """Return (address of the contract, encoded call)."""
        contract = self._contracts[call.contract]
        return contract.address, bytes.fromhex(
            contract.encode_abi(call.function, list(call.args))[2:]
        )

    def decode(self, target: str, data: bytes) -> Call | None:
        """Return which call to one of our contracts this is, None if it is none."""
        for name, address in self._contracts.addresses.items():
            if address.lower() == target.lower():
                try:
                    function, arguments = self._contracts[name].decode_function_input(data)
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
