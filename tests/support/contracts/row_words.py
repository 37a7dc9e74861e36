"""The word of an agreement as contracts/libraries/Rows.sol describes it, for tests."""

from __future__ import annotations

# name of a part: its lowest bit, its bits (libraries/Rows.sol)
PARTS = {
    "status": (254, 2),
    "steady": (253, 1),
    "sequence": (229, 24),
    "counter": (192, 37),
    "note": (112, 80),
    "escrow": (68, 44),
    "spent": (24, 44),
    "period": (16, 8),
    "expiryDay": (0, 16),
}
FISCAL = 1 << 39  # the stream of a counter
NUMBERS = 1 << 36
LAST_SEQUENCE, LAST_MONEY = (1 << 24) - 1, (1 << 44) - 1


def kept(word: int, name: str) -> int:
    shift, bits = PARTS[name]
    return word >> shift & ((1 << bits) - 1)


def put(word: int, **values: int) -> int:
    """Return the word with these parts replaced; counters as devices count them."""
    for name, value in values.items():
        shift, bits = PARTS[name]
        if name == "counter":
            value = value // FISCAL * NUMBERS + value % FISCAL
        assert value >> bits == 0
        word = word & ~(((1 << bits) - 1) << shift) | value << shift
    return word


def part(word: int, name: str) -> int:
    value = kept(word, name)
    return value // NUMBERS * FISCAL + value % NUMBERS if name == "counter" else value
