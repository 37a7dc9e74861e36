"""Random agreements of the index products, priced by the contract and by Python: `make fuzz`."""

from __future__ import annotations

import os
import subprocess
import sys

from scripts.assurance.line import AssuranceLine, AssuranceTask

CASES, LONG_CASES = 50_000, 1_000_000


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Compare claims in a process of its own and return the line about them."""
    cases = LONG_CASES if task.long else CASES
    task.say(f"{cases:,} claims")
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", str(cases)],
        cwd=task.root,
        env={**os.environ, "PYTHONPATH": str(task.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    return [read_line(run.stdout, run.stderr, run.returncode)]


def read_line(output: str, errors: str, status: int) -> AssuranceLine:
    """Read what `tests.fuzz` printed and exited with."""
    rows = [row.strip() for row in output.splitlines()]
    compared = next((row for row in rows if "claims compared" in row), "not measured")
    notes = rows if rows and compared != "not measured" else [*rows, errors.strip()[-2000:]]
    ok = status == 0 and compared.endswith(" 0 differences")
    return AssuranceLine("fuzz: index", compared, ok, "\n".join(notes))
