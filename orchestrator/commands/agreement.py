"""`proofrail agreement terms | list | refund`; the other commands have files of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store.agreements import AgreementRow

app = typer.Typer(
    name="agreement",
    help="Preview, open, close, fund, skip, move and list agreements.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_DAY_S = 86_400
_MAX_BOND_MICRO = 100_000_000  # MAX_BOND of contracts/Consents.sol


@app.command()
def terms(
    context: typer.Context,
    product: Annotated[str | None, typer.Argument(help="A product; default: all.")] = None,
    as_json: Json = False,
) -> None:
    """List the terms of a product. `agreement open` takes them as --term name=value."""
    from orchestrator.products import products

    chosen = [product_of(product)] if product else list(products().values())
    home = home_of(context)
    deployed = home.deployment.addresses if home.settings.deployment.is_file() else {}
    product_views = [
        {
            "product": product_rules.NAME,
            "contract": product_rules.CONTRACT,
            "address": deployed.get(product_rules.CONTRACT),
            "terms": [{"name": name, "help": text} for name, text in product_rules.TERMS],
        }
        for product_rules in chosen
    ]
    output.show(product_views, as_json, lambda console: _print_terms(console, product_views))


def _print_terms(console: Any, products: list[dict[str, Any]]) -> None:
    rows = [(p["product"], t["name"], t["help"]) for p in products for t in p["terms"]]
    console.print(table("terms", ("product", "--term", "value"), rows))
    for product in products:
        if product["address"]:
            console.print(
                plain(f"{product['contract']} is at {product['address']}"), soft_wrap=True
            )


@app.command()
def refund(
    context: typer.Context,
    agreement: Annotated[str, typer.Argument(help="The agreement's id, or its beginning.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the result, send nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Refund an expired agreement. Sends the rest of its escrow back to the payer."""
    home = home_of(context)
    row = agreement_of(home, agreement)
    if not dry_run and row.ends_at >= time.time():
        raise Halt(
            f"Claims of agreement {row.agreement_id} are taken until {when(row.ends_at)} UTC; its "
            "escrow can be refunded after that. Nothing was sent."
        )
    amount = home.agreement_ops().refund(row.agreement_id) if not dry_run else 0
    view = {
        "sent": amount > 0,
        "agreement_id": row.agreement_id,
        "payer": row.payer,
        "expiry": row.expiry,
        "ends_at": row.ends_at,
        "amount": {"amount": str(amount), "asset": "tEUR/6"},
    }
    sentence = (
        f"{output.money(view['amount'])} went back to {row.payer}"
        if amount
        else "nothing is left in its escrow"
    )
    if dry_run:
        sentence = (
            f"nothing was sent (--dry-run); the refund is possible after {when(row.ends_at)} UTC"
        )
    output.show(view, as_json, lambda console: console.print(plain(sentence), soft_wrap=True))


def product_of(name: str) -> Any:
    """Return the product of a name; raises Halt for an unknown one."""
    from orchestrator.products import products

    all_products = products()
    if name not in all_products:
        raise Halt(
            f"There is no product {name!r}, only {', '.join(all_products)}. Nothing was sent."
        )
    return all_products[name]


def agreement_of(home: Home, text: str) -> AgreementRow:
    """Return the stored agreement whose id begins with a text; raises Halt for none or several."""
    from orchestrator.edges.store import agreements

    with home.store.read() as session:
        matches = [
            row
            for row in agreements.all_agreements(session)
            if row.agreement_id.startswith(text.lower())
        ]
    if len(text) < 6 or len(matches) != 1:
        what = f"{len(matches)} agreements begin with {text!r}"
        if len(text) < 6:
            what = f"{text!r} is too short: give at least the first 6 characters of the id"
        raise Halt(f"{what}. `proofrail agreement list` shows all. Nothing was sent.")
    return matches[0]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the agreements."""
    from orchestrator.core import schedule
    from orchestrator.edges.store import agreements

    with home_of(context).store.read() as session:
        names = {party.address: party.name for party in agreements.parties(session)}
        agreement_views = [
            {
                "agreement_id": a.agreement_id,
                "device": a.device,
                "product": a.product,
                "payer": names.get(a.payer, a.payer),
                "payee": _payee(a.payee, names),
                "terms_hex": a.terms,
                "stage": a.stage,
                "cap": {"amount": str(a.cap_micro), "asset": "tEUR/6"},
                "expiry": a.closes_at or a.expiry,
                "ends_at": a.ends_at,
                "bond": {"amount": str(a.bond_micro), "asset": "tEUR/6"},
                "settles": schedule.describe(a.schedule),
                "mandate_version": a.mandate_version,
                "sequence": a.sequence,
                "funding_reference": a.reference,
            }
            for a in agreements.all_agreements(session)
        ]
    rows = [
        (
            output.short(a["agreement_id"]),
            a["device"],
            a["payer"],
            a["payee"],
            a["stage"],
            output.money(a["cap"]),
            a["sequence"],
            a["funding_reference"],
        )
        for a in agreement_views
    ]
    columns = ("agreement", "device", "payer", "payee", "stage", ">cap", ">payments", "reference")
    output.show(
        agreement_views,
        as_json,
        lambda console: console.print(table(f"{len(agreement_views)} agreements", columns, rows)),
    )


def _payee(address: str, names: dict[str, str]) -> str:
    """Return the payee's name; a mandate may leave the payee to each claim."""
    from orchestrator.operations.agreements import NOBODY

    return "named by each claim" if address == NOBODY else names.get(address, address)
