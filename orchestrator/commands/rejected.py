"""`proofrail rejected`: bad input, kept with its reason and its bytes."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, table


def register(app: typer.Typer) -> None:
    app.command()(rejected)


def rejected(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    device: Annotated[str | None, typer.Option(help="Only what came as this device.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest first.")] = 20,
    body: Annotated[bool, typer.Option("--body", help="Show the bytes, escaped.")] = False,
    as_json: Json = False,
) -> None:
    """Show what was not taken, why, and how often."""
    from orchestrator.edges.store import rejections

    with home.of(context).store.read() as session:
        rows = rejections.newest(session, reason, device, limit)
        counts = rejections.count_by_reason(session)
        told = {"counts": counts, "rejections": [_told(row, body) for row in rows]}
    output.show(told, as_json, lambda console: _render(console, told, body))


def _told(row: Any, body: bool) -> dict[str, Any]:
    told = {
        "number": row.id,
        "at": row.received_at,
        "source": row.source,
        "device": row.device,
        "protocol": row.protocol,
        "reason": row.reason,
        "detail": row.detail,
        "bytes": len(row.body),
    }
    return told | ({"body": b64encode(row.body).decode()} if body else {})


def _render(console: Any, told: dict[str, Any], body: bool) -> None:
    counts = sorted(told["counts"].items(), key=lambda item: -item[1])
    console.print(
        table(
            "by reason (also of events that a rule dropped later)", ("reason", ">records"), counts
        )
    )
    rows = [
        (
            r["number"],
            output.when(r["at"]),
            r["source"],
            r["device"],
            r["reason"],
            r["detail"],
            r["bytes"],
        )
        for r in told["rejections"]
    ]
    columns = (">number", "at (UTC)", "source", "device", "reason", "detail", ">bytes")
    console.print(table("newest first", columns, rows))
    if body:
        from base64 import b64decode

        for r in told["rejections"]:
            # repr escapes every byte that is not printable ASCII: nothing steers the terminal
            console.print(plain(f"{r['number']}: {b64decode(r['body'])!r}"), soft_wrap=True)
