"""`proofrail agreement`: shows a payer the mandate, signs it with the payer's key and opens it."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, plain, table, when
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.errors import Halt

app = typer.Typer(name="agreement", help="Open and list agreements.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_DAY_S = 86_400


def micro(text: str, what: str) -> int:
    """Micro-euro of a decimal text such as 0.30, exactly; refuses what is finer, or zero."""
    match = _AMOUNT.fullmatch(text.strip())
    amount = int(match[1]) * 10**6 + int((match[2] or "").ljust(6, "0")) if match else 0
    if not amount:
        raise Halt(f"{what} {text!r} is no amount in euro such as 0.30: digits, a point, at most "
                   "six decimals, more than zero. Nothing was sent.")  # fmt: skip
    return amount


@app.command("open")
def open_(
    context: typer.Context,
    device: Annotated[str, typer.Option(help="The device's name.")],
    payer: Annotated[str, typer.Option(help="Who pays: name or address.")],
    payee: Annotated[str, typer.Option(help="Who is paid: name or address.")],
    price: Annotated[str, typer.Option(help="Euro per kWh, as in 0.30.")],
    fuse_watts: Annotated[int, typer.Option(min=1, max=2**32 - 1)],
    cap: Annotated[str, typer.Option(help="Euro per period at most, as in 500.00.")],
    period: Annotated[int, typer.Option(min=1, max=65_535, help="Days of the cap.")] = 30,
    window: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Challenge, in s.")] = _DAY_S,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Until it ends.")] = 365,
    product: Annotated[str, typer.Option(help="A payment product.")] = "metered_energy",
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Every kWh counts, not only sessions.")
    ] = False,
    fiscal: Annotated[
        bool, typer.Option("--fiscal", help="A meter's F records, not a charger's T ones.")
    ] = False,
    after: Annotated[int, typer.Option(min=0, help="The last record before it begins.")] = 0,
    required_domain: Annotated[int, typer.Option(min=0, max=255, help="0: any.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Sign a payer's mandate and open the agreement on chain."""
    here = home.of(context)
    chosen = _product(product)
    terms = chosen.EnergyTerms(micro(price, "The price"), fuse_watts, continuous)
    who, whom = party_of(here, payer), party_of(here, payee)
    account = keystore_of(here, who)
    mandate = _mandate(
        here, device, who.address, whom.address, chosen, cap=micro(cap, "The cap"),
        period_days=period, window=window, expiry=int(time.time()) + days * _DAY_S,
        first_counter=after + (1 << 39 if fiscal else 0), required_domain=required_domain,
        terms=chosen.encode_terms(terms),
    )  # fmt: skip
    told = _told(here, mandate, device, who, whom, chosen, dry_run)
    if not dry_run:
        office = here.office()
        signature = office.sign(mandate, account)
        office.open([(device, product, mandate, signature)])
    output.show(told, as_json, lambda console: _opened(console, told))


def _product(name: str) -> Any:
    from orchestrator.products import products

    known = products()
    if name not in known:
        raise Halt(f"There is no product {name!r}, only {', '.join(known)}. Nothing was sent.")
    if not hasattr(known[name], "EnergyTerms"):
        raise Halt(f"The terms of {name} are no price and fuse. Open it through the API.")
    return known[name]


def _mandate(
    here: home.Home, device: str, payer: str, payee: str, product: Any, **terms: Any
) -> Any:
    import secrets

    from device_adapters.types import device_id
    from orchestrator.core.mandate import Mandate
    from orchestrator.edges.store import agreements

    with here.store.read() as session:
        known = agreements.device_by_name(session, device)
    if known is None or known.status == "retired":
        state = "is retired" if known else "is not enrolled here"
        raise Halt(f"Device {device!r} {state}. `proofrail device list` shows all, `proofrail "
                   "device add` enrols one. Nothing was sent.")  # fmt: skip
    return Mandate(
        payer=payer, payee=payee, device=device_id(device),
        product=here.deployment.addresses[product.CONTRACT], salt=secrets.token_bytes(32), **terms,
    )  # fmt: skip


def _told(
    here: home.Home, mandate: Any, device: str, payer: Any, payee: Any, product: Any, dry: bool
) -> dict[str, Any]:
    from orchestrator.core.references import funding_reference

    identity = mandate.agreement_id()
    return {
        "sent": not dry, "agreement_id": "0x" + identity.hex(), "device": device,
        "payer": {"name": payer.name, "address": payer.address},
        "payee": {"name": payee.name, "address": payee.address, "iban": payee.iban},
        "product": product.NAME, "product_address": mandate.product,
        "terms": product.decode_terms(mandate.terms)._asdict(),
        "cap": {"amount": str(mandate.cap), "asset": "tEUR/6"}, "period_days": mandate.period_days,
        "window_s": mandate.window, "expiry": mandate.expiry,
        "first_counter": mandate.first_counter, "required_domain": mandate.required_domain,
        "salt": "0x" + mandate.salt.hex(), "funding_reference": funding_reference(identity),
        "pay_to": here.town.get("safeguarding", {}).get("iban"),
    }  # fmt: skip


def _opened(console: Any, told: dict[str, Any]) -> None:
    terms = told["terms"]
    rows = [
        ("agreement", told["agreement_id"]), ("device", told["device"]),
        ("payer", f"{told['payer']['name']}  {told['payer']['address']}"),
        ("payee", f"{told['payee']['name']}  {told['payee']['address']}"),
        ("product", f"{told['product']}  {told['product_address']}"),
        ("price", f"{decimal(terms['price_per_kwh'], 'tEUR/6')} per kWh"),
        ("fuse", f"{terms['fuse_watts']} W"), ("continuous", terms["continuous"]),
        ("at most", f"{output.money(told['cap'])} in {told['period_days']} days"),
        ("challenge window", f"{told['window_s']} s"), ("ends (UTC)", when(told["expiry"])),
        ("records after", told["first_counter"]),
        ("funding reference", told["funding_reference"]),
    ]  # fmt: skip
    console.print(table("mandate", ("field", "value"), rows))
    if not told["sent"]:
        console.print("nothing was sent (--dry-run); the salt, and so the id, is new each time")
        return
    account = told["pay_to"] or "the rail's safeguarding account"
    console.print(plain(f"open; next: the payer transfers money to {account} with reference "
                        f"{told['funding_reference']}"), soft_wrap=True)  # fmt: skip


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the agreements."""
    from orchestrator.edges.store import agreements

    with home.of(context).store.read() as session:
        names = {party.address: party.name for party in agreements.parties(session)}
        told = [
            {"agreement_id": a.agreement_id, "device": a.device, "product": a.product,
             "payer": names.get(a.payer, a.payer), "payee": names.get(a.payee, a.payee),
             "stage": a.stage, "cap": {"amount": str(a.cap_micro), "asset": "tEUR/6"},
             "expiry": a.expiry, "sequence": a.sequence, "funding_reference": a.reference}
            for a in agreements.all_agreements(session)
        ]  # fmt: skip
    rows = [
        (output.short(a["agreement_id"]), a["device"], a["payer"], a["payee"], a["stage"],
         output.money(a["cap"]), a["sequence"], a["funding_reference"])
        for a in told
    ]  # fmt: skip
    columns = ("agreement", "device", "payer", "payee", "stage", ">cap", ">payments", "reference")
    output.show(told, as_json, lambda console: console.print(
        table(f"{len(told)} agreements", columns, rows)
    ))  # fmt: skip
