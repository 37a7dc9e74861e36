"""`proofrail party statement`: a payee's account on chain in the form of a bank statement."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, decimal, plain, table
from orchestrator.commands.party import party_of
from orchestrator.errors import Halt

app = typer.Typer(rich_markup_mode=None)


@app.command()
def statement(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The payee's name or address.")],
    since: Annotated[
        datetime | None,
        typer.Option(
            "--from", formats=["%Y-%m-%d"], help="First day, UTC. Default: the first movement's."
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--to", formats=["%Y-%m-%d"], help="Last day, UTC. Default: the newest final block's."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write camt.053.001.08 to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a payee's account on chain. Balance and movements in whole cents, as camt.053."""
    from orchestrator.views.payee_statement import payee_statement

    home = home_of(context)
    party = party_of(home, name)
    servicer = home.rail_file.get("safeguarding", {}).get("name", "proofrail")
    with home.store.read() as session:
        payee_account = payee_statement(
            session,
            party,
            servicer,
            since.date() if since else None,
            until.date() if until else None,
        )
    if file is not None:
        _write(file, payee_account.body)
    view = _statement_view(party, payee_account)
    output.show(view, as_json, lambda console: _print_statement(console, view, file))


def _write(file: Path, body: bytes) -> None:
    try:
        file.write_bytes(body)
    except OSError as error:
        raise Halt(f"{file} cannot be written ({error}). Give another file with -o.") from error


def _statement_view(party: Any, statement: Any) -> dict[str, Any]:
    account = statement.account
    return {
        "name": party.name,
        "address": party.address,
        "from": account.first,
        "to": account.last,
        "is_over": statement.is_over,
        "opening_cents": account.opening_cents,
        "closing_cents": account.closing_cents,
        "available_cents": account.available_cents,
        "remainder_micro": account.remainder_micro,
        "entries": [
            {
                "day": b.movement.day,
                "kind": b.movement.kind,
                "amount_cents": b.cents,
                "amount_micro": b.movement.amount_micro,
                "ref": b.movement.ref,
                "end_to_end_id": b.movement.end_to_end_id,
                "tx_hash": b.movement.tx_hash,
                "carried": [booking.ref for booking in b.carried],
                "text": b.movement.text,
            }
            for b in account.bookings
        ],
        "carried_on": [booking.ref for booking in account.waiting],
    }


def _print_statement(console: Any, view: dict[str, Any], file: Path | None) -> None:
    rows = [
        (
            e["day"],
            e["kind"],
            decimal(e["amount_cents"], "EUR/2"),
            decimal(e["amount_micro"], "tEUR/6"),
            e["end_to_end_id"],
            e["text"],
        )
        for e in view["entries"]
    ]
    columns = ("day", "kind", ">booked", ">exact", "EndToEndId", "for")
    title = f"{view['name']}, {view['from']} to {view['to']}"
    console.print(table(title, columns, rows))
    console.print(
        plain(
            f"opening {decimal(view['opening_cents'], 'EUR/2')}, closing "
            f"{decimal(view['closing_cents'], 'EUR/2')}, available "
            f"{decimal(view['available_cents'], 'EUR/2')}; carried forward below one cent "
            f"{decimal(view['remainder_micro'], 'tEUR/6')}"
        ),
        soft_wrap=True,
    )
    if file is not None:
        console.print(plain(f"written to {file}"), soft_wrap=True)
    if not view["is_over"]:
        console.print("The last day is not over: its closing balance is interim.")
