"""EIP-712 documents of the rail's own contracts, as wallets show and sign them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_DOMAIN = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)


def typed_document(
    kind: str,
    fields: Sequence[tuple[str, str]],
    message: Mapping[str, Any],
    chain_id: int,
    contract: str,
    version: str = "1",
) -> dict[str, Any]:
    """Return the document of one message.

    Args:
        kind: Name of the message's struct.
        fields: (name, Solidity type) of its fields, in order.
        message: Its values by name.
        chain_id: The chain that the signature is for.
        contract: The contract that checks it.
        version: The version of that contract's signing domain.
    """
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": type_} for name, type_ in _DOMAIN],
            kind: [{"name": name, "type": type_} for name, type_ in fields],
        },
        "primaryType": kind,
        "domain": {
            "name": "proofrail",
            "version": version,
            "chainId": chain_id,
            "verifyingContract": contract,
        },
        "message": dict(message),
    }
