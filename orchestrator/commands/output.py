"""How commands answer: tables for people, JSON on request, one sentence for what cannot be done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

NO, CANNOT = 1, 2  # exit codes: the answer is no; it cannot be done

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

_PIPED_WIDTH = 160  # whole hashes fit; a terminal has its own width
_DECIMALS = {"tEUR/6": 6, "EUR/2": 2}


def show(data: Any, as_json: bool, render: Callable[[Any], None]) -> None:
    """Prints `data` as JSON, or hands it to `render`."""
    if as_json:
        print_json(data)
    else:
        render(console())


def print_json(data: Any) -> None:
    """ASCII only, so that no text from outside can steer a terminal."""
    typer.echo(json.dumps(data, indent=2, default=str))


def console(errors: bool = False) -> Any:
    """A console on the current output; colours and width follow the terminal."""
    from rich.console import Console

    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def complain(sentence: str, code: str, as_json: bool) -> None:
    """What happened, why, and the next step: to people on stderr, to programs on stdout."""
    if as_json:
        print_json({"error": {"code": code, "message": sentence}})
    else:
        console(errors=True).print(plain(sentence), soft_wrap=True)


def plain(value: Any, style: str = "") -> Any:
    """Text as it is: no markup is read in it and its control characters are shown, not obeyed."""
    from rich.text import Text

    text = "" if value is None else str(value)
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text(shown, style=style)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A table; columns that begin with > are aligned to the right. Long ids wrap, never vanish."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if hasattr(cell, "plain") else plain(cell) for cell in row))
    return made


def money(told: dict[str, Any]) -> str:
    """{"amount", "asset"} for people: exact, never rounded; "4.650000 tEUR"."""
    return decimal(int(told["amount"]), told["asset"])


def decimal(minor: int, asset: str) -> str:
    """Minor units of an asset (`tEUR/6`, `EUR/2`) as an exact decimal with its name."""
    digits = _DECIMALS[asset]
    whole, rest = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{rest:0{digits}} {asset.split('/')[0]}"


def when(seconds: int | None) -> str:
    """A Unix time in UTC, to the second."""
    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def short(identity: str | None, length: int = 12) -> str:
    """The beginning of an id, long enough to go on with it."""
    if not identity:
        return "-"
    return identity if len(identity) <= length + 1 else identity[:length] + "…"
