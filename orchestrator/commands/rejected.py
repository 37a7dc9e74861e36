"""`proofrail rejected`: shows refused input, and what became of accepted records later."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, table


def rejected(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    device: Annotated[str | None, typer.Option(help="Only input sent as this device.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show at most this many.")] = 20,
    body: Annotated[bool, typer.Option("--body", help="Show the bytes, escaped.")] = False,
    as_json: Json = False,
) -> None:
    """Show refused input and records dropped later, newest first.

    Also counts it per reason, with the same filters.
    """
    from orchestrator.edges.store import later_outcomes, rejections

    with home_of(context).store.read() as session:
        rows = rejections.newest(session, reason, device, limit)
        counts = rejections.count_by_reason(session, reason, device)
        later = later_outcomes.newest(session, reason, device, limit)
        view = {
            "counts": counts,
            "rejections": [_rejection_view(row, body) for row in rows],
            "later": [_outcome_view(row) for row in later],
        }
    output.show(view, as_json, lambda console: _render(console, view, body))


def _rejection_view(row: Any, body: bool) -> dict[str, Any]:
    view = {
        "number": row.id,
        "at": row.received_at,
        "source": row.source,
        "device": row.device,
        "protocol": row.protocol,
        "reason": row.reason,
        "detail": row.detail,
        "bytes": len(row.body),
    }
    return view | ({"body": b64encode(row.body).decode()} if body else {})


def _outcome_view(row: Any) -> dict[str, Any]:
    return {
        "at": row.at,
        "device": row.about,
        "counter": row.counter,
        "outcome": row.outcome,
        "detail": row.detail,
        "event": row.event_id,
        "payment": row.payment_id,
        "sent_to": row.device,
        "acknowledged_at": row.acknowledged_at,
    }


def _render(console: Any, view: dict[str, Any], body: bool) -> None:
    counts = sorted(view["counts"].items(), key=lambda item: -item[1])
    console.print(
        table(
            "by reason (including events that a rule dropped later)", ("reason", ">records"), counts
        )
    )
    rows = [
        (
            rejection["number"],
            output.when(rejection["at"]),
            rejection["source"],
            rejection["device"],
            rejection["reason"],
            rejection["detail"],
            rejection["bytes"],
        )
        for rejection in view["rejections"]
    ]
    columns = (">number", "at (UTC)", "source", "device", "reason", "detail", ">bytes")
    console.print(table("newest first", columns, rows))
    if view["later"]:
        console.print(_later_table(view["later"]))
    if body:
        from base64 import b64decode

        for rejection in view["rejections"]:
            # repr escapes all but printable ASCII, so input cannot control the terminal
            console.print(
                plain(f"{rejection['number']}: {b64decode(rejection['body'])!r}"), soft_wrap=True
            )


def _later_table(outcomes: list[dict[str, Any]]) -> Any:
    rows = [
        (
            output.when(outcome["at"]),
            outcome["device"],
            outcome["counter"],
            outcome["outcome"],
            outcome["detail"],
            "yes" if outcome["acknowledged_at"] else "not yet",
        )
        for outcome in outcomes
    ]
    columns = ("at (UTC)", "device", ">counter", "outcome", "detail", "acknowledged")
    return table("accepted, and decided later; newest first", columns, rows)
