"""`proofrail breaks`: lists reconciliation differences, and proposes to resolve one."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.approval import As, propose, proposed
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, short, table, when
from orchestrator.commands.reconcile import Account, Offline, account_of, amount, reconcile_now
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store.breaks import BreakRow
    from orchestrator.steps.breaks import Standing

app = typer.Typer(
    name="breaks",
    help="Reconciliation differences: age, owner, next step.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
_DAY_S, _HOUR_S = 86_400, 3_600


@app.callback()
def list_(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all/--open", help="Include resolved and closed ones.")
    ] = False,
    account: Account = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """List breaks, oldest first (without a subcommand)."""
    if context.invoked_subcommand:
        return
    home = home_of(context)
    now = int(time.time())
    current, former = _breaks_now(home, account, offline)
    break_views = [
        _break_view(standing, now) for standing in current if every or standing.state == "open"
    ]
    break_views += [_closed_view(row) for row in former] if every else []
    output.show(break_views, as_json, lambda console: _print_breaks(console, break_views))


@app.command()
def resolve(
    context: typer.Context,
    identity: Annotated[
        str, typer.Argument(metavar="BREAK", help="The break's id, or its beginning.")
    ],
    note: Annotated[str, typer.Option(help="What caused it and what was done.")],
    by: As,
    account: Account = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Propose an open break as resolved. Another officer approves it."""
    from orchestrator.steps.breaks import to_resolve

    home = home_of(context)
    current, _ = _breaks_now(home, account, offline)
    matches = [
        standing
        for standing in current
        if standing.state == "open" and standing.break_id.startswith(identity)
    ]
    if len(matches) != 1:
        what = "No open break begins" if not matches else f"{len(matches)} open breaks begin"
        raise Halt(f"{what} with {identity!r}; `proofrail breaks` shows all. Nothing was signed.")
    if not note.strip():
        raise Halt(
            "Give --note with the cause and what was done; both officers sign it. Nothing was "
            "signed."
        )
    proposed(propose(home, to_resolve(matches[0], note, int(time.time())), by), as_json)


def _breaks_now(
    home: Home, account: str | None, offline: bool
) -> tuple[list[Standing], list[BreakRow]]:
    """Return the current breaks, and the stored ones that no longer occur."""
    from orchestrator.edges.store import breaks

    with home.store.read() as session:
        _, current = reconcile_now(home, session, account_of(home, account), offline)
        seen = {standing.break_id for standing in current}
        former = [row for row in breaks.listed(session) if row.break_id not in seen]
    return current, former


def _break_view(standing: Standing, now: int) -> dict[str, Any]:
    return {
        "break_id": standing.break_id,
        "state": standing.state,
        **asdict(standing.difference),
        "since": standing.since,
        "age_s": max(0, now - standing.since),
        "resolved_by": standing.resolved_by or None,
    }


def _closed_view(row: BreakRow) -> dict[str, Any]:
    """Return the JSON view of a break that no longer occurs, as last seen."""
    return {
        "break_id": row.break_id,
        **json.loads(row.body),
        "state": "closed",
        "since": row.first_seen,
        "age_s": row.last_seen - row.first_seen,
        "closed": row.closed or "no longer found",
        "resolved_by": row.resolved_by,
    }


def _print_breaks(console: Any, breaks: list[dict[str, Any]]) -> None:
    rows = [
        (
            short(b["break_id"], 10),
            b["state"],
            b["kind"],
            output.one_per_line(map(short, b["ids"])),
            amount(b["expected_minor"], b["asset"]),
            amount(b["found_minor"], b["asset"]),
            when(b["since"]),
            _age(b["age_s"]),
            b["owner"],
            b["closed"] or b["detail"] or "-",
            b["action"] if b["state"] == "open" else "-",
        )
        for b in breaks
    ]
    columns = (
        "id",
        "state",
        "break",
        "about",
        ">expected",
        ">found",
        "since (UTC)",
        ">age",
        "owner",
        "detail",
        "next step",
    )
    console.print(table(f"{len(rows)} breaks", columns, rows))


def _age(seconds: int) -> str:
    days, hours = seconds // _DAY_S, seconds % _DAY_S // _HOUR_S
    return f"{days} d {hours} h" if days else f"{hours} h"
