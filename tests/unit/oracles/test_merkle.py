"""Merkle trees: each leaf has a proof, nothing else does, and parents hash sorted pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.merkle import climbs, evidence_root, keccak, path, root

leaf = st.binary(min_size=32, max_size=32)
trees = st.lists(leaf, min_size=1, max_size=40)


@given(trees, st.data())
def test_path__any_leaf_of_any_tree__climbs_to_the_root(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert climbs(leaves[index], path(leaves, index), root(leaves))


@given(st.lists(leaf, min_size=1, max_size=40, unique=True), leaf, st.data())
def test_climbs__a_leaf_that_is_not_in_the_tree__is_refused(leaves, stranger, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    if stranger not in leaves:
        assert not climbs(stranger, path(leaves, index), root(leaves))


def test_root__three_leaves__promotes_the_odd_one_and_sorts_each_pair():
    a, b, c = (bytes([n]) * 32 for n in (9, 4, 7))
    pair = keccak(b + a)  # ascending, in any order of the leaves
    assert root([a, b, c]) == keccak(min(pair, c) + max(pair, c))
    assert path([a, b, c], 2) == [pair]


def test_evidence_root__one_record__is_the_keccak_of_its_hash():
    assert evidence_root([b"\x01" * 32]) == keccak(b"\x01" * 32)


def test_root__no_leaves__is_no_tree():
    with pytest.raises(ValueError):
        root([])
    with pytest.raises(IndexError):
        path([b"\x01" * 32], 1)
