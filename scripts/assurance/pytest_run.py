"""Runs tests in a process and reads their results and what they recorded."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from scripts.solidity.sources import ROOT

_XML = ("-o", "junit_family=xunit1")  # the form that keeps what tests recorded


@dataclass(frozen=True)
class TestResults:
    """What pytest reported.

    Attributes:
        counts: How many tests passed, failed and were skipped.
        recorded: What tests passed to `record_property`: (name, value), in their order.
        failures: A line for each test that failed.
    """

    __test__ = False  # no class of tests

    counts: Counter[str]
    recorded: tuple[tuple[str, str], ...]
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether tests ran and each passed; a skipped one measured nothing."""
        return set(self.counts) == {"passed"}


def run_pytest(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    home: Path = ROOT,
) -> TestResults:
    """Run pytest and return its results.

    Args:
        arguments: Files, tests and options.
        folder: Takes pytest's output and its XML.
        environment: Of the process; by default that of this one.
        home: The project's folder, or that of a copy.

    Raises:
        RuntimeError: It ended without results.
    """
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    with (folder / "pytest.log").open("w") as log:
        command = [sys.executable, "-m", "pytest", "-q", *_XML, f"--junitxml={results}", *arguments]
        subprocess.run(
            command, cwd=home, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
        )
    if not results.exists():
        raise RuntimeError(f"pytest ended without results; its output is in {folder}/pytest.log")
    return read_results(results)


def read_results(path: Path) -> TestResults:
    """Read pytest's XML."""
    counts: Counter[str] = Counter()
    recorded, failures = [], []
    for case in ElementTree.parse(path).iter("testcase"):
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            failures.append(f"{case.get('name')}: {problem.get('message', '')[:200]}")
        outcome = "failed" if problem is not None else "passed"
        counts["skipped" if case.find("skipped") is not None else outcome] += 1
        recorded += [(p.get("name", ""), p.get("value", "")) for p in case.iter("property")]
    return TestResults(counts, tuple(recorded), tuple(failures))
