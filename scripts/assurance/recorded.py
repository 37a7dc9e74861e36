"""Lines that tests of the contracts record while they run."""

from __future__ import annotations

import os

from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.pytest_run import TestResults, run_pytest


def measure_roles(task: AssuranceTask) -> list[AssuranceLine]:
    """Run the role matrix and return its size: every function that changes something x callers."""
    results = run_pytest(["tests/contracts/test_roles.py"], task.folder)
    recorded = dict(results.recorded)
    size = " x ".join(f"{recorded.get(name, 'no')} {name}" for name in ("functions", "roles"))
    ok = results.ok and len(recorded) == 2
    return [AssuranceLine("role matrix", size, ok, _failures(results))]


def measure_stolen_keys(task: AssuranceTask) -> list[AssuranceLine]:
    """Attack with k stolen keys and return what they took, for each size of committee."""
    results = run_pytest(["tests/contracts/test_stolen_keys.py"], task.folder)
    return _each_recorded(results, "stolen keys", least=2)


def measure_wycheproof(task: AssuranceTask) -> list[AssuranceLine]:
    """Check signatures of Project Wycheproof with and without the P-256 precompile."""
    results = run_pytest(["tests/contracts/test_wycheproof.py"], task.folder)
    return _each_recorded(results, "Wycheproof", least=2)


def measure_vectors(task: AssuranceTask) -> list[AssuranceLine]:
    """Compare prices and hashes of the contracts with the products' Python."""
    environment = {**os.environ, "ASSURANCE_EXTENT": "60" if task.long else "6"}
    results = run_pytest(["tests/assurance/test_vectors.py"], task.folder, environment)
    return _each_recorded(results, "fuzz", least=4)


def _each_recorded(results: TestResults, name: str, least: int) -> list[AssuranceLine]:
    """Return a line for each value that the tests recorded, and one where they failed."""
    lines = [AssuranceLine(key, value, results.ok) for key, value in results.recorded]
    if not results.ok or len(lines) < least:
        counts = ", ".join(f"{number} {word}" for word, number in sorted(results.counts.items()))
        lines.append(AssuranceLine(name, counts or "no test ran", False, _failures(results)))
    return lines


def _failures(results: TestResults) -> str:
    return "\n".join(results.failures)
