"""Anchors: the journal's newest hash behind the call data of our sends, and checks against them.

An anchor has 40 bytes: the number of the newest entry (8 bytes, big-endian; 0 for an empty journal)
and that entry's hash. Solidity ignores bytes behind the arguments, the sender's signature covers
them, and the chain keeps them. So a journal whose hashes were recomputed, or whose end was cut off,
contradicts what its own rail has published (ADR 10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

ANCHOR_BYTES = 40
_NUMBER_BYTES, _SELECTOR_BYTES, _WORD = 8, 4, 32


@dataclass(frozen=True, slots=True)
class Anchor:
    """One published journal head, and the transaction that carries it.

    Attributes:
        number: The number of the journal's newest entry at that time; 0 for an empty journal.
        head: Its hash in hex, as the journal has it.
        block_number: The block of the transaction.
        tx_hash: The transaction, 0x-hex.
    """

    number: int
    head: str
    block_number: int
    tx_hash: str


class AnchorVerdict(StrEnum):
    """Whether a journal agrees with its anchors. Stable codes."""

    HOLDS = "holds"
    RECHAINED = "rechained"  # the hash of an anchored entry has changed
    CUT = "cut"  # an anchored entry is missing


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of comparing a journal with its anchors.

    Attributes:
        verdict: Whether they agree.
        anchors: How many anchors were compared.
        entry: The first anchored entry that is different or missing; None if all agree.
        same_to: The last anchored entry before it that is unchanged; 0 for none.
        ends_at: The number of the journal's last entry.
        tx_hash: The transaction of the anchor that contradicts the journal.
    """

    verdict: AnchorVerdict
    anchors: int
    entry: int | None = None
    same_to: int = 0
    ends_at: int = 0
    tx_hash: str = ""


def suffix(number: int, head: str) -> bytes:
    """Return the bytes to append behind a call's arguments.

    Args:
        number: The number of the journal's newest entry.
        head: Its hash, 64 hex digits.
    """
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes.fromhex(head)


def parse(call_data: bytes) -> tuple[int, str] | None:
    """Return the (number, head) behind a call's arguments; None if there is no anchor.

    Call data is a selector of 4 bytes and words of 32 bytes (Solidity ABI, strict encoding), so 40
    more bytes leave a remainder that arguments alone never have.
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
    """Compare a journal with its anchors.

    Args:
        anchors: The anchors, in any order.
        hash_at: Returns the hash of the entry with a number (GENESIS for 0); None if there is none.
        ends_at: The number of the journal's last entry.
    """
    count, same_to = 0, 0
    for anchor in (ordered := sorted(anchors, key=lambda a: (a.number, a.block_number, a.tx_hash))):
        count, current_hash = len(ordered), hash_at(anchor.number)
        if current_hash != anchor.head:
            verdict = AnchorVerdict.CUT if anchor.number > ends_at else AnchorVerdict.RECHAINED
            return Compared(verdict, count, anchor.number, same_to, ends_at, anchor.tx_hash)
        same_to = anchor.number
    return Compared(AnchorVerdict.HOLDS, count, None, same_to, ends_at)
