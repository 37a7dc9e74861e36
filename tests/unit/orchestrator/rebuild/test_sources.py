"""The order of sources: the journal's, where it has one; each track keeps its own throughout."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rebuild.sources import in_order


@given(st.data(), st.integers(0, 8), st.integers(0, 8))
def test_in_order__any_interleaving__keeps_tracks_and_journal(data, many, more) -> None:
    blocks, files = [f"b{i}" for i in range(many)], [f"f{i}" for i in range(more)]
    whole, left, right = [], list(blocks), list(files)
    while left or right:
        track = data.draw(st.sampled_from([t for t in (left, right) if t]))
        whole.append(track.pop(0))
    journal = [source for source in whole if data.draw(st.booleans())]
    inputs = in_order(journal + journal, blocks, files)
    assert sorted(inputs) == sorted(blocks + files)
    assert [s for s in inputs if s in journal] == journal
    for track in (blocks, files):
        assert [s for s in inputs if s in track] == track


def test_in_order__silent_sources__come_right_behind_their_predecessor() -> None:
    assert in_order(["b1", "f0"], ["b0", "b1", "b2"], ["f0", "f1"]) == [
        "b0",
        "b1",
        "b2",
        "f0",
        "f1",
    ]


def test_in_order__journal_takes_one_too_early__its_predecessors_come_along() -> None:
    assert in_order(["b2", "b0", "b1"], ["b0", "b1", "b2"]) == ["b0", "b1", "b2"]


def test_in_order__source_of_no_track__stands_where_the_journal_has_it() -> None:
    assert in_order(["b0", "d7", "b1"], ["b0", "b1"]) == ["b0", "d7", "b1"]
