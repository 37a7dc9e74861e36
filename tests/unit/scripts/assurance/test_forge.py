"""What forge printed is read as it ended: passed, failed with its last calls, or not run at all."""

from __future__ import annotations

import pytest

from scripts.assurance.forge import read_run

PASSED = """Ran 1 test for tests/assurance/Invariants.t.sol:InvariantsTest
[PASS] invariant_everyRuleHolds() (runs: 20, calls: 10000, reverts: 0)
"""
FAILED = """[FAIL: no money is stuck]
\t[Sequence] (original: 2, shrunk: 2)
\t\tsender=0x1 addr=[Campaign.sol:Campaign]0x5 calldata=open(uint256) args=[7]
\t\tsender=0x1 addr=[Campaign.sol:Campaign]0x5 calldata=pause(uint256) args=[8 [8e0]]
 invariant_everyRuleHolds() (runs: 3, calls: 1500, reverts: 0)
"""


def test_read__passed__has_its_size():
    run = read_run(PASSED, 0)
    assert (run.ok, run.runs, run.calls, run.failure) == (True, 20, 10_000, "")


def test_read__failed__has_the_reason_and_the_last_calls():
    run = read_run(FAILED, 1)
    assert not run.ok
    assert run.failure == "no money is stuck\nthe last calls: open(7), pause(8)"


@pytest.mark.parametrize(
    ("text", "status"),
    [("No tests to run", 0), ("Compiler run failed", 1), (PASSED, 1), (FAILED, 0)],
    ids=["nothing ran", "not compiled", "passed but exited with 1", "failed but exited with 0"],
)
def test_read__anything_else__is_no_success(text, status):
    run = read_run(text, status)
    assert not run.ok
    assert run.failure
