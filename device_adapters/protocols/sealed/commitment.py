"""Commits a report to the raw records behind its totals, on the device's side.

Each record gets a random salt. The commitment in the report is the root of a Merkle tree (RFC 9162,
section 2.1, SHA-256) over salt || record. Records and salts stay with the device: a record with its
salt and path can be shown to those it is due to, and a record whose salt is deleted can be shown to
nobody any more, while the signed totals stand. Without its salt not even a guess can be confirmed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

SALT_BYTES = 32
_LEAF, _NODE = b"\x00", b"\x01"


class SaltedRecord(NamedTuple):
    """A raw record, and the salt that only its device has."""

    salt: bytes
    record: bytes


class RecordProof(NamedTuple):
    """What shows that a record was among those of a commitment.

    index, count: its place among how many. path: hashes from its leaf to the root.
    """

    salted: SaltedRecord
    index: int
    count: int
    path: tuple[bytes, ...]


def salted(records: Iterable[bytes]) -> list[SaltedRecord]:
    """Return records with new salts."""
    return [SaltedRecord(secrets.token_bytes(SALT_BYTES), record) for record in records]


def commitment_of(records: Sequence[SaltedRecord]) -> bytes:
    """Return the 32 bytes for the member `commitment` of a report.

    Raises:
        ValueError: there is no record, or a salt has not 32 bytes.
    """
    if not records or any(len(item.salt) != SALT_BYTES for item in records):
        raise ValueError(f"a commitment needs records, each with a salt of {SALT_BYTES} bytes")
    return _root([_leaf(item) for item in records])


def proof_of(records: Sequence[SaltedRecord], index: int) -> RecordProof:
    """Return the proof of one of the records of a commitment."""
    path = _path([_leaf(item) for item in records], index)
    return RecordProof(records[index], index, len(records), tuple(path))


def proves(proof: RecordProof, commitment: bytes) -> bool:
    """Return whether a record was among those of a commitment (RFC 9162, section 2.1.3.2)."""
    if len(proof.salted.salt) != SALT_BYTES or not 0 <= proof.index < proof.count:
        return False
    node, index, last = _leaf(proof.salted), proof.index, proof.count - 1
    for sibling in proof.path:
        if not last:
            return False
        if index % 2 or index == last:
            node = _node(sibling, node)
            while not index % 2 and index:
                index, last = index // 2, last // 2
        else:
            node = _node(node, sibling)
        index, last = index // 2, last // 2
    return not last and hmac.compare_digest(node, commitment)


def _root(nodes: Sequence[bytes]) -> bytes:
    if len(nodes) == 1:
        return nodes[0]
    half = _half(len(nodes))
    return _node(_root(nodes[:half]), _root(nodes[half:]))


def _path(nodes: Sequence[bytes], index: int) -> list[bytes]:
    if len(nodes) == 1:
        return []
    half = _half(len(nodes))
    if index < half:
        return [*_path(nodes[:half], index), _root(nodes[half:])]
    return [*_path(nodes[half:], index - half), _root(nodes[:half])]


def _half(count: int) -> int:
    """Return the largest power of two below a count."""
    return 1 << (count - 1).bit_length() - 1


def _leaf(item: SaltedRecord) -> bytes:
    return sha256(_LEAF + item.salt + item.record).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()
