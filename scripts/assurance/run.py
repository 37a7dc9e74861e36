"""Runs parts, two at a time, and keeps what each of them returned."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts.assurance.line import AssuranceLine, AssurancePart, AssuranceTask

AT_ONCE = 2  # each part works in processes of its own, on one core most of the time


@dataclass(frozen=True)
class PartResult:
    """What one part returned, and how many seconds it took."""

    part: str
    lines: tuple[AssuranceLine, ...]
    seconds: float


def run_parts(
    parts: Sequence[AssurancePart], long: bool, say: Callable[[str], None]
) -> list[PartResult]:
    """Run parts, two at a time, in their order.

    Args:
        say: Shows a line of progress.

    Returns:
        The results in the order of the parts. A part that raised, or returned no line, has one
        line that is not ok.
    """
    folder = Path(tempfile.mkdtemp(prefix="proofrail-assurance-"))
    say(f"  what the parts write is kept in {folder}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda part: _run(part, long, folder, say), parts))


def _run(part: AssurancePart, long: bool, home: Path, say: Callable[[str], None]) -> PartResult:
    begun = time.monotonic()
    folder = home / part.name
    folder.mkdir()
    say(f"  … {part.name}: {part.about}")
    task = AssuranceTask(long, folder, lambda text: say(f"  … {part.name}: {text}"))
    try:
        lines = tuple(part.measure(task)) or (_unmeasured(part, "it returned no line"),)
    except Exception as error:  # one broken part must not hide what the others found
        lines = (_unmeasured(part, f"{type(error).__name__}: {error}"),)
    seconds = time.monotonic() - begun
    mark = "✓" if all(line.ok for line in lines) else "✗"
    say(f"  {mark} {part.name}: {len(lines)} lines in {seconds:.0f} s")
    return PartResult(part.name, lines, seconds)


def _unmeasured(part: AssurancePart, reason: str) -> AssuranceLine:
    return AssuranceLine(part.name, "not measured", False, reason)
