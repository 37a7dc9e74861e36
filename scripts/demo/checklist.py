"""A timed checklist on the terminal: each part of the rail and the seconds its start took."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

# rich assumes 80 columns if the output is no terminal
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def done(name: str, detail: str, seconds: float) -> None:
    """Print one finished line."""
    console.print(f"  [green]✓[/] {name:<17} {detail:<48} [dim]{seconds:5.1f} s[/]")


def step(name: str, act: Callable[[], str]) -> None:
    """Run one part of the start and print its line.

    Args:
        act: does the work and returns the detail to print.
    """
    started = time.monotonic()
    with console.status(f"{name} ..."):
        detail = act()
    done(name, detail, time.monotonic() - started)


@contextmanager
def bar(title: str, total: int, brief: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a progress bar.

    Args:
        brief: the bar disappears when it is full.

    Yields:
        A function that sets how much of `total` is reached.
    """
    columns = (
        SpinnerColumn(),
        TextColumn(f"  {title:<36}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.elapsed:5.1f} s[/]"),
    )
    with Progress(*columns, console=console, transient=brief) as progress:
        task = progress.add_task(title, total=max(total, 1))
        yield lambda reached: progress.update(task, completed=min(reached, max(total, 1)))
