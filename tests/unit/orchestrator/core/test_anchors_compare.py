"""Anchors as bytes, and what they prove about a journal; no chain, no store."""

from __future__ import annotations

from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as some

from orchestrator.core.anchors import ANCHOR_BYTES, Anchor, AnchorVerdict, compare, parse, suffix
from orchestrator.core.ledger import GENESIS

HEADS = [GENESIS, *(f"{n:064x}" for n in range(1, 10))]


def anchor(number: int, head: str | None = None) -> Anchor:
    return Anchor(number, head or HEADS[number], 100 + number, f"0x{number}")


def held(anchors: list[Anchor], heads: list[str]):
    return compare(anchors, lambda n: heads[n] if n < len(heads) else None, len(heads) - 1)


@given(
    some.integers(0, 2**64 - 1),
    some.binary(min_size=32, max_size=32),
    some.lists(some.integers(0, 2**32 - 1), max_size=5),
)
def test_suffix__behind_any_call__is_read_back(number, head, times):
    call = b"\x01\x02\x03\x04" + encode(("address", "uint32[]"), ("0x" + "11" * 20, times))
    assert parse(call) is None
    assert len(suffix(number, head.hex())) == ANCHOR_BYTES
    assert parse(call + suffix(number, head.hex())) == (number, head.hex())


def test_parse__no_call_at_all__is_no_anchor():
    assert parse(b"") is None
    assert parse(suffix(1, HEADS[1])) is None  # no selector before it
    assert parse(bytes(4)) is None
    assert parse(bytes(12)) is None  # the right rest, and not the length


def test_compare__every_anchor_in_the_journal__holds_and_names_the_newest():
    comparison = held([anchor(3), anchor(0), anchor(7)], HEADS)
    assert (comparison.verdict, comparison.anchors, comparison.same_to, comparison.ends_at) == (
        AnchorVerdict.HOLDS,
        3,
        7,
        9,
    )


def test_compare__no_anchors__match():
    comparison = held([], HEADS)
    assert (comparison.verdict, comparison.anchors, comparison.same_to) == (
        AnchorVerdict.HOLDS,
        0,
        0,
    )


def test_compare__an_entry_of_another_hash__is_rechained_from_after_the_last_that_held():
    changed = HEADS[:4] + ["f" * 64] * 6
    comparison = held([anchor(8), anchor(2), anchor(5)], changed)
    assert (comparison.verdict, comparison.entry, comparison.same_to) == (
        AnchorVerdict.RECHAINED,
        5,
        2,
    )
    assert comparison.tx_hash == "0x5"


def test_compare__entries_missing__is_cut():
    comparison = held([anchor(2), anchor(8)], HEADS[:6])
    assert (comparison.verdict, comparison.entry, comparison.same_to, comparison.ends_at) == (
        AnchorVerdict.CUT,
        8,
        2,
        5,
    )


def test_compare__a_journal_that_began_again_after_an_empty_one_was_anchored__holds():
    assert held([anchor(0)], HEADS).verdict is AnchorVerdict.HOLDS
    assert held([Anchor(0, HEADS[1], 1, "0x")], HEADS).verdict is AnchorVerdict.RECHAINED


@settings(max_examples=300)
@given(some.lists(some.integers(0, 9), min_size=1), some.integers(1, 9), some.randoms())
def test_compare__a_change_at_any_entry__is_seen_where_an_anchor_follows_it(at, changed, chance):
    """Re-chaining from an entry on gives every later one another hash."""
    heads = [h if n < changed else "f" * 60 + h[-4:] for n, h in enumerate(HEADS)]
    anchors = [anchor(n) for n in at]
    comparison = held(anchors, heads)
    chance.shuffle(anchors)
    assert held(anchors, heads) == comparison
    seen = [n for n in at if n >= changed]
    assert comparison.verdict is (AnchorVerdict.RECHAINED if seen else AnchorVerdict.HOLDS)
    assert comparison.entry == (min(seen) if seen else None)
    cut = held(anchors, HEADS[:changed])
    assert cut.verdict is (AnchorVerdict.CUT if seen else AnchorVerdict.HOLDS)
