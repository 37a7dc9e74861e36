"""`proofrail breaks`: every difference with its age, its owner and its next step; resolving one."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.approval import As, propose, proposed
from orchestrator.commands.output import Json, short, table, when
from orchestrator.commands.reconcile import Account, account_of, amount, stood
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store.breaks import BreakRow
    from orchestrator.steps.breaks import Standing

app = typer.Typer(
    name="breaks",
    help="Named differences: age, owner, next step.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
_DAY_S, _HOUR_S = 86_400, 3_600


@app.callback()
def list_(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all/--open", help="Also those that are resolved or explained.")
    ] = False,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """List breaks, the oldest first; without a subcommand."""
    if context.invoked_subcommand:
        return
    here = home.of(context)
    now = int(time.time())
    stands, gone = _found(here, account)
    told = [_told(each, now) for each in stands if every or each.state == "open"]
    told += [_was(row) for row in gone] if every else []
    output.show(told, as_json, lambda console: _listed(console, told))


@app.command()
def resolve(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="BREAK", help="Its id, or the beginning.")],
    note: Annotated[str, typer.Option(help="What was found, and what was done about it.")],
    by: As,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """Propose that an open break is dealt with; another officer approves it."""
    from orchestrator.steps.breaks import to_resolve

    here = home.of(context)
    stands, _ = _found(here, account)
    found = [each for each in stands if each.state == "open" and each.break_id.startswith(identity)]
    if len(found) != 1:
        what = "No open break begins" if not found else f"{len(found)} open breaks begin"
        raise Halt(f"{what} with {identity!r}; `proofrail breaks` shows all. Nothing was signed.")
    if not note.strip():
        raise Halt("Say with --note what was found and done: both officers sign it.")
    proposed(propose(here, to_resolve(found[0], note, int(time.time())), by), as_json)


def _found(here: home.Home, account: str | None) -> tuple[list[Standing], list[BreakRow]]:
    """What a reconciliation names now, and what the register knows of former ones."""
    from orchestrator.edges.store import breaks

    with here.store.read() as session:
        _, stands = stood(here, session, account_of(here, account))
        seen = {each.break_id for each in stands}
        gone = [row for row in breaks.listed(session) if row.break_id not in seen]
    return stands, gone


def _told(each: Standing, now: int) -> dict[str, Any]:
    return {
        "break_id": each.break_id,
        "state": each.state,
        **asdict(each.found),
        "since": each.since,
        "age_s": max(0, now - each.since),
        "resolved_by": each.resolved_by or None,
    }


def _was(row: BreakRow) -> dict[str, Any]:
    """One that is found no more, as it was seen last."""
    return {
        "break_id": row.break_id,
        **json.loads(row.body),
        "state": "closed",
        "since": row.first_seen,
        "age_s": row.last_seen - row.first_seen,
        "closed": row.closed or "found no more",
        "resolved_by": row.resolved_by,
    }


def _listed(console: Any, told: list[dict[str, Any]]) -> None:
    rows = [
        (
            short(b["break_id"], 10),
            b["state"],
            b["kind"],
            ", ".join(short(i) for i in b["ids"]),
            amount(b["expected_minor"], b["asset"]),
            amount(b["found_minor"], b["asset"]),
            when(b["since"]),
            _age(b["age_s"]),
            b["owner"],
            b["closed"] or b["detail"] or "-",
            b["action"] if b["state"] == "open" else "-",
        )
        for b in told
    ]
    columns = (
        "id",
        "state",
        "break",
        "of",
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
