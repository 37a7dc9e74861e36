"""Unlock tokens: the standard tokens of OpenPAYGO Token 2.3, as a pure function of key and number.

A device takes a token only under a count above the last one it took, and looks at most 64 counts
ahead. So each of its tokens has a number, 1, 2, 3 and so on in the order of finality on chain,
through all agreements of the device, and the number decides about the count: the same payment has
the same digits for ever, and no two payments share a count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core.effect import MAX_DAYS, UnlockMode

KEY_BYTES = 16
MAX_CODE = 999_999_999  # nine digits
MAX_COUNT = 1_000_000  # a digit string costs one hash for each count
WINDOW = 64  # counts that a device looks ahead
_VALUES = 1_000  # the last three digits hold days, masked by those of the starting code
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class UnlockKey:
    """What a device and its rail share.

    Attributes:
        key: 16 bytes; never shown.
        count: The device's count before its first token from this rail.
        starting_code: Nine digits; None: made from the key, as devices do.
    """

    key: bytes = field(repr=False)
    count: int = 1
    starting_code: int | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UnlockToken:
    """One token. digits: what a person types into the device."""

    digits: str = field(repr=False)
    count: int
    mode: UnlockMode
    days: int


def token_of(key: UnlockKey, number: int, mode: UnlockMode, days: int) -> UnlockToken:
    """Return a device's n-th token.

    Args:
        key: The device's.
        number: From 1.
        mode: Whether it adds days or sets them.
        days: 1 to 995.
    """
    count = count_of(key.count, number, mode)
    return UnlockToken(digits_of(key, count, days), count, mode, days)


def count_of(before: int, number: int, mode: UnlockMode) -> int:
    """Return the count of a device's n-th token.

    Tokens that add time have even counts, those that set it odd ones (the standard's rule). Each
    number has one of each to itself, so that the count follows from number and mode alone.

    Args:
        before: The device's count before its first token.
        number: From 1.
        mode: The token's mode.
    """
    even = before + before % 2 + 2 * number
    return even if mode is UnlockMode.ADD_TIME else even - 1


def digits_of(key: UnlockKey, count: int, value: int) -> str:
    """Return the nine digits of a standard token.

    Raises:
        ValueError: Count or value is out of range.
    """
    if not 0 <= value <= MAX_DAYS or not 0 < count <= MAX_COUNT:
        raise ValueError(f"count {count} or value {value} is out of range")
    code = starting_code(key.key) if key.starting_code is None else key.starting_code
    masked = (code + value) % _VALUES
    token = code - code % _VALUES + masked
    for _ in range(count):
        token = _next(token, key.key)
    return f"{token - token % _VALUES + masked:09}"


def starting_code(key: bytes) -> int:
    """Return the starting code that a device makes of its key."""
    return _code(siphash(key, key))


def _next(token: int, key: bytes) -> int:
    word = token.to_bytes(4, "big")
    return _code(siphash(key, word + word))


def _code(hashed: int) -> int:
    """Return at most nine digits of a hash: the upper 30 bits of its halves' difference."""
    code = ((hashed >> 32) ^ (hashed & 0xFFFF_FFFF)) >> 2
    return code if code <= MAX_CODE else code - 73_741_825


def siphash(key: bytes, data: bytes) -> int:
    """Return SipHash-2-4 (64 bits) of data under a key of 16 bytes."""
    k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    state = (
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    )
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        state = v0 ^ word, v1, v2, v3
    v0, v1, v2, v3 = state
    state = v0, v1, v2 ^ 0xFF, v3
    for _ in range(4):
        state = _round(*state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = _turned(v1, 13) ^ v0
    v0 = _turned(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _turned(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _turned(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _turned(v1, 17) ^ v2
    return v0, v1, _turned(v2, 32), v3


def _turned(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (64 - bits))) & _MASK
