"""`proofrail product`: which products new agreements may use."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands import output
from orchestrator.commands.committee import address_of
from orchestrator.commands.home import Home
from orchestrator.commands.output import Json, table
from orchestrator.commands.role_calls import (
    CallOptions,
    DryRun,
    Keystore,
    PasswordFile,
    Yes,
    calls_of,
    make_call,
    rail_of,
)

app = typer.Typer(
    name="product",
    help="List products for new agreements, add and remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Product = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="Name of a deployed contract, or an address.")
]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List every product that was ever allowed."""
    home = rail_of(context)
    names = {address: name for name, address in home.deployment.addresses.items()}
    views = [
        {"name": names.get(address), "address": address, "allowed": allowed}
        for address, allowed in _allowed(home).items()
    ]
    columns = ("name", "address", "for new agreements")
    lines = [(v["name"] or "-", v["address"], "yes" if v["allowed"] else "no") for v in views]
    output.show(
        views,
        as_json,
        lambda console: console.print(table(f"{len(views)} products", columns, lines)),
    )


@app.command()
def add(
    context: typer.Context,
    product: _Product,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Allow a product for new agreements. The steward's call: it waits for the delay."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    options = CallOptions(keystore, password_file, dry_run, yes, as_json)
    address = _found(home, product)
    is_done = _allowed(home).get(address, False)
    call = Call("PaymentRail", "allowProduct", (address,))
    make_call(home, call, Role.STEWARD, options, is_done=is_done)


@app.command()
def remove(
    context: typer.Context,
    product: _Product,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Refuse a product for new agreements, at once. Open ones settle on. The guardian's call."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    options = CallOptions(keystore, password_file, dry_run, yes, as_json)
    address = _found(home, product)
    is_done = not _allowed(home).get(address, True)
    call = Call("PaymentRail", "disallowProduct", (address,))
    make_call(home, call, Role.GUARDIAN, options, is_done=is_done)


def _allowed(home: Home) -> dict[str, bool]:
    """Return {checksummed address: whether new agreements may use it}."""
    from orchestrator.edges.chain.plan import checksum

    logs = calls_of(home).logs("PaymentRail", ("ProductAllowed",))
    return {checksum(log["product"]): log["allowed"] for _, log in logs}


def _found(home: Home, product: str) -> str:
    contracts = home.deployment.addresses
    if product in contracts:
        return contracts[product]
    return address_of(product, "`proofrail product list` shows the products.")
