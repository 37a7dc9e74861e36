"""Results of pytest are read from its XML: counts, failures, and what tests recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.assurance.pytest_run import read_results, run_pytest

TESTS = """
import pytest

def test_good(record_property):
    record_property("figure", 7)

@pytest.mark.parametrize("number", [1, 2])
def test_more(number):
    {line}
"""


@pytest.mark.parametrize(
    ("line", "counts", "ok"),
    [
        ("pass", {"passed": 3}, True),
        ("assert number == 1, 'it is two'", {"passed": 2, "failed": 1}, False),
        ("number == 1 or pytest.skip('not here')", {"passed": 2, "skipped": 1}, False),
    ],
    ids=["passed", "failed", "skipped"],
)
def test_results__of_a_run__are_counted(tmp_path: Path, line, counts, ok) -> None:
    test = tmp_path / "test_example.py"
    test.write_text(TESTS.format(line=line))
    results = run_pytest(["-p", "no:cacheprovider", "-c", "/dev/null", str(test)], tmp_path)
    assert results.counts == counts and results.ok is ok
    assert results.recorded == (("figure", "7"),)
    assert bool(results.failures) is (counts.get("failed", 0) > 0)


def test_results__no_test_at_all__are_not_ok(tmp_path: Path) -> None:
    empty = tmp_path / "results.xml"
    empty.write_text("<testsuites><testsuite/></testsuites>")
    assert not read_results(empty).ok
