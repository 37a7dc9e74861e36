"""`proofrail agreement open`: signs a payer's mandate and opens the agreement.

The product defines, parses and formats its terms; this file knows no product.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import product_of
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, parse_euro, plain, table, when
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store.agreements import PartyRow
    from orchestrator.operations.agreements import AgreementOps

app = typer.Typer(rich_markup_mode=None)
_DAY_S = 86_400
_MAX_BOND_MICRO = 100_000_000  # MAX_BOND of contracts/Consents.sol


_Start = Annotated[
    str | None, typer.Option(help="Records before this UTC time are refused. Default: the opening.")
]
_Bond = Annotated[str, typer.Option(help="What a dispute costs, at most 100.00 euro.")]
_SettleAfter = Annotated[
    str,
    typer.Option(
        help="When it settles: records=N,minutes=N,amount=EURO,session,day; whichever is first. "
        "Default: at once."
    ),
]
_RequiredDomain = Annotated[
    int, typer.Option(min=0, max=255, help="A trust domain that must sign; 0: any.")
]
_Period = Annotated[
    int,
    typer.Option(min=1, max=65_535, help="Days in a period of the cap, counted from 1970-01-01."),
]
_Window = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Dispute window, in seconds.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the result, send nothing.")]


@app.command("open")
def open_(
    context: typer.Context,
    device: Annotated[str, typer.Option(help="The device's name.")],
    payer: Annotated[str, typer.Option(help="The payer: name or address.")],
    cap: Annotated[str, typer.Option(help="The most to pay per period, in euro, as in 500.00.")],
    product: Annotated[str, typer.Option(help="`agreement terms` lists the products.")],
    term: Annotated[
        list[str] | None, typer.Option(help="name=value or name=@FILE; see `agreement terms`.")
    ] = None,
    payee: Annotated[
        str | None,
        typer.Option(
            help="The payee: name or address. Leave it out if each claim names its payee."
        ),
    ] = None,
    period: _Period = 30,
    window: _Window = _DAY_S,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Days until it ends.")] = 365,
    fiscal: Annotated[
        bool,
        typer.Option("--fiscal", help="Use an OCMF meter's F records, not a charger's T records."),
    ] = False,
    after: Annotated[
        int, typer.Option(min=0, help="Counter of the last record before the agreement begins.")
    ] = 0,
    required_domain: _RequiredDomain = 0,
    start: _Start = None,
    bond: _Bond = "10.00",
    settle_after: _SettleAfter = "",
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Open an agreement on chain. Signs the mandate with the payer's key.

    The device's owner has to consent, unless it is the payer; where its keystore is here, it signs.
    """
    from orchestrator.operations.agreements import NOBODY

    home = home_of(context)
    product_rules = product_of(product)
    payer_party, payee_party = party_of(home, payer), party_of(home, payee) if payee else None
    account = keystore_of(home, payer_party)
    agreements = home.agreement_ops()
    terms = product_rules.parse_terms(term_values(term or []))
    _require_payee(agreements, product_rules, payee_party)
    _require_active(home, device)
    mandate = agreements.mandate(
        device,
        payer_party.address,
        payee_party.address if payee_party else NOBODY,
        product_rules,
        cap_micro=parse_euro(cap, "The cap"),
        period_days=period,
        window_s=window,
        start=_moment(start) if start else 0,
        expiry=int(time.time()) + days * _DAY_S,
        first_counter=after + (1 << 39 if fiscal else 0),
        required_domain=required_domain,
        bond_micro=bond_of(bond),
        schedule=_schedule(settle_after),
        terms=terms,
    )
    view = _mandate_view(home, mandate, device, payer_party, payee_party, product_rules, dry_run)
    if not dry_run:
        signature = agreements.sign(mandate, account)
        agreements.open([(device, product, mandate, signature)])
    output.show(view, as_json, lambda console: _print_opened(console, view))


def term_values(terms: list[str], option: str = "--term") -> dict[str, str]:
    """Return {name: value} of an option that is given once a name.

    A value that begins with @ names a file with the text, such as a table of meters.
    """
    values: dict[str, str] = {}
    for text in terms:
        name, equals, value = text.partition("=")
        if not equals or name in values:
            what = "is given twice" if equals else "is not name=value"
            raise Halt(f"{option} {text!r} {what}. Nothing was sent.")
        values[name] = _text_of(value[1:], option) if value.startswith("@") else value
    return values


def _text_of(file: str, option: str) -> str:
    try:
        return Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Halt(f"{option}: {file} cannot be read: {error}. Nothing was sent.") from error


def _require_payee(agreements: AgreementOps, product: Any, payee: PartyRow | None) -> None:
    if agreements.names_payee(product) == (payee is not None):
        return
    if payee is None:
        raise Halt(f"Agreements of {product.NAME} need a payee: give --payee. Nothing was sent.")
    raise Halt(
        f"Agreements of {product.NAME} have no payee: each claim names its payee. Leave "
        "--payee out. Nothing was sent."
    )


def _require_active(home: Home, device: str) -> None:
    from orchestrator.edges.store import agreements

    with home.store.read() as session:
        enrolled = agreements.device_by_name(session, device)
    if enrolled is None or enrolled.status != "active":
        state = f"is {enrolled.status}" if enrolled else "is not enrolled"
        raise Halt(
            f"Device {device!r} {state}. `proofrail device list` shows all, `proofrail "
            "device add` enrols one. Nothing was sent."
        )


def _moment(text: str) -> int:
    """Return the Unix seconds of a typed UTC time, as in 2026-11-30T12:00:00Z."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Halt(
            f"--start {text!r} is no time such as 2026-11-30T12:00:00Z. Nothing was sent."
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def bond_of(text: str) -> int:
    """Return the micro-euro of a typed bond; raises Halt where the rail takes no such bond."""
    micro = parse_euro(text, "The bond")
    if micro > _MAX_BOND_MICRO:
        raise Halt(
            f"The bond is {output.decimal(micro, 'EUR/6')}, and the rail takes at most "
            f"{output.decimal(_MAX_BOND_MICRO, 'EUR/6')}. Nothing was sent."
        )
    return micro


def _schedule(text: str) -> int:
    from orchestrator.core import schedule

    try:
        return schedule.parse(text)
    except ValueError as error:
        raise Halt(f"--settle-after: {error}. Nothing was sent.") from error


def _mandate_view(
    home: Home,
    mandate: Any,
    device: str,
    payer: PartyRow,
    payee: PartyRow | None,
    product: Any,
    dry: bool,
) -> dict[str, Any]:
    from orchestrator.core import schedule
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
        "start": mandate.start or None,
        "expiry": mandate.expiry,
        "bond": {"amount": str(mandate.bond), "asset": "tEUR/6"},
        "settles": schedule.describe(mandate.schedule),
        "schedule": mandate.schedule,
        "version": mandate.version,
        "first_counter": mandate.first_counter,
        "required_domain": mandate.required_domain,
        "salt": "0x" + mandate.salt.hex(),
        "funding_reference": funding_reference(identity),
        "pay_to": home.rail_file.get("safeguarding", {}).get("iban"),
    }


def _print_opened(console: Any, view: dict[str, Any]) -> None:
    payee = view["payee"]
    rows = [
        ("agreement", view["agreement_id"]),
        ("device", view["device"]),
        ("payer", f"{view['payer']['name']}  {view['payer']['address']}"),
        ("payee", f"{payee['name']}  {payee['address']}" if payee else "named by each claim"),
        ("product", f"{view['product']}  {view['product_address']}"),
        *view["terms"].items(),
        ("at most", f"{output.money(view['cap'])} in {view['period_days']} days"),
        ("dispute window", f"{view['window_s']} s"),
        ("begins (UTC)", when(view["start"]) if view["start"] else "with its opening"),
        ("ends (UTC)", when(view["expiry"])),
        ("a dispute costs", f"{output.money(view['bond'])} at most"),
        ("settles", view["settles"]),
        ("records after", view["first_counter"]),
        ("funding reference", view["funding_reference"]),
    ]
    console.print(table("mandate", ("field", "value"), rows))
    if not view["sent"]:
        console.print(
            "nothing was sent (--dry-run); the salt, and with it the id, is new each time"
        )
        return
    account = view["pay_to"] or "the rail's safeguarding account"
    console.print(
        plain(
            f"the agreement is open; next: the payer transfers money to {account} with reference "
            f"{view['funding_reference']}"
        ),
        soft_wrap=True,
    )
