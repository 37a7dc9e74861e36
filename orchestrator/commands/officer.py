"""`proofrail officer`: the people who may sign approvals; their seats are on chain."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands import output
from orchestrator.commands.approval import officer_address
from orchestrator.commands.committee import address_of
from orchestrator.commands.home import Home
from orchestrator.commands.output import Json, table
from orchestrator.commands.role_calls import (
    CallOptions,
    make_call,
    rail_of,
    role_command,
)
from orchestrator.errors import Halt

app = typer.Typer(
    name="officer",
    help="People who may sign approvals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The officer's name, or address.")]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the officers that the chain has now, and former ones that have a name here."""
    from orchestrator.assembly import read_officers
    from orchestrator.edges.store import approvals

    home = rail_of(context)
    with home.store.read() as session:
        names = approvals.officer_names(session)
    seated = read_officers(home.chain)
    views = [
        {"name": names.get(address), "address": address, "seated": address in seated}
        for address in sorted(seated | set(names), key=lambda at: (at not in seated, at))
    ]
    lines = [(v["name"] or "-", v["address"], "yes" if v["seated"] else "no") for v in views]
    output.show(
        views,
        as_json,
        lambda console: console.print(
            table(f"{len(seated)} officers", ("name", "address", "seated"), lines)
        ),
    )


@app.command()
@role_command
def seat(
    context: typer.Context,
    options: CallOptions,
    name: Annotated[str, typer.Argument(help="The name that this rail shows.")],
    address: Annotated[
        str | None,
        typer.Option(help="Address of a key held elsewhere; default: a keystore in the home."),
    ] = None,
) -> None:
    """Give an officer a seat, also one that left. The steward's call: it waits for the delay.

    Without --address, a keystore in keys/officers is used, and made if there is none.
    """
    from orchestrator.assembly import read_officers
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role
    from orchestrator.edges.store import approvals

    home = rail_of(context)
    seated = read_officers(home.chain)  # first, so that no key is made without a rail
    officer = _own_address(home, name, address, options.dry_run)
    if not options.dry_run:
        with home.store.write() as session:
            approvals.name_officer(session, officer, name)
    call = Call("OfficerRegistry", "seat", (officer,))
    make_call(home, call, Role.STEWARD, options, is_done=officer in seated)


@app.command()
@role_command
def unseat(
    context: typer.Context,
    options: CallOptions,
    name: _Name,
) -> None:
    """Take an officer's seat away. The steward's call: it waits for the delay."""
    from orchestrator.assembly import read_officers
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    officer = _found(home, name)
    is_done = officer not in read_officers(home.chain)
    call = Call("OfficerRegistry", "unseat", (officer,))
    make_call(home, call, Role.STEWARD, options, is_done=is_done)


@app.command()
@role_command
def silence(
    context: typer.Context,
    options: CallOptions,
    name: _Name,
) -> None:
    """Take an officer's seat away, at once. The guardian's call."""
    from orchestrator.assembly import read_officers
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    officer = _found(home, name)
    is_done = officer not in read_officers(home.chain)
    call = Call("OfficerRegistry", "silence", (officer,))
    make_call(home, call, Role.GUARDIAN, options, is_done=is_done)


def _own_address(home: Home, name: str, address: str | None, dry_run: bool) -> str:
    from orchestrator.edges.chain import keystore

    if address is not None:
        return address_of(address, "Give the address of the officer's key.")
    folder, file = home.settings.officer_keys, keystore.file_of(name)
    if dry_run and file not in keystore.names(folder):
        raise Halt(
            f"There is no keystore of {name} in {folder}, and a dry run makes none. Nothing was "
            "sent. Give --address, or leave --dry-run out."
        )
    return home.checked(keystore.create(folder, file)).address


def _found(home: Home, name: str) -> str:
    if name.startswith("0x"):
        return address_of(name, "`proofrail officer list` shows all.")
    return officer_address(home, name)
