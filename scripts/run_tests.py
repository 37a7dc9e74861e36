"""Runs every test, contracts under Ape and the rest without it; ends with one line of counts.

Two lanes at once: whole rails mostly wait for blocks and processes, the other tests compute. The
second lane's output follows when it is over.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
# Ape's plugin costs seconds at each start, so only the contract tests pay for it
PARTS = {
    "style, unit, every": [
        sys.executable,
        "-m",
        "pytest",
        "-rs",
        "tests/style",
        "tests/unit",
        "tests/every",
    ],
    "contracts (Ape)": [
        sys.executable,
        "-m",
        "scripts.with_ape",
        "test",
        "tests/contracts",
        "-c",
        "tests/contracts/pytest.ini",
        "--rootdir",
        str(ROOT),
    ],
    "flow": [sys.executable, "-m", "pytest", "-rs", "tests/flow"],
}
_WAITS = "flow"
# set-up brings it: tests that skip for its absence would hide a broken set-up
_MISSING = "anvil is not installed"
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed|deselected)")


def main() -> int:
    """Exit code 0 only if every part ran at least one test and none failed."""
    wanted = [name for name in PARTS if any(word in name for word in sys.argv[1:] or [""])]
    computing = [name for name in wanted if name != _WAITS]
    lanes = [lane for lane in (computing, [_WAITS] if _WAITS in wanted else []) if lane]
    outputs = [sys.stdout, *(io.StringIO() for _ in lanes[1:])]
    with ThreadPoolExecutor(len(lanes) or 1) as pool:
        found = [part for lane in pool.map(_lane, lanes, outputs) for part in lane]
    print("".join(output.getvalue() for output in outputs[1:]), end="")
    totals = sum((counts for _, counts, _ in found), Counter())
    broken = [name for name, counts, code in found if code or not counts["passed"]]
    failed = totals["failed"] + totals["error"] + totals["errors"]
    if broken and not failed:
        failed = len(broken)  # a part that could not even run is a failure
    if broken:
        print(f"failed: {', '.join(broken)}")
    skipped = f", {totals['skipped']} skipped" if totals["skipped"] else ""
    print(f"{totals['passed']} passed, {failed} failed{skipped}")
    return 1 if broken else 0


def _lane(names: list[str], output: TextIO) -> list[tuple[str, Counter[str], int]]:
    """Runs parts one after the other; (name, counts, exit code) of each."""
    found = []
    for name in names:
        begun = time.monotonic()
        print(f"\n=== {name}", file=output, flush=True)
        counts, code = _run(PARTS[name], output)
        took = f"{time.monotonic() - begun:.0f} s"
        print(f"=== {name}: {dict(counts)} in {took}", file=output, flush=True)
        found.append((name, counts, code))
    return found


def _run(command: list[str], output: TextIO) -> tuple[Counter[str], int]:
    """Runs one part, shows its output as it comes, and counts from pytest's own last line."""
    counts: Counter[str] = Counter()
    missing = False
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        print(line, end="", file=output, flush=True)
        missing = missing or _MISSING in line
        found = _COUNT.findall(line)
        if found and " in " in line:
            counts = Counter({word: int(number) for number, word in found})
    return counts, process.wait() or int(missing)


if __name__ == "__main__":
    raise SystemExit(main())
