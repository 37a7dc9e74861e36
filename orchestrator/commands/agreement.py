"""`proofrail agreement`: shows a payer the mandate, signs it with the payer's key and opens it.

The product says which terms it has, reads them and tells them; nothing here knows any product.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store.agreements import AgreementRow, PartyRow
    from orchestrator.operations.agreements import AgreementOps

app = typer.Typer(
    name="agreement", help="Open and list agreements.", no_args_is_help=True, rich_markup_mode=None
)
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_DAY_S = 86_400


def micro(text: str, what: str) -> int:
    """Micro-euro of a decimal text such as 0.30, exactly; refuses what is finer, or zero."""
    match = _AMOUNT.fullmatch(text.strip())
    amount = int(match[1]) * 10**6 + int((match[2] or "").ljust(6, "0")) if match else 0
    if not amount:
        raise Halt(
            f"{what} {text!r} is no amount in euro such as 0.30: digits, a point, at most "
            "six decimals, more than zero. Nothing was sent."
        )
    return amount


@app.command("open")
def open_(
    context: typer.Context,
    device: Annotated[str, typer.Option(help="The device's name.")],
    payer: Annotated[str, typer.Option(help="Who pays: name or address.")],
    cap: Annotated[str, typer.Option(help="Euro per period at most, as in 500.00.")],
    product: Annotated[str, typer.Option(help="`agreement terms` lists the products.")],
    term: Annotated[
        list[str] | None, typer.Option(help="name=value, once for each; see `agreement terms`.")
    ] = None,
    payee: Annotated[
        str | None, typer.Option(help="Who is paid: name or address; none if claims say it.")
    ] = None,
    period: Annotated[int, typer.Option(min=1, max=65_535, help="Days of the cap.")] = 30,
    window: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Dispute window, in s.")
    ] = _DAY_S,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Until it ends.")] = 365,
    fiscal: Annotated[
        bool, typer.Option("--fiscal", help="An OCMF meter's F records, not a charger's T ones.")
    ] = False,
    after: Annotated[int, typer.Option(min=0, help="The last record before it begins.")] = 0,
    required_domain: Annotated[int, typer.Option(min=0, max=255, help="0: any.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Sign a payer's mandate and open the agreement on chain."""
    here = home.of(context)
    chosen = _product(product)
    terms = chosen.parse_terms(_words(term or []))
    who, whom = party_of(here, payer), party_of(here, payee) if payee else None
    account = keystore_of(here, who)
    office = here.office()
    _require_payee(office, chosen, whom)
    mandate = _mandate(
        here,
        device,
        who.address,
        whom,
        chosen,
        cap=micro(cap, "The cap"),
        period_days=period,
        window=window,
        expiry=int(time.time()) + days * _DAY_S,
        first_counter=after + (1 << 39 if fiscal else 0),
        required_domain=required_domain,
        terms=terms,
    )
    told = _told(here, mandate, device, who, whom, chosen, dry_run)
    if not dry_run:
        signature = office.sign(mandate, account)
        office.open([(device, product, mandate, signature)])
    output.show(told, as_json, lambda console: _opened(console, told))


def _product(name: str) -> Any:
    from orchestrator.products import products

    known = products()
    if name not in known:
        raise Halt(f"There is no product {name!r}, only {', '.join(known)}. Nothing was sent.")
    return known[name]


def _words(terms: list[str]) -> dict[str, str]:
    """{name: value} of the --term options; each name once."""
    words: dict[str, str] = {}
    for text in terms:
        name, equals, value = text.partition("=")
        if not equals or name in words:
            what = "is given twice" if equals else "is not name=value"
            raise Halt(f"--term {text!r} {what}. Nothing was sent.")
        words[name] = value
    return words


def _require_payee(office: AgreementOps, product: Any, payee: PartyRow | None) -> None:
    if office.names_payee(product) == (payee is not None):
        return
    if payee is None:
        raise Halt(
            f"Agreements of {product.NAME} name who is paid: give --payee. Nothing was sent."
        )
    raise Halt(
        f"Agreements of {product.NAME} name no payee: each claim says who is paid. Leave "
        "--payee out. Nothing was sent."
    )


def _mandate(
    here: home.Home, device: str, payer: str, payee: PartyRow | None, product: Any, **terms: Any
) -> Any:
    import secrets

    from device_adapters.types import device_id
    from orchestrator.core.mandate import Mandate
    from orchestrator.edges.store import agreements
    from orchestrator.operations.agreements import NOBODY

    with here.store.read() as session:
        known = agreements.device_by_name(session, device)
    if known is None or known.status != "active":
        state = f"is {known.status}" if known else "is not enrolled here"
        raise Halt(
            f"Device {device!r} {state}. `proofrail device list` shows all, `proofrail "
            "device add` enrols one. Nothing was sent."
        )
    return Mandate(
        payer=payer,
        payee=payee.address if payee else NOBODY,
        device=device_id(device),
        product=here.deployment.addresses[product.CONTRACT],
        salt=secrets.token_bytes(32),
        **terms,
    )


def _told(
    here: home.Home,
    mandate: Any,
    device: str,
    payer: PartyRow,
    payee: PartyRow | None,
    product: Any,
    dry: bool,
) -> dict[str, Any]:
    from orchestrator.core.references import funding_reference

    identity = mandate.agreement_id()
    return {
        "sent": not dry,
        "agreement_id": "0x" + identity.hex(),
        "device": device,
        "payer": {"name": payer.name, "address": payer.address},
        "payee": {"name": payee.name, "address": payee.address, "iban": payee.iban}
        if payee
        else None,
        "product": product.NAME,
        "product_address": mandate.product,
        "terms": product.format_terms(mandate.terms),
        "terms_hex": "0x" + mandate.terms.hex(),
        "cap": {"amount": str(mandate.cap), "asset": "tEUR/6"},
        "period_days": mandate.period_days,
        "window_s": mandate.window,
        "expiry": mandate.expiry,
        "first_counter": mandate.first_counter,
        "required_domain": mandate.required_domain,
        "salt": "0x" + mandate.salt.hex(),
        "funding_reference": funding_reference(identity),
        "pay_to": here.town.get("safeguarding", {}).get("iban"),
    }


def _opened(console: Any, told: dict[str, Any]) -> None:
    payee = told["payee"]
    rows = [
        ("agreement", told["agreement_id"]),
        ("device", told["device"]),
        ("payer", f"{told['payer']['name']}  {told['payer']['address']}"),
        ("payee", f"{payee['name']}  {payee['address']}" if payee else "whom each claim names"),
        ("product", f"{told['product']}  {told['product_address']}"),
        *told["terms"].items(),
        ("at most", f"{output.money(told['cap'])} in {told['period_days']} days"),
        ("dispute window", f"{told['window_s']} s"),
        ("ends (UTC)", when(told["expiry"])),
        ("records after", told["first_counter"]),
        ("funding reference", told["funding_reference"]),
    ]
    console.print(table("mandate", ("field", "value"), rows))
    if not told["sent"]:
        console.print("nothing was sent (--dry-run); the salt, and so the id, is new each time")
        return
    account = told["pay_to"] or "the rail's safeguarding account"
    console.print(
        plain(
            f"open; next: the payer transfers money to {account} with reference "
            f"{told['funding_reference']}"
        ),
        soft_wrap=True,
    )


@app.command()
def terms(
    context: typer.Context,
    product: Annotated[str | None, typer.Argument(help="A product; none: all of them.")] = None,
    as_json: Json = False,
) -> None:
    """List the terms of a payment product, as `agreement open --term name=value` takes them."""
    from orchestrator.products import products

    chosen = [_product(product)] if product else list(products().values())
    here = home.of(context)
    deployed = here.deployment.addresses if here.settings.deployment.is_file() else {}
    told = [
        {
            "product": one.NAME,
            "contract": one.CONTRACT,
            "address": deployed.get(one.CONTRACT),
            "terms": [{"name": name, "help": text} for name, text in one.TERMS],
        }
        for one in chosen
    ]
    output.show(told, as_json, lambda console: _listed(console, told))


def _listed(console: Any, told: list[dict[str, Any]]) -> None:
    rows = [(p["product"], t["name"], t["help"]) for p in told for t in p["terms"]]
    console.print(table("terms", ("product", "--term", "value"), rows))
    for one in told:
        if one["address"]:
            console.print(plain(f"{one['contract']} is at {one['address']}"), soft_wrap=True)


@app.command()
def refund(
    context: typer.Context,
    agreement: Annotated[str, typer.Argument(help="The agreement's id, or how it begins.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Send what an expired agreement still holds back to its payer; anyone may ask for that."""
    here = home.of(context)
    row = _agreement(here, agreement)
    if not dry_run and row.expiry >= time.time():
        raise Halt(
            f"Agreement {row.agreement_id} runs until {when(row.expiry)} UTC; its escrow "
            "goes back after that. Nothing was sent."
        )
    amount = here.office().refund(row.agreement_id) if not dry_run else 0
    told = {
        "sent": amount > 0,
        "agreement_id": row.agreement_id,
        "payer": row.payer,
        "expiry": row.expiry,
        "amount": {"amount": str(amount), "asset": "tEUR/6"},
    }
    sentence = (
        f"{output.money(told['amount'])} went back to {row.payer}"
        if amount
        else "nothing is left in its escrow"
    )
    if dry_run:
        sentence = f"nothing was sent (--dry-run); it is due after {when(row.expiry)} UTC"
    output.show(told, as_json, lambda console: console.print(plain(sentence), soft_wrap=True))


def _agreement(here: home.Home, text: str) -> AgreementRow:
    from orchestrator.edges.store import agreements

    with here.store.read() as session:
        found = [
            row
            for row in agreements.all_agreements(session)
            if row.agreement_id.startswith(text.lower())
        ]
    if len(text) < 6 or len(found) != 1:
        what = f"{len(found)} agreements begin with {text!r}"
        if len(text) < 6:
            what = f"{text!r} is too short: give an agreement's first 6 characters or more"
        raise Halt(f"{what}. `proofrail agreement list` shows all. Nothing was sent.")
    return found[0]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the agreements."""
    from orchestrator.edges.store import agreements

    with home.of(context).store.read() as session:
        names = {party.address: party.name for party in agreements.parties(session)}
        told = [
            {
                "agreement_id": a.agreement_id,
                "device": a.device,
                "product": a.product,
                "payer": names.get(a.payer, a.payer),
                "payee": _payee(a.payee, names),
                "terms_hex": a.terms,
                "stage": a.stage,
                "cap": {"amount": str(a.cap_micro), "asset": "tEUR/6"},
                "expiry": a.expiry,
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
        for a in told
    ]
    columns = ("agreement", "device", "payer", "payee", "stage", ">cap", ">payments", "reference")
    output.show(
        told,
        as_json,
        lambda console: console.print(table(f"{len(told)} agreements", columns, rows)),
    )


def _payee(address: str, names: dict[str, str]) -> str:
    """Who is paid, for people: a mandate may leave that to each claim."""
    from orchestrator.operations.agreements import NOBODY

    return "whom claims name" if address == NOBODY else names.get(address, address)
