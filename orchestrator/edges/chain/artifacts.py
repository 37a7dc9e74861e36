"""Load the compiled contracts that ship with the package, one file each.

`scripts/solidity/` makes them from the sources of a checkout. A folder with a release's number has
the interfaces of that release's contracts, which a rail that moved still calls.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).with_name("artifacts")
_PRODUCTS = "contracts/products/"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    Attributes:
        name: The contract's name.
        abi: Its interface.
        bytecode: Its creation code, 0x-hex.
        deployed_size: Bytes of its deployed code.
        code_hash: SHA-256 of its deployed code with zeros for the immutables, hex.
        immutables: (start, length) in bytes of each place of an immutable in the deployed code.
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_size: int
    code_hash: str
    immutables: list[list[int]]

    def has(self, function: str) -> bool:
        """Return whether it has a function of that name."""
        return any(item.get("name") == function for item in self.abi if item["type"] == "function")

    def is_code(self, code: bytes) -> bool:
        """Return whether this is the contract's deployed code; immutables may have any value."""
        return self.code_hash == masked_hash(code, self.immutables)


def masked_hash(code: bytes, immutables: list[list[int]]) -> str:
    """Return SHA-256 (hex) of deployed code with zeros for (start, length) of each immutable."""
    masked = bytearray(code)
    for start, length in immutables:
        masked[start : start + length] = bytes(length)
    return hashlib.sha256(masked).hexdigest()


class Artifacts(dict[str, Artifact]):
    """Every deployable contract by name, and former interfaces by name@release.

    A former interface has an ABI and no code: nobody deploys it again. A release without a folder
    has the interfaces of the next one that has, or else those of today.
    """

    def __missing__(self, name: str) -> Artifact:
        """Return the interface of a contract as a release made it."""
        contract, _, release = name.partition("@")
        later = [
            (_numbers(key.partition("@")[2]), key)
            for key in self
            if key.startswith(f"{contract}@")
            and _numbers(key.partition("@")[2]) >= _numbers(release)
        ]
        if not release or not (later or contract in self):
            raise KeyError(name)
        artifact = self[min(later)[1]] if later else self[contract]
        return replace(artifact, bytecode="", deployed_size=0, code_hash="")


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", release)))


def load_artifacts() -> Artifacts:
    """Return every contract that ships with the package."""
    former = {
        f"{record['name']}@{folder.name}": Artifact(record["name"], record["abi"], "", 0, "", [])
        for folder in sorted(SHIPPED.iterdir())
        if folder.is_dir()
        for record in read_records(folder)
    }
    present = {
        record["name"]: Artifact(
            record["name"],
            record["abi"],
            record["bytecode"],
            record["deployedSize"],
            record["codeHash"],
            record["immutables"],
        )
        for record in read_records(SHIPPED)
    }
    return Artifacts(former | present)


def product_contracts() -> tuple[str, ...]:
    """Return the names of the products: the contracts that were made from contracts/products/."""
    records = read_records(SHIPPED)
    return tuple(record["name"] for record in records if record["source"].startswith(_PRODUCTS))


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the content of each artifact file in a folder, ordered by name."""
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
