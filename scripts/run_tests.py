"""Runs every test; ends with each part's time, the slowest tests and one line of counts.

Two lanes at once: whole rails mostly wait for blocks and processes, the other tests compute. The
second lane's output follows when it is over. Ape's part runs in Ape's own environment.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
_SLOWEST = 10
_PYTEST = [
    *(sys.executable, "-m", "pytest", "-rsfE", f"--durations={_SLOWEST}"),
    *("-m", "not extended"),  # `make test-long` runs those
]
# files of one part share the workers; tests of a file share its chain, so a file stays together
_PARALLEL = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
# a rail mostly waits for blocks and processes: two at once; tests/flow/conftest.py groups them
_RAILS = ["-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"]
PARTS = {
    "style, unit, every": [*_PYTEST, *_PARALLEL, "tests/style", "tests/unit", "tests/every"],
    "contracts": [*_PYTEST, *_PARALLEL, "tests/contracts"],
    "ape": [
        sys.executable,
        "-m",
        "scripts.with_ape",
        "test",
        "tests/ape",
        "-c",
        "tests/ape/pytest.ini",
        "--rootdir",
        str(ROOT),
        f"--durations={_SLOWEST}",
    ],
    "flow": [*_PYTEST, *_RAILS, "tests/flow"],
}
_WAITS = "flow"
# set-up brings it: tests that skip for its absence would hide a broken set-up
_MISSING = "anvil is not installed"
_DURATION = re.compile(r"([0-9]+\.[0-9]+)s (?:call|setup|teardown) +(\S.*)")
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed|deselected)")


def main() -> int:
    """Run the parts named by the arguments, or all; return 0 only if each ran tests and none
    failed."""
    wanted = [name for name in PARTS if any(word in name for word in sys.argv[1:] or [""])]
    if not wanted:
        print(f"No part is called {' or '.join(sys.argv[1:])}. Parts: {', '.join(PARTS)}.")
        return 2
    computing = [name for name in wanted if name != _WAITS]
    lanes = [lane for lane in (computing, [_WAITS] if _WAITS in wanted else []) if lane]
    outputs = [sys.stdout, *(io.StringIO() for _ in lanes[1:])]
    with ThreadPoolExecutor(len(lanes) or 1) as pool:
        parts = [part for lane in pool.map(_lane, lanes, outputs) for part in lane]
    print("".join(output.getvalue() for output in outputs[1:]), end="")
    totals = sum((part.counts for part in parts), Counter())
    broken = [part.name for part in parts if part.code or not part.counts["passed"]]
    failed = totals["failed"] + totals["error"] + totals["errors"]
    if broken and not failed:
        failed = len(broken)  # a part that could not even run is a failure
    if broken:
        print(f"failed: {', '.join(broken)}")
    _show_times(parts)
    skipped = f", {totals['skipped']} skipped" if totals["skipped"] else ""
    print(f"{totals['passed']} passed, {failed} failed{skipped}")
    return 1 if broken else 0


@dataclass(frozen=True)
class Part:
    """The result of one part.

    Attributes:
        name: Its name.
        counts: How many tests passed, failed, were skipped and so on.
        code: The exit code.
        seconds: How long it took.
        slowest: (seconds, test).
    """

    name: str
    counts: Counter[str]
    code: int
    seconds: float
    slowest: list[tuple[float, str]]


def _show_times(parts: list[Part]) -> None:
    print("\n=== time")
    for part in parts:
        print(f"{part.seconds:8.1f} s  {part.name}")
    print("=== slowest tests")
    slowest = sorted((row for part in parts for row in part.slowest), reverse=True)
    for seconds, test in slowest[:_SLOWEST]:
        print(f"{seconds:8.1f} s  {test}")


def _lane(names: list[str], output: TextIO) -> list[Part]:
    """Run parts one after the other."""
    parts = []
    for name in names:
        print(f"\n=== {name}", file=output, flush=True)
        part = _run(name, output)
        took = f"{part.seconds:.0f} s"
        print(f"=== {name}: {dict(part.counts)} in {took}", file=output, flush=True)
        parts.append(part)
    return parts


def _run(name: str, output: TextIO) -> Part:
    """Run one part, show its output as it comes, and count from pytest's own last line."""
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    slowest: list[tuple[float, str]] = []
    missing = False
    process = subprocess.Popen(
        PARTS[name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        print(line, end="", file=output, flush=True)
        missing = missing or _MISSING in line
        line_counts = _COUNT.findall(line)
        if line_counts and " in " in line:
            counts = Counter({word: int(number) for number, word in line_counts})
        if slow := _DURATION.match(line.strip()):
            slowest.append((float(slow[1]), slow[2]))
    code = process.wait() or int(missing)
    return Part(name, counts, code, time.monotonic() - begun, slowest)


if __name__ == "__main__":
    raise SystemExit(main())
