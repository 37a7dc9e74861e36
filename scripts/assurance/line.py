"""One line of the table, and the parts that measure lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.solidity.sources import ROOT


@dataclass(frozen=True)
class AssuranceLine:
    """One line of the table: a figure, and whether it is as it must be.

    Attributes:
        name: What was measured, for example "slither: high".
        value: The figure with its unit, for example "0 open, 3 justified".
        ok: Whether the figure is as it must be; one line that is not fails the run.
        note: Why it is not, or what the figure leaves out; may be empty.
    """

    name: str
    value: str
    ok: bool
    note: str = ""


@dataclass(frozen=True)
class AssuranceTask:
    """What a part is given.

    Attributes:
        long: Whether the run is `make assurance-long`, which may take hours.
        folder: An empty folder for what the part writes; it stays after the run.
        say: Shows one sentence of progress.
        root: The project's folder.
    """

    long: bool
    folder: Path
    say: Callable[[str], None]
    root: Path = ROOT


@dataclass(frozen=True)
class AssurancePart:
    """A part of the run.

    Attributes:
        name: Its name on the command line.
        about: What it measures, in a few words.
        measure: Does the work and returns its lines. It raises only where it could not measure.
        long_only: Whether it runs in `make assurance-long` alone.
    """

    name: str
    about: str
    measure: Callable[[AssuranceTask], list[AssuranceLine]]
    long_only: bool = False
