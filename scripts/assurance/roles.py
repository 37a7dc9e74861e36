"""Every function that changes something, called by every role."""

from __future__ import annotations

from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.pytest_run import run_pytest

TESTS = "tests/contracts/test_roles.py"


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Run the role matrix and return its size, which the test records."""
    results = run_pytest([TESTS], task.folder)
    recorded = dict(results.recorded)
    size = " x ".join(f"{recorded.get(name, '0')} {name}" for name in ("functions", "roles"))
    return [AssuranceLine("role matrix", size, results.ok, "\n".join(results.failures))]
