"""Formats the output of all commands: tables for people, JSON on request, errors as a sentence."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from orchestrator.errors import Halt

NO, CANNOT = 1, 2  # exit codes: the answer is no; the command failed

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

_PIPED_WIDTH = 160  # whole hashes fit; a terminal has its own width
_EURO = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")


def show(data: Any, as_json: bool, render: Callable[[Any], None]) -> None:
    """Print `data` as JSON, or call `render` with a console."""
    if as_json:
        print_json(data)
    else:
        render(console())


def print_json(data: Any) -> None:
    """Print JSON in ASCII only, so that text from outside cannot control the terminal."""
    typer.echo(json.dumps(data, indent=2, default=str))


def console(errors: bool = False) -> Any:
    """Return a console on stdout or stderr; colours and width follow the terminal."""
    from rich.console import Console

    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def complain(sentence: str, code: str, as_json: bool) -> None:
    """Print an error (what happened, why, next step): text on stderr, or JSON on stdout."""
    if as_json:
        print_json({"error": {"code": code, "message": sentence}})
    else:
        console(errors=True).print(plain(sentence), soft_wrap=True)


@contextmanager
def progress() -> Iterator[Any]:
    """Give a function (what, done, total) that shows bars on stderr at a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.progress import Progress

    with Progress(console=console(errors=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def plain(value: Any, style: str = "") -> Any:
    """Return literal text: markup is not interpreted and control characters are escaped."""
    from rich.text import Text

    text = words(value)
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text(shown, style=style)


def words(value: Any) -> str:
    """Return a value as people write it: no quotes or brackets of a programming language."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {words(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        nested = any(isinstance(item, (list, tuple, dict)) for item in value)
        return ("; " if nested else ", ").join(words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def one_per_line(items: Iterable[Any]) -> Any:
    """Return a table cell of several items, each on its own line."""
    from rich.text import Text

    return Text("\n").join(plain(item) for item in items)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Return a table. A column that begins with > is aligned right; long ids wrap."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    grid = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        right = column.startswith(">")
        grid.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(cell if hasattr(cell, "plain") else plain(cell) for cell in row))
    return grid


def money(amount: dict[str, Any]) -> str:
    """Format {"amount", "asset"} exactly, as in "4.650000 tEUR"."""
    return decimal(int(amount["amount"]), amount["asset"])


def decimal(minor: int, asset: str) -> str:
    """Format minor units of an asset (`tEUR/6`, `EUR/2`) exactly, as in "10,000.00 EUR"."""
    return f"{number(minor, asset)} {asset.split('/')[0]}"


def number(minor: int, asset: str) -> str:
    """Format minor units of an asset without its name, as in "10,000.00"."""
    digits = int(asset.rpartition("/")[2])
    whole, rest = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole:,}.{rest:0{digits}}"


def parse_euro(text: str, what: str) -> int:
    """Return the exact micro-euro of a typed amount.

    Args:
        text: Euro with at most six decimals and no thousands separator, as in "0.30".
        what: Name of the amount, for the error text.

    Raises:
        Halt: the text is no such amount, or it is zero.
    """
    match = _EURO.fullmatch(text.strip())
    amount = int(match[1]) * 10**6 + int((match[2] or "").ljust(6, "0")) if match else 0
    if not amount:
        raise Halt(
            f"{what} {text!r} is not an amount in euro such as 0.30: digits, a point, at most "
            "six decimals, more than zero. Nothing was sent."
        )
    return amount


def when(seconds: int | None) -> str:
    """Format Unix seconds in UTC; "-" for none."""
    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def short(identity: str | None, length: int = 12) -> str:
    """Return the beginning of an id, long enough for use in the next command."""
    if not identity:
        return "-"
    return identity if len(identity) <= length + 1 else identity[:length] + "…"


def delivery_text(delivery: Mapping[str, Any]) -> str:
    """Format what a target has taken of an effect."""
    if delivery["delivered_at"]:
        return f"{delivery['target']}: delivered {when(delivery['delivered_at'])}"
    tries = f"{delivery['attempts']} tries"
    return f"{delivery['target']}: waits ({tries}) {delivery['trouble']}".rstrip()
