"""`proofrail waterfall`: payees that divide what they earn among holders."""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.chain_call import DryRun, print_calls
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, parse_euro, plain, table
from orchestrator.commands.party import address_of, keystore_of, party_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.waterfall import WaterfallTerms
    from orchestrator.operations.waterfalls import HolderMoney, KnownWaterfall, WaterfallMoney

app = typer.Typer(
    name="waterfall",
    help="Payees that divide what they earn among holders.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Name = Annotated[str, typer.Argument(metavar="WATERFALL", help="Its name or address.")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name; at most 32 bytes.")],
    holder: Annotated[
        list[str],
        typer.Option(help="Who shares, and how much in percent, as in 'Nord eG=62.5'. Repeat it."),
    ],
    senior: Annotated[
        str | None, typer.Option(help="Who is served first, by name or address.")
    ] = None,
    senior_share: Annotated[
        str | None, typer.Option(help="Percent of what comes in, until the limit.")
    ] = None,
    senior_limit: Annotated[
        str | None, typer.Option(help="Euro that the senior gets in all, as in 1500.00.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Create a waterfall. Its holders and shares can never be changed.

    It is a payee: name it with `agreement open --payee`. The rail's own key signs, and gets no
    power over it. One that is there already is not created again.
    """
    from orchestrator.operations.waterfalls import (
        create_calls,
        label_of,
        require_factory,
        save_party,
    )

    home = home_of(context)
    require_factory(home.store, home.chain)
    terms = _terms(home, label_of(name), holder, senior, senior_share, senior_limit)
    address, calls = create_calls(home.store, home.chain, name, terms)
    sent, signer = bool(calls) and not dry_run, home.role_account("sender")
    view = {"name": name, "address": address, "sent": sent, "already": not calls}
    view |= _terms_view(home, terms) | _made(home, signer, calls, dry_run)
    if not dry_run:
        save_party(home.store, address, name)
    output.show(view, as_json, lambda console: _print_created(console, view))


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the waterfalls that the chain has."""
    from orchestrator.operations.waterfalls import known

    home = home_of(context)
    views = [
        {
            "name": item.name,
            "address": item.address,
            "block": item.block,
            **_terms_view(home, item.terms),
        }
        for item in known(home.store)
    ]
    rows = [(v["name"], v["address"], str(v["block"]), _shares_text(v)) for v in views]
    columns = ("name", "address", ">block", "holders")
    output.show(
        views,
        as_json,
        lambda console: console.print(table(f"{len(views)} waterfalls", columns, rows)),
    )


@app.command()
def show(context: typer.Context, waterfall: _Name, as_json: Json = False) -> None:
    """Show what came in, what each holder took, and what it can take now."""
    home = home_of(context)
    item, money = _money(home, waterfall)
    view = {"name": item.name, "address": item.address, **_money_view(home, item, money)}
    output.show(view, as_json, lambda console: _print_money(console, view))


@app.command()
def income(context: typer.Context, waterfall: _Name, as_json: Json = False) -> None:
    """List what came in, each holder's part of it, and the payments that it is made of.

    `proofrail trace` shows the records of devices under each payment.
    """
    from orchestrator.operations.waterfall_income import income_of
    from orchestrator.operations.waterfalls import waterfall_of

    home = home_of(context)
    item = waterfall_of(home.store, waterfall)
    names = _names(home)
    views = [
        {
            "tx_hash": part.tx_hash,
            "block": part.block,
            "from": part.giver,
            "amount": _amount(part.amount_micro),
            "debts_paid": _amount(part.debts_micro),
            "parts": [
                {"name": names.get(person.lower()), "address": person, **_amount(micro)}
                for person, micro in part.parts.items()
            ],
            "payments": [
                {"payment": p.payment_id, "device": p.device, **_amount(p.amount_micro)}
                for p in part.payments
            ],
        }
        for part in income_of(home.store, home.deployment, item)
    ]
    output.show(views, as_json, lambda console: _print_income(console, item.name, views))


@app.command()
def take(
    context: typer.Context,
    waterfall: _Name,
    holder: Annotated[str, typer.Option("--as", help="The holder, by name or address.")],
    tokens: Annotated[
        bool, typer.Option("--tokens", help="As tokens to the holder's wallet, to the last unit.")
    ] = False,
    by_rail: Annotated[
        bool,
        typer.Option(
            "--by-rail",
            help="The rail's key signs: once a day, and not below the holder's payout minimum.",
        ),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pay a holder its part: whole cents to its bank account, or tokens to its wallet.

    What has matured on the rail is released and taken in first. Others' parts stay as they are.
    """
    from orchestrator.operations.waterfalls import take_calls

    if tokens and by_rail:
        raise Halt("Tokens are taken by the holder itself: leave --by-rail out. Nothing was sent.")
    home = home_of(context)
    party = party_of(home, holder)
    item, money = _money(home, waterfall)
    calls = take_calls(home.chain, item, money, party.address, to_bank=not tokens)
    signer = home.role_account("sender") if by_rail else keystore_of(home, party)
    view = {
        "name": item.name,
        "holder": party.name,
        "sent": not dry_run,
        "before": _money_view(home, item, money),
    }
    view |= _made(home, signer, calls, dry_run)
    if not dry_run:
        view["after"] = _money_view(home, *_money(home, waterfall))
    output.show(view, as_json, lambda console: _print_taken(console, view))


def _made(home: Home, signer: Any, calls: list[Any], dry_run: bool) -> dict[str, Any]:
    """Try the first call at the node; send all of them unless it is a dry run."""
    from orchestrator.edges.chain.call_text import call_view
    from orchestrator.edges.chain.sender import Sender, send_in_turn

    for call in calls[:1]:
        home.chain.quote(signer.address, call)  # it says by name why it would revert
    views = [call_view(home.deployment, signer.address, call) for call in calls]
    if dry_run:
        return {"calls": views}
    sender = Sender(home.store, home.chain, signer)
    return {
        "calls": views,
        "transactions": send_in_turn(sender, calls, int(time.time()), patience()),
    }


def _money(home: Home, text: str) -> tuple[KnownWaterfall, WaterfallMoney]:
    from orchestrator.operations.waterfalls import money_of, waterfall_of

    item = waterfall_of(home.store, text)
    return item, money_of(home.store, home.chain, item, int(time.time()))


# --- what people type


def _terms(
    home: Home,
    label: bytes,
    holders: list[str],
    senior: str | None,
    share: str | None,
    limit: str | None,
) -> WaterfallTerms:
    from orchestrator.core.waterfall import NOBODY, WaterfallTerms, checked

    pairs = []
    for text in holders:
        person, _, percent = text.rpartition("=")
        if not person:
            raise Halt(
                f"--holder {text!r} is not a holder with its share, as in 'Nord eG=62.5'. Nothing "
                "was sent."
            )
        pairs.append((address_of(home, person), _basis_points(percent, "--holder")))
    return checked(
        WaterfallTerms(
            label,
            tuple(pairs),
            address_of(home, senior) if senior else NOBODY,
            _basis_points(share, "--senior-share") if share else 0,
            parse_euro(limit, "--senior-limit") if limit else 0,
        )
    )


def _basis_points(text: str, what: str) -> int:
    try:
        points = Decimal(text) * 100
    except InvalidOperation:
        points = Decimal(-1)
    if not points.is_finite() or points != int(points) or not 0 < points <= 10_000:
        raise Halt(
            f"{what} {text!r} is not a share in percent such as 62.5: more than 0, at most 100, "
            "and at most two decimals. Nothing was sent."
        )
    return int(points)


# --- what people read


def _terms_view(home: Home, terms: WaterfallTerms) -> dict[str, Any]:
    from orchestrator.core.waterfall import NOBODY

    names = _names(home)
    senior = None
    if terms.senior != NOBODY:
        senior = {
            "name": names.get(terms.senior.lower()),
            "address": terms.senior,
            "share_bps": terms.senior_share,
            "limit": _amount(terms.senior_limit),
        }
    holders = [
        {"name": names.get(address.lower()), "address": address, "share_bps": share}
        for address, share in terms.holders
    ]
    return {"senior": senior, "holders": holders}


def _names(home: Home) -> dict[str, str]:
    from orchestrator.edges.store import agreements

    with home.store.read() as session:
        return {party.address.lower(): party.name for party in agreements.parties(session)}


def _money_view(home: Home, item: KnownWaterfall, money: WaterfallMoney) -> dict[str, Any]:
    names = _names(home)
    return {
        "received": _amount(money.received_micro),
        "taken": _amount(money.taken_micro),
        "released_at_the_rail": _amount(money.waiting_micro),
        "matured_at_the_rail": _amount(money.matured_micro),
        "owed_to_agreements": _amount(money.owed_micro),
        "senior_limit": _amount(item.terms.senior_limit),
        "holders": [_holder_view(names, person) for person in money.holders],
    }


def _holder_view(names: dict[str, str], person: HolderMoney) -> dict[str, Any]:
    return {
        "name": names.get(person.address.lower()),
        "address": person.address,
        "share_bps": person.share,
        "is_senior": person.is_senior,
        "taken": _amount(person.taken_micro),
        "in_the_waterfall": _amount(person.owed_micro),
        "can_take": _amount(person.next_micro),
        "paid_to_bank": person.has_account,
    }


def _amount(micro: int) -> dict[str, str]:
    return {"amount": str(micro), "asset": "tEUR/6"}


def _shares_text(view: dict[str, Any]) -> str:
    parts = [f"{h['name'] or h['address']} {h['share_bps'] / 100:g} %" for h in view["holders"]]
    senior = view["senior"]
    if senior:
        name, limit = senior["name"] or senior["address"], output.money(senior["limit"])
        parts.insert(0, f"first {name} {senior['share_bps'] / 100:g} % up to {limit}")
    return ", ".join(parts)


def _print_created(console: Any, view: dict[str, Any]) -> None:
    if not view["already"]:
        print_calls(console, view["calls"], view["sent"])
    state = "is" if view["sent"] or view["already"] else "would be"
    console.print(plain(f"{view['name']} {state} at {view['address']}: {_shares_text(view)}"))
    if view["already"]:
        console.print(plain("it was there already; nothing was sent"))
    for tx_hash in view.get("transactions", []):
        console.print(plain(f"sent in {tx_hash}"), soft_wrap=True)


def _print_money(console: Any, view: dict[str, Any], title: str = "") -> None:
    console.print(plain(title or f"{view['name']}  {view['address']}"), soft_wrap=True)
    sums = [
        (name.replace("_", " "), output.money(value))
        for name, value in view.items()
        if isinstance(value, dict)
    ]
    console.print(table("money", ("", ">amount"), sums))
    rows = [
        (
            h["name"] or h["address"],
            "first" if h["is_senior"] and not h["share_bps"] else f"{h['share_bps'] / 100:g} %",
            output.money(h["taken"]),
            output.money(h["can_take"]),
            "bank account" if h["paid_to_bank"] else "tokens only",
        )
        for h in view["holders"]
    ]
    columns = ("holder", "share", ">taken", ">can take", "paid to")
    console.print(table("holders", columns, rows))


def _print_income(console: Any, name: str, views: list[dict[str, Any]]) -> None:
    rows = [
        (
            str(view["block"]),
            output.money(view["amount"]),
            output.one_per_line(
                f"{part['name'] or output.short(part['address'])} {output.money(part)}"
                for part in view["parts"]
            ),
            output.one_per_line(
                [f"{p['device']} {output.short(p['payment'])}" for p in view["payments"]]
                or [f"sent by {view['from']}"]
            ),
        )
        for view in views
    ]
    columns = (">block", ">amount", "parts", "payments")
    console.print(table(f"{name}: {len(views)} times money came in", columns, rows))


def _print_taken(console: Any, view: dict[str, Any]) -> None:
    print_calls(console, view["calls"], view["sent"])
    _print_money(console, view.get("after", view["before"]), f"{view['name']}, {view['holder']}")
    for tx_hash in view.get("transactions", []):
        console.print(plain(f"sent in {tx_hash}"), soft_wrap=True)
    if view["sent"]:
        console.print(
            plain(
                "a payout is ordered at the bank once its block is final; see `proofrail payout "
                "list`"
            )
        )
