"""`proofrail payment meters`: what a payment charges of each meter of a fleet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.audit import one_payment
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, number, plain, table, when
from orchestrator.errors import Halt

app = typer.Typer(rich_markup_mode=None)
_SHOWN = 20
_WH = "Wh/3"  # registers: decimals of a kWh


@app.command()
def meters(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="Any id of one payment.")],
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all meters to this CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a payment of a fleet charges of each meter, as a table or a CSV file."""
    from orchestrator.edges.store import agreements, payments
    from orchestrator.views.meters import meters_view

    with home_of(context).store.read() as session:
        [row] = payments.by_ids(session, [one_payment(session, identity)])
        view = meters_view(session, row, agreements.get(session, row.agreement_id))
    if view is None:
        raise Halt(f"Payment {row.payment_id} is of no fleet. `proofrail trace` shows its records.")
    if target is not None:
        _write(target, view["meters"])
    output.show(view, as_json, lambda console: _print(console, view, target))


def _write(target: Path, meters: list[dict[str, Any]]) -> None:
    from orchestrator.views.meters import COLUMNS

    try:
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(_as_text(meter) for meter in meters)
    except OSError as error:
        raise Halt(
            f"{target} cannot be written ({error.strerror}). Choose another file."
        ) from error


def _as_text(meter: dict[str, Any]) -> dict[str, Any]:
    """Return a meter with kWh and a time that people read."""
    kwh = {name: _kwh(meter[name]) for name in ("register_before", "register", "energy")}
    return {**meter, **kwh, "read_at": when(meter["read_at"])}


def _kwh(energy: int) -> str:
    return number(energy, _WH).replace(",", "")


def _print(console: Any, view: dict[str, Any], target: Path | None) -> None:
    shown = [_as_text(meter) for meter in view["meters"][:_SHOWN]]
    columns = ("device", ">counter", ">register before", ">register", ">kWh", "read (UTC)")
    names = ("device", "counter", "register_before", "register", "energy", "read_at")
    rows = [[meter[name] for name in names] for meter in shown]
    console.print(table(f"payment {view['payment_id']}", columns, rows))
    count = len(view["meters"])
    if count > len(shown):
        console.print(f"only the first {len(shown)} are shown; -o FILE writes all of them")
    console.print(
        plain(f"{count} meters, {view['silent']} silent: {number(view['energy'], _WH)} kWh")
    )
    if target is not None:
        console.print(plain(f"written to {target}"))
