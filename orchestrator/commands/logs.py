"""`proofrail logs`: what the processes of a rail wrote, one log or all of them by time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.home import home_of
from orchestrator.errors import Halt

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?")
_HEAD = 400  # characters of a line in which its time is looked for
_TAIL_BYTES = 4 * 1024 * 1024  # read of the end of a log
_POLL_S = 0.2


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command()(logs)


def logs(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A process; default: all of them.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Of the end; 0: all.")] = 100,
) -> None:
    """Show the logs of the rail's processes, the newest line last."""
    home = home_of(context).settings
    files = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if name is not None and name not in files:
        raise Halt(
            f"There is no log {name!r} under {home.logs}. "
            + (f"There are: {', '.join(files)}." if files else "No process wrote one yet.")
        )
    chosen = files if name is None else {name: files[name]}
    ends = {path: path.stat().st_size for path in chosen.values()}
    width = 0 if name else max((len(stem) for stem in chosen), default=0)
    merged = sorted(
        (entry for stem, path in chosen.items() for entry in _entries(stem, path, ends[path])),
        key=lambda entry: entry[0],  # stable: lines of one log keep their order
    )
    for _, stem, line in merged[-lines:]:
        _print(stem, line, width)
    while follow:
        for stem, path in chosen.items():
            for line in _news(path, ends):
                _print(stem, line, width)
        time.sleep(_POLL_S)


def _entries(stem: str, path: Path, end: int) -> Iterator[tuple[str, str, str]]:
    """Yield (time, name of the log, line); a line without a time has that of the line before."""
    at = ""
    with path.open("rb") as file:
        file.seek(max(0, end - _TAIL_BYTES))
        text = file.read(min(end, _TAIL_BYTES)).decode(errors="replace")
    for line in text.splitlines():
        moment = _TIME.search(line[:_HEAD])
        at = moment[0].replace("T", " ").replace(",", ".") if moment else at
        yield at, stem, line


def _news(path: Path, ends: dict[Path, int]) -> list[str]:
    """Return the complete lines that were added; a log that became shorter begins again."""
    size = path.stat().st_size
    start = ends[path] if size >= ends[path] else 0
    if size == start:
        return []
    with path.open("rb") as file:
        file.seek(start)
        added = file.read(size - start)
    whole = added[: added.rfind(b"\n") + 1]
    ends[path] = start + len(whole)
    return whole.decode(errors="replace").splitlines()


def _print(stem: str, line: str, width: int) -> None:
    shown = "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in line)
    typer.echo(f"{stem:<{width}}  {shown}" if width else shown)
