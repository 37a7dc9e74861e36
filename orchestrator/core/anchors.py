"""Anchors: the journal's head behind the call data of our sends, and whether a journal still fits.

An anchor is 40 bytes: the number of the newest entry (8 bytes, big-endian; 0 of an empty journal)
and that entry's hash. Solidity ignores what stands behind the arguments, the sender's signature
covers it, and the chain keeps it. So a journal that was chained again, or whose end was cut off,
contradicts what its own rail has said in public (ADR 10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

ANCHOR_BYTES = 40
_NUMBER_BYTES, _SELECTOR_BYTES, _WORD = 8, 4, 32


@dataclass(frozen=True, slots=True)
class Anchor:
    """What one send said of the journal, and where it stands on chain."""

    number: int
    head: str  # hex, as the journal has it
    block_number: int
    tx_hash: str


class AnchorVerdict(StrEnum):
    """What the anchors say of a journal. Stable codes."""

    HOLDS = "holds"
    RECHAINED = "rechained"  # an entry has another hash than it had
    CUT = "cut"  # an entry that was there is not


@dataclass(frozen=True, slots=True)
class Compared:
    """anchors: how many were compared. entry: the first anchored entry that is another, or is
    missing. same_to: the last anchored entry before it that is as it was (0: none)."""

    verdict: AnchorVerdict
    anchors: int
    entry: int | None = None
    same_to: int = 0
    ends_at: int = 0  # the journal's last entry
    tx_hash: str = ""  # where the anchor that contradicts it stands


def suffix(number: int, head: str) -> bytes:
    """Return the bytes behind a call's arguments. head: the entry's hash, 64 hex digits."""
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes.fromhex(head)


def parse(call_data: bytes) -> tuple[int, str] | None:
    """Return (number, head) behind a call's arguments; None where there is none.

    Call data is a selector of 4 bytes and words of 32 (Solidity ABI, strict encoding), so 40 bytes
    more leave a rest that arguments alone never have.
    """
    if (len(call_data) - _SELECTOR_BYTES) % _WORD != ANCHOR_BYTES % _WORD:
        return None
    if len(call_data) < _SELECTOR_BYTES + ANCHOR_BYTES:
        return None
    tail = call_data[-ANCHOR_BYTES:]
    return int.from_bytes(tail[:_NUMBER_BYTES], "big"), tail[_NUMBER_BYTES:].hex()


def compare(
    anchors: Iterable[Anchor], hash_at: Callable[[int], str | None], ends_at: int
) -> Compared:
    """Compare a journal with its anchors, in any order of theirs.

    Args:
        hash_at: The hash of the entry with a number (of 0: GENESIS); None if there is none.
    """
    count, same_to = 0, 0
    for anchor in (ordered := sorted(anchors, key=lambda a: (a.number, a.block_number, a.tx_hash))):
        count, current_hash = len(ordered), hash_at(anchor.number)
        if current_hash != anchor.head:
            verdict = AnchorVerdict.CUT if anchor.number > ends_at else AnchorVerdict.RECHAINED
            return Compared(verdict, count, anchor.number, same_to, ends_at, anchor.tx_hash)
        same_to = anchor.number
    return Compared(AnchorVerdict.HOLDS, count, None, same_to, ends_at)
