"""Runs every test, contracts under Ape and the rest without it; ends with one line of counts."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Ape's plugin costs seconds at each start, so only the contract tests pay for it
PARTS = {
    "house, unit, every": [sys.executable, "-m", "pytest", "-rs", "tests/house", "tests/unit",
                           "tests/every"],
    "contracts (Ape)": [sys.executable, "-m", "scripts.with_ape", "test", "tests/contracts",
                        "-c", "tests/contracts/pytest.ini", "--rootdir", str(ROOT)],
    "flow": [sys.executable, "-m", "pytest", "-rs", "tests/flow"],
}  # fmt: skip
# set-up brings it: tests that skip for its absence would hide a broken set-up
_MISSING = "anvil is not installed"
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed|deselected)")


def main() -> int:
    """Exit code 0 only if every part ran at least one test and none failed."""
    wanted = sys.argv[1:]
    totals: Counter[str] = Counter()
    broken = []
    for name, command in PARTS.items():
        if wanted and not any(word in name for word in wanted):
            continue
        begun = time.monotonic()
        print(f"\n=== {name}", flush=True)
        counts, code = _run(command)
        totals += counts
        if code or not counts["passed"]:
            broken.append(name)
        print(f"=== {name}: {dict(counts)} in {time.monotonic() - begun:.0f} s", flush=True)
    failed = totals["failed"] + totals["error"] + totals["errors"]
    if broken and not failed:
        failed = len(broken)  # a part that could not even run is a failure
    if broken:
        print(f"failed: {', '.join(broken)}")
    skipped = f", {totals['skipped']} skipped" if totals["skipped"] else ""
    print(f"{totals['passed']} passed, {failed} failed{skipped}")
    return 1 if broken else 0


def _run(command: list[str]) -> tuple[Counter[str], int]:
    """Runs one part, shows its output as it comes, and counts from pytest's own last line."""
    counts: Counter[str] = Counter()
    missing = False
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        print(line, end="", flush=True)
        missing = missing or _MISSING in line
        found = _COUNT.findall(line)
        if found and " in " in line:
            counts = Counter({word: int(number) for number, word in found})
    return counts, process.wait() or int(missing)


if __name__ == "__main__":
    raise SystemExit(main())
