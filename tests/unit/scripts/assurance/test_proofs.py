"""A proof counts where halmos ended with a yes for every path; anything else fails the line."""

from __future__ import annotations

import pytest

from scripts.assurance.proofs import LEAST, summarise


def proof(name: str, exitcode: int = 0, loops: int = 0) -> dict:
    return {"name": f"check_{name}(uint32)", "exitcode": exitcode, "num_bounded_loops": loops}


@pytest.mark.parametrize(
    ("tests", "value", "note"),
    [
        ([proof("a"), proof("b"), proof("c")], "3 of 3", ""),
        ([proof("a"), proof("b"), proof("c", 1)], "2 of 3", "not proved: check_c"),
        ([proof("a"), proof("b"), proof("c", loops=2)], "3 of 3", "a loop may turn"),
        ([proof("a")], "1 of 1", f"fewer than {LEAST} proofs"),
    ],
    ids=["all", "one fails or runs out of time", "a loop is cut", "too few"],
)
def test_line__of_proofs__fails_on_each_that_is_not_whole(tests, value, note):
    line = summarise({"test_results": {"tests/proofs/Proofs.sol:Proofs": tests}})
    assert line.value == value and line.ok is (note == "") and note in line.note
