"""`proofrail agreement show`: one agreement, with what became of it so far."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import agreement_of
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, money, plain, table, when

app = typer.Typer(rich_markup_mode=None)


@app.command()
def show(
    context: typer.Context,
    agreement: Annotated[str, typer.Argument(help="The agreement's id, or its beginning.")],
    as_json: Json = False,
) -> None:
    """Show an agreement: parties, terms, limits, and its payments so far."""
    from orchestrator.edges.store import lookup
    from orchestrator.views.payment import agreement_view, micro, summary

    home = home_of(context)
    row = agreement_of(home, agreement)
    match = lookup.FoundId("agreement", row.agreement_id)
    with home.store.read() as session:
        stages = lookup.count_by_stage(session, match)
        newest = lookup.payments_of(session, match, 1)
        view = {
            **agreement_view(session, row),
            "ends_at": row.ends_at,
            "payments": {stage: count for stage, (count, _) in stages.items()},
            **micro(sum(amount for _, amount in stages.values())),
            "newest": summary(*newest[0]) if newest else None,
        }
    output.show(view, as_json, lambda console: _print(console, view))


def _print(console: Any, view: dict[str, Any]) -> None:
    payee = view["payee"]
    count = sum(view["payments"].values())
    stages = ", ".join(f"{number} {stage}" for stage, number in view["payments"].items())
    rows = [
        ("agreement", view["agreement_id"]),
        ("stage", view["stage"]),
        ("device", view["device"]),
        ("payer", _name(view["payer"])),
        ("payee", _name(payee) if payee else "named by each claim"),
        ("product", view["product"]),
        *view["terms"].items(),
        ("at most", f"{money(view['cap'])} in {view['period_days']} days"),
        ("dispute window", f"{view['window_s']} s"),
        ("opened (UTC)", when(view["opened_at"]) if view["opened_at"] else "in no final block yet"),
        ("ends (UTC)", when(view["expiry"])),
        ("claims until (UTC)", when(view["ends_at"])),
        ("funding reference", view["reference"]),
        ("payments", f"{count}, {money(view)}: {stages}" if count else "none yet"),
    ]
    console.print(table("agreement", ("field", "value"), rows))
    if view["newest"]:
        console.print(plain(f"next: proofrail trace {view['newest']['payment_id'][:18]}"))


def _name(party: dict[str, Any]) -> str:
    return f"{party['name']}  {party['address']}" if party["name"] else party["address"]
