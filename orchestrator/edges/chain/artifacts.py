"""Load the compiled contracts that ship with the package, one file each.

`scripts/solidity/` makes them from the sources of a checkout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).with_name("artifacts")
_PRODUCTS = "contracts/products/"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract: ABI, creation code (0x hex), size of the deployed code in bytes."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_size: int


def load_artifacts() -> dict[str, Artifact]:
    """Return every deployable contract by name."""
    return {
        record["name"]: Artifact(
            record["name"], record["abi"], record["bytecode"], record["deployedSize"]
        )
        for record in read_records(SHIPPED)
    }


def product_contracts() -> tuple[str, ...]:
    """Return the names of the products: the contracts that were made from contracts/products/."""
    records = read_records(SHIPPED)
    return tuple(record["name"] for record in records if record["source"].startswith(_PRODUCTS))


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the content of each artifact file in a folder, ordered by name."""
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
