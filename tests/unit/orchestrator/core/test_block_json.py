"""Headers, receipts and tries as Ethereum hashes them; anything else is the declared error."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from orchestrator.core.block_json import (
    CheckedHeader,
    bloom_bits,
    check_header,
    check_linked,
    check_nonce,
    check_receipts,
    check_transaction,
    check_transactions,
)
from orchestrator.core.consensus_bytes import WrongAnswer, ordered_root

ROOT = b"\x11" * 32
FIRST = CheckedHeader(7, "0xaa", "0x99", 100, b"", ROOT, ROOT, ROOT, bytes(256))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("0x"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["hash", "number", "type", "logs", "status", "to", "accountProof", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=300))
@settings(max_examples=40, deadline=None)
def test_ordered_root__of_any_list__is_that_of_the_library(values):
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    assert ordered_root(values) == trie.root_hash


@pytest.mark.parametrize("count", [127, 128, 129, 255, 256, 257])
def test_ordered_root__where_keys_grow_longer__is_that_of_the_library(count):
    values, trie = [bytes([index % 251 + 1]) * 40 for index in range(count)], HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    assert ordered_root(values) == trie.root_hash


@given(_JSON)
@settings(max_examples=300, deadline=None)
def test_checks__of_any_json__raise_only_a_wrong_answer(anything):
    for check in (
        lambda: check_header(anything),
        lambda: check_receipts(FIRST, anything),
        lambda: check_transactions(FIRST, anything, 1),
        lambda: check_transaction(anything, "0x" + "00" * 32),
        lambda: check_nonce(FIRST, "0x" + "11" * 20, anything),
    ):
        with pytest.raises(WrongAnswer):
            check()


@pytest.mark.parametrize(
    "change", [{"parent": "0xbb"}, {"number": 9}, {"number": 7}, {"parent": ""}]
)
def test_linked__block_that_does_not_follow__is_a_wrong_answer(change):
    after = replace(FIRST, number=8, hash="0xbb", parent="0xaa")
    check_linked([FIRST, after])
    with pytest.raises(WrongAnswer, match=r"\[parent\]"):
        check_linked([FIRST, replace(after, **change)])


def test_bloom__with_the_bits_of_an_address__may_hold_it_and_no_other():
    ours, other = b"\x01" * 20, b"\x02" * 20
    filled = replace(FIRST, bloom=bloom_bits(ours).to_bytes(256, "big"))
    assert filled.may_hold([ours]) and filled.may_hold([other, ours])
    assert not filled.may_hold([other]) and not FIRST.may_hold([ours, other])
