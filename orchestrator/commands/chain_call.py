"""Prints calls to contracts as people read them, before and after they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.output import table

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the call and what it would do; send nothing.")
]


def print_calls(console: Any, views: Sequence[Mapping[str, Any]], is_sent: bool) -> None:
    """Print calls one after the other, and whether they were sent.

    Args:
        console: Where to print.
        views: The calls, as edges/chain/call_text.py describes them.
        is_sent: Whether they were sent.
    """
    for view in views:
        rows = [("from", view["from"]), ("to", f"{view['contract']}  {view['to']}")]
        rows += [(name, output.words(value)) for name, value in view["arguments"].items()]
        console.print(table(f"{view['contract']}.{view['function']}", ("part", "value"), rows))
    if not is_sent:
        console.print("nothing was sent (--dry-run)")
