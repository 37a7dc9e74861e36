"""Merkle trees as docs/ARCHITECTURE.md has them: roots, paths, and whether a path climbs.

A parent is keccak256 of its two children in ascending order; an odd node moves up unchanged.
This is the order-free form that OpenZeppelin's `MerkleProof` checks on chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sha3


def keccak(data: bytes) -> bytes:
    return sha3.keccak_256(data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over 32-byte leaves in the given order. ValueError where there are none."""
    if not leaves:
        raise ValueError("a tree without leaves has no root")
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings from leaf `index` up to the root. IndexError where there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level, siblings = list(leaves), []
    while len(level) > 1:
        if index ^ 1 < len(level):  # an odd node has no sibling on its level
            siblings.append(level[index ^ 1])
        level, index = _above(level), index // 2
    return siblings


def climbs(leaf: bytes, path: Iterable[bytes], root: bytes) -> bool:
    """Whether `path` leads from the 32-byte leaf to the root."""
    node = leaf
    for sibling in path:
        node = _parent(node, sibling)
    return node == root


def evidence_root(evidence_hashes: Sequence[bytes]) -> bytes:
    """The root of a run's evidence: a leaf is keccak256 of a record's SHA-256, in counter order."""
    return root([keccak(evidence_hash) for evidence_hash in evidence_hashes])


def _above(level: list[bytes]) -> list[bytes]:
    parents = [_parent(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return parents + level[-1:] if len(level) % 2 else parents


def _parent(one: bytes, other: bytes) -> bytes:
    return sha3.keccak_256(one + other if one < other else other + one).digest()
