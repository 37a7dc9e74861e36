"""Runs every test; ends with each part's time, the slowest tests and one line of counts.

Two lanes at once: whole rails mostly wait for blocks and processes, the other tests compute. The
second lane's lines are marked. Ape's part runs in Ape's own environment.

A test that hangs fails by its time limit (pyproject.toml). What that cannot end, such as a process
that does not answer while it starts or stops, ends here: a part that prints nothing for long.
"""

from __future__ import annotations

import codecs
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SLOWEST = 10
_PYTEST = [
    *(sys.executable, "-m", "pytest", "-rsfE", f"--durations={_SLOWEST}"),
    *("-m", "not extended"),  # `make test-long` runs those
]
# files of one part share the workers; tests of a file share its chain, so a file stays together
_PARALLEL = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
PARTS = {
    "style, unit, every": [*_PYTEST, *_PARALLEL, "tests/style", "tests/unit", "tests/every"],
    "contracts": [*_PYTEST, *_PARALLEL, "tests/contracts", "tests/assurance"],
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
    "flow": [*_PYTEST, *_PARALLEL, "tests/flow"],
}
_WAITS = "flow"
_SILENCE_S = 900.0  # longer than the time limit of a test
_POLL_S = 1.0
_FREE_BYTES = 4 << 30  # several times what the tests leave there
_HUNG = "FAILED: nothing was printed"
# set-up brings it: tests that skip for its absence would hide a broken set-up
_MISSING = ("anvil is not installed", "forge is not installed")
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
    marks = ["", *(f"{lane[0]} | " for lane in lanes[1:])]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The tests were ended from outside."))
    with _folder() as folder, ThreadPoolExecutor(len(lanes)) as pool:
        run = partial(_lane, stop, folder)
        try:
            parts = [part for lane in pool.map(run, lanes, marks) for part in lane]
        except BaseException:  # by a person or by CI: no test goes on alone
            stop.set()
            for child in _children(os.getpid()):
                _kill(child)
            raise
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


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder for the files of all tests: in memory, where it has space.

    Stores and journals wait for the disk after each write, and tests write far more than a rail.
    """
    memory = Path("/dev/shm")
    has_space = False
    if memory.is_dir() and os.access(memory, os.W_OK):
        space = os.statvfs(memory)
        can_run = not space.f_flag & os.ST_NOEXEC  # some tests install programs
        idle = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        free = min(space.f_bavail * space.f_frsize, idle)
        has_space = can_run and free > _FREE_BYTES
    with tempfile.TemporaryDirectory(
        prefix="tests-", dir=memory if has_space else None, ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user where root runs the tests
        yield Path(folder)


def _lane(stop: threading.Event, folder: Path, names: list[str], mark: str) -> list[Part]:
    """Run parts one after the other until `stop` is set.

    Args:
        stop: No further part begins once it is set.
        folder: For the files of the tests.
        names: The parts.
        mark: The beginning of each line.
    """
    parts = []
    say = partial(_say, mark)
    for name in names:
        if stop.is_set():
            break
        say("")
        say(f"=== {name}")
        part = run_part(name, PARTS[name], say, _SILENCE_S, folder)
        say(f"=== {name}: {dict(part.counts)} in {part.seconds:.0f} s")
        parts.append(part)
    return parts


def _say(mark: str, line: str) -> None:
    sys.stdout.write(f"{mark}{line}\n")  # one write, so that lines of two lanes do not mix
    sys.stdout.flush()


def run_part(
    name: str, command: Sequence[str], say: Callable[[str], None], silence_s: float, folder: Path
) -> Part:
    """Run one part, show its output as it comes, and count from pytest's own last line.

    Args:
        name: Its name.
        command: Its process.
        say: Shows a line.
        silence_s: After how many seconds without any output what hangs is ended.
        folder: For its temporary files.
    """
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    slowest: list[tuple[float, str]] = []
    missing = hung = False
    environment = {**os.environ, "TMPDIR": str(folder)}
    # else each of the many processes that tests start compiles the project's modules again
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    for line in _lines(process, silence_s):
        say(line)
        missing = missing or any(text in line for text in _MISSING)
        hung = hung or line.startswith(_HUNG)
        line_counts = _COUNT.findall(line)
        if line_counts and " in " in line:
            counts = Counter({word: int(number) for number, word in line_counts})
        if slow := _DURATION.match(line.strip()):
            slowest.append((float(slow[1]), slow[2]))
    code = process.wait() or int(missing or hung)
    return Part(name, counts, code, time.monotonic() - begun, slowest)


def _lines(process: subprocess.Popen[bytes], silence_s: float) -> Iterator[str]:
    """Yield a process's lines until it ends; end what hangs when no byte came for so long."""
    text = codecs.getincrementaldecoder("utf-8")("replace")
    rest, hangs, heard_at = "", 0, time.monotonic()
    with process.stdout as output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            if selector.select(0 if ended else min(silence_s, _POLL_S)):
                heard_at = time.monotonic()
                data = os.read(output.fileno(), 65_536)
                *lines, rest = (rest + text.decode(data)).split("\n")
                yield from lines
                if not data:
                    break
            elif ended:  # what it left running may hold its output open
                break
            elif time.monotonic() - heard_at >= silence_s:
                hangs, heard_at = hangs + 1, time.monotonic()
                yield f"{_HUNG} for {silence_s:.0f} s; what runs is ended"
                _end_hanging(process, hangs)
    if rest:
        yield rest


def _end_hanging(process: subprocess.Popen[bytes], hangs: int) -> None:
    """End the workers of a part; the second time, or where there are none, the part.

    On SIGABRT pytest prints the stack of each thread. Its main process names the test that an ended
    worker ran, fails it, and goes on with the others.
    """
    workers = [child for child in _children(process.pid) if _is_worker(child)]
    for ended in workers if hangs == 1 and workers else [process.pid]:
        with suppress(ProcessLookupError):
            os.kill(ended, signal.SIGABRT)
    if hangs > 2:
        _kill(process.pid)


def _children(process: int) -> list[int]:
    """Return the processes that a process started; none where the system has no /proc."""
    texts = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # ended meanwhile
            texts.append(path.read_text())
    return [int(child) for text in texts for child in text.split()]


def _is_worker(process: int) -> bool:
    """Return whether this is a worker of pytest-xdist."""
    with suppress(OSError):
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        return command[1:3] == [b"-u", b"-c"]
    return False


def _kill(process: int) -> None:
    """Kill a process with all that it started."""
    for child in _children(process):
        _kill(child)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
