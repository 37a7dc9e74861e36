"""Merkle trees: roots, proofs, and their verification (docs/ARCHITECTURE.md).

A parent is keccak256 of its two children in ascending order; a node without a sibling moves up
unchanged. OpenZeppelin's `MerkleProof` verifies the same form on chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sha3


def keccak(data: bytes) -> bytes:
    """Return the keccak256 hash (32 bytes)."""
    return sha3.keccak_256(data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over 32-byte leaves in the given order.

    Raises:
        ValueError: there are no leaves.
    """
    if not leaves:
        raise ValueError("a tree without leaves has no root")
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof of leaf `index`: its siblings from the leaf's level up to the root's.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level, siblings = list(leaves), []
    while len(level) > 1:
        if index ^ 1 < len(level):  # the last of an odd number has no sibling
            siblings.append(level[index ^ 1])
        level, index = _above(level), index // 2
    return siblings


def climb(leaf: bytes, path: Iterable[bytes]) -> bytes:
    """Return the root that `path` leads to from a 32-byte leaf."""
    node = leaf
    for sibling in path:
        node = _parent(node, sibling)
    return node


def climbs(leaf: bytes, path: Iterable[bytes], root: bytes) -> bool:
    """Return whether `path` proves that the 32-byte leaf belongs to the root."""
    return climb(leaf, path) == root


def evidence_root(evidence_hashes: Sequence[bytes]) -> bytes:
    """Return the root of a run's evidence: each leaf is keccak256 of a record's SHA-256."""
    return root([keccak(evidence_hash) for evidence_hash in evidence_hashes])


def _above(level: list[bytes]) -> list[bytes]:
    parents = [_parent(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return parents + level[-1:] if len(level) % 2 else parents


def _parent(left: bytes, right: bytes) -> bytes:
    return sha3.keccak_256(left + right if left < right else right + left).digest()
