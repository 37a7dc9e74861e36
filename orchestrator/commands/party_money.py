"""`proofrail party money | release | withdraw | repay | payout-account`: a payee's own money."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.chain_call import DryRun, print_calls
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, parse_euro, plain, table
from orchestrator.commands.party import address_of, keystore_of, party_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.chain.client import Call
    from orchestrator.edges.store.agreements import PartyRow
    from orchestrator.operations.payee_money import PayeeMoney

app = typer.Typer(rich_markup_mode=None)
_ZERO = re.compile(r"0(\.0+)?")
_Name = Annotated[str, typer.Argument(help="The payee, by name or address.")]
_Amount = Annotated[str | None, typer.Option(help="Euro, as in 12.50. Default: all of it.")]


@app.command()
def money(context: typer.Context, name: _Name, as_json: Json = False) -> None:
    """Show a payee's money in the rail. Matured, withdrawable, owed, and in its wallet."""
    home = home_of(context)
    party = party_of(home, name)
    view = {"name": party.name, "address": party.address, **_money_view(_money(home, party))}
    output.show(view, as_json, lambda console: _print_money(console, view))


@app.command()
def release(
    context: typer.Context, name: _Name, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Release what has matured, signed by the payee. It is paid out at once.

    The rail orders one payout a day, and none below the payee's minimum; the payee itself at any
    time. Debts are paid first.
    """
    from orchestrator.operations.payee_money import release_calls

    home = home_of(context)
    party = party_of(home, name)
    payee_money = _money(home, party)
    _send(home, party, payee_money, release_calls(payee_money), dry_run, as_json)


@app.command()
def withdraw(
    context: typer.Context,
    name: _Name,
    amount: _Amount = None,
    to: Annotated[
        str | None, typer.Option(help="Who gets the tokens: a party or an address.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take a payee's released tokens out of the rail. Debts are paid first."""
    from orchestrator.operations.payee_money import withdraw_calls

    home = home_of(context)
    party = party_of(home, name)
    payee_money = _money(home, party)
    micro = parse_euro(amount, "--amount") if amount else payee_money.free_micro
    if not micro:
        raise Halt(
            f"{party.name} has nothing to take out: what is released is paid to its bank account, "
            "or owed to agreements. Nothing was sent. `proofrail party money` shows all of it."
        )
    target = address_of(home, to) if to else party.address
    calls = withdraw_calls(payee_money, target, micro)
    _send(home, party, payee_money, calls, dry_run, as_json)


@app.command()
def repay(
    context: typer.Context,
    name: _Name,
    amount: _Amount = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pay a payee's debts out of its wallet. Its next money pays them by itself."""
    from orchestrator.operations.payee_money import repay_calls

    home = home_of(context)
    party = party_of(home, name)
    payee_money = _money(home, party)
    micro = parse_euro(amount, "--amount") if amount else None
    calls = repay_calls(home.chain, payee_money, micro)
    _send(home, party, payee_money, calls, dry_run, as_json)


@app.command("payout-account")
def payout_account(
    context: typer.Context,
    name: _Name,
    minimum: Annotated[
        str | None,
        typer.Option(
            help="The rail orders no payout below this amount in euro. Default: as it is."
        ),
    ] = None,
    no_account: Annotated[
        bool,
        typer.Option("--none", help="Pay to no bank account: what is released is withdrawn."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Set where a payee is paid to, and its smallest payout.

    The account is the party's own. `party add` with the same name stores another one.
    """
    from orchestrator.operations.payee_money import payout_account_calls

    home = home_of(context)
    party = party_of(home, name)
    if not (no_account or party.iban):
        raise Halt(
            f"{party.name} has no bank account. Nothing was sent. Add one with `proofrail party "
            "add`, or give --none."
        )
    payee_money = _money(home, party)
    micro = payee_money.on_chain.minimum_micro
    if minimum is not None:
        micro = 0 if _ZERO.fullmatch(minimum) else parse_euro(minimum, "--minimum")
    calls = payout_account_calls(home.chain, None if no_account else party.iban, micro)
    _send(home, party, payee_money, calls, dry_run, as_json)


def _money(home: Home, party: PartyRow) -> PayeeMoney:
    from orchestrator.operations.payee_money import payee_money

    return payee_money(home.store, home.chain, party.address, int(time.time()))


def _send(
    home: Home,
    party: PartyRow,
    payee_money: PayeeMoney,
    calls: Sequence[Call],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Try the first call at the node, then show all calls, or send them and show what they did."""
    from orchestrator.edges.chain.call_text import call_view
    from orchestrator.edges.chain.sender import Sender, send_in_turn

    home.chain.quote(party.address, calls[0])  # it says by name why it would revert
    view: dict[str, Any] = {
        "name": party.name,
        "sent": not dry_run,
        "calls": [call_view(home.deployment, party.address, call) for call in calls],
        "before": _money_view(payee_money),
    }
    if not dry_run:
        sender = Sender(home.store, home.chain, keystore_of(home, party))
        view["transactions"] = send_in_turn(sender, calls, int(time.time()), patience())
        view["after"] = _money_view(_money(home, party))
    output.show(view, as_json, lambda console: _print_sent(console, view))


def _money_view(payee_money: PayeeMoney) -> dict[str, Any]:
    on_chain = payee_money.on_chain
    amounts = {
        "matured": payee_money.matured_micro,
        "withdrawable": on_chain.withdrawable_micro,
        "owed": on_chain.owed_micro,
        "can_be_taken_out": payee_money.free_micro,
        "wallet": payee_money.wallet_micro,
        "payout_minimum": on_chain.minimum_micro,
    }
    view: dict[str, Any] = {
        name: {"amount": str(micro), "asset": "tEUR/6"} for name, micro in amounts.items()
    }
    return view | {"paid_to_bank": on_chain.has_account}


def _print_money(console: Any, view: dict[str, Any]) -> None:
    rows = [(name.replace("_", " "), *_cells(view[name])) for name in view if name not in _TITLE]
    title = f"{view['name']}  {view['address']}"
    console.print(table(title, ("", ">amount"), rows))


_TITLE = ("name", "address")


def _print_sent(console: Any, view: dict[str, Any]) -> None:
    print_calls(console, view["calls"], view["sent"])
    after = view.get("after", {})
    rows = [
        (name.replace("_", " "), *_cells(value), *(_cells(after[name]) if after else ()))
        for name, value in view["before"].items()
    ]
    columns = ("", ">before", ">after") if after else ("", ">now")
    console.print(table(view["name"], columns, rows))
    for tx_hash in view.get("transactions", []):
        console.print(plain(f"sent in {tx_hash}"), soft_wrap=True)


def _cells(value: Any) -> tuple[str]:
    return (output.money(value) if isinstance(value, dict) else output.words(value),)
