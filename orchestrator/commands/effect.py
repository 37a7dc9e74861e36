"""`proofrail effect`: what final payments make happen outside, and who has taken it."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.errors import Halt

app = typer.Typer(
    name="effect",
    help="What final payments make happen outside: webhooks, orders, tokens.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_ID = Annotated[str, typer.Argument(metavar="ID", help="The effect's id, or its beginning.")]


@app.callback()
def group() -> None:
    """What final payments make happen outside: webhooks, orders, tokens."""


@app.command("list")
def list_(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Only this kind, such as work_order.")] = None,
    payment: Annotated[str | None, typer.Option(help="Only of this payment.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show at most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """List effects, the newest first, with what each target has taken."""
    from orchestrator.edges.store import effects

    with home_of(context).store.read() as session:
        rows = effects.newest(session, kind, payment, limit)
        deliveries = effects.deliveries_of(session, [row.effect_id for row in rows])
    view = [_view(row, deliveries.get(row.effect_id, [])) for row in rows]
    lines = [
        (
            when(effect["at"]),
            output.short(effect["id"]),
            effect["kind"],
            effect["name"],
            output.short(effect["payment"]),
            output.one_per_line(
                [output.delivery_text(d) for d in effect["deliveries"]] or ["no target"]
            ),
        )
        for effect in view
    ]
    columns = ("final since (UTC)", "id", "kind", "name", "payment", "targets")
    output.show(
        {"effects": view},
        as_json,
        lambda console: console.print(
            table("effects", columns, lines) if lines else "There are no effects."
        ),
    )


@app.command()
def show(context: typer.Context, effect: _ID, as_json: Json = False) -> None:
    """Show an effect: its message, and each target's answer."""
    from orchestrator.edges.store import effects

    with home_of(context).store.read() as session:
        row = _one(session, effect)
        view = _view(row, effects.deliveries_of(session, [row.effect_id]).get(row.effect_id, []))
    view["message"] = json.loads(row.message)

    def render(console: Any) -> None:
        console.print(plain(json.dumps(view["message"], indent=2)), soft_wrap=True)
        for delivery in view["deliveries"]:
            console.print(plain(output.delivery_text(delivery)), soft_wrap=True)
        if not view["deliveries"]:
            console.print("No target takes it. `proofrail effect target list` shows the targets.")

    output.show(view, as_json, render)


@app.command()
def redeliver(
    context: typer.Context,
    effect: Annotated[
        str | None, typer.Argument(metavar="ID", help="The effect's id, or its beginning.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every effect, also those from before a target.")
    ] = False,
    target: Annotated[str | None, typer.Option(help="Only to this target.")] = None,
    as_json: Json = False,
) -> None:
    """Deliver an effect again; its receiver knows repeats by the id."""
    from orchestrator.edges.store import effects

    if (effect is None) != everything:
        raise Halt("Give either the ID of an effect or --all. Nothing was changed.")
    with home_of(context).store.write() as session:
        if target is not None and effects.target(session, target) is None:
            raise Halt(
                f"No target is named {target!r}. Nothing was changed. `proofrail effect target "
                "list` shows the names."
            )
        ids = effects.all_ids(session) if everything else [_one(session, effect).effect_id]
        queued = effects.redeliver(session, ids, int(time.time()), target)
    if not queued:
        raise Halt(
            "No target takes this kind of effect. Nothing was changed. Next: `proofrail effect "
            "target add`."
        )
    view = [{"effect": identity, "target": name} for identity, name in queued]
    output.show(
        {"due": view},
        as_json,
        lambda console: console.print(
            f"{len(view)} deliveries are due now; `proofrail effect list` shows what becomes of "
            "them.",
            soft_wrap=True,
        ),
    )


def _one(session: Any, text: str | None) -> Any:
    from orchestrator.edges.store import effects

    wanted = (text or "").strip().lower()
    rows = effects.beginning(session, wanted if wanted.startswith("0x") else f"0x{wanted}")
    if len(rows) != 1 or len(wanted) < 6:
        what = "Several effects begin" if len(rows) > 1 else "No effect begins"
        raise Halt(
            f"{what} with {text!r}, or it is shorter than six characters. `proofrail effect list` "
            "shows the ids."
        )
    return rows[0]


def _view(row: Any, deliveries: list[Any]) -> dict[str, Any]:
    return {
        "id": row.effect_id,
        "kind": row.kind,
        "name": row.name,
        "payment": row.payment_id,
        "agreement": row.agreement_id,
        "at": row.at,
        "deliveries": [
            {
                "target": delivery.target,
                "delivered_at": delivery.delivered_at,
                "attempts": delivery.attempts,
                "trouble": delivery.trouble,
            }
            for delivery in deliveries
        ],
    }
