"""`proofrail payments`: lists payments, with totals per stage."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, money, short, table, when
from orchestrator.errors import Halt


def payments(
    context: typer.Context,
    stage: Annotated[str | None, typer.Option(help="Only payments at this stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show at most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """List payments, newest first. Also shows totals per stage."""
    from orchestrator.core.payment import Stage
    from orchestrator.edges.store import approvals, holds, lookup
    from orchestrator.views.holds import hold_view

    if stage is not None and stage not in list(Stage):
        raise Halt(f"There is no stage {stage!r}. The stages are {', '.join(Stage)}.")
    with home_of(context).store.read() as session:
        stages = lookup.count_by_stage(session)
        if stage is not None:
            stages = {name: total for name, total in stages.items() if name == stage}
        rows = lookup.newest_payments(session, stage, limit)
        officers = approvals.officer_names(session)
        standing = {
            hold.payment_id: hold_view(session, hold, officers)
            for hold, _, _ in holds.standing(session)
        }
        view = {
            "stages": {
                name: {"payments": count, "amount": str(total), "asset": "tEUR/6"}
                for name, (count, total) in stages.items()
            },
            "payments": [
                {
                    "payment_id": p.payment_id,
                    "stage": p.stage,
                    "device": a.device,
                    "sequence": p.sequence,
                    "amount": str(p.amount_micro),
                    "asset": "tEUR/6",
                    "reason": p.reason,
                    "hold": standing.get(p.payment_id),
                    "started_at": p.created_at,
                }
                for p, a in rows
            ],
        }
    output.show(view, as_json, lambda console: _print_payments(console, view))


def _print_payments(console: Any, view: dict[str, Any]) -> None:
    rows = [
        (
            short(p["payment_id"], 18),
            p["device"],
            p["sequence"],
            p["stage"],
            money(p),
            when(p["started_at"]),
            _held_text(p["hold"]) or p["reason"],
        )
        for p in view["payments"]
    ]
    columns = ("payment", "device", ">sequence", "stage", ">amount", "started (UTC)", "reason")
    console.print(table("newest first", columns, rows))
    totals = [(name, item["payments"], money(item)) for name, item in view["stages"].items()]
    console.print(table("by stage", ("stage", ">payments", ">amount"), totals))


def _held_text(hold: dict[str, Any] | None) -> str:
    """Format who holds a payment since when; "" if nobody does."""
    if hold is None:
        return ""
    by = hold["held_by"]
    who = f"{'officer ' if by['officer'] else ''}{by['name'] or by['address']}"
    return f"held by {who} since {when(hold['held_at'])}: {hold['reason']}"
