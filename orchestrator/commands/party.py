"""`proofrail party`: payers and payees, with their bank accounts."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, table
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store.agreements import PartyRow

app = typer.Typer(
    name="party", help="Payers and payees.", no_args_is_help=True, rich_markup_mode=None
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_GAS_WEI = 10**18  # of the local chain's worthless ether


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="As the bank knows the holder of the account.")],
    role: Annotated[str, typer.Option(help="payer or payee.")],
    iban: Annotated[str, typer.Option(help="The account money comes from or goes to.")],
    street: Annotated[str, typer.Option()],
    building: Annotated[str, typer.Option()],
    post_code: Annotated[str, typer.Option()],
    town: Annotated[str, typer.Option()],
    country: Annotated[str, typer.Option(help="ISO 3166 alpha-2.")] = "DE",
    bic: Annotated[str | None, typer.Option()] = None,
    as_json: Json = False,
) -> None:
    """Make a party with its own keystore (local chain only); a payee is paid to its IBAN."""
    from orchestrator.edges.bank import accounts
    from orchestrator.edges.store import agreements

    here = home.of(context)
    if role not in ("payer", "payee"):
        raise Halt(f"A party is a payer or a payee, not {role!r}. Nothing was made.")
    account_number = accounts.iban(iban, "--iban")
    bank = accounts.bic(bic, "--bic") if bic else None
    here.local_only("A keystore made by this command")
    office = here.office()  # before anything is made: without a node nothing is
    account = _account(here, name)
    if role == "payee":  # on chain first: a payout to an account we name too early has no home
        here.chain.rpc("anvil_setBalance", [account.address, hex(_GAS_WEI)])
        office.pay_to_bank(account, account_number)
    office.know(
        [
            agreements.PartyRow(
                address=account.address,
                name=name,
                iban=account_number,
                bic=bank,
                street=street,
                building=building,
                post_code=post_code,
                town=town,
                country=country.upper(),
            )
        ]
    )
    told = {"name": name, "role": role, "address": account.address, "iban": account_number}
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(f"{name} is a {role} at {account.address}, bank account {account_number}"),
            soft_wrap=True,
        ),
    )


def _account(here: home.Home, name: str) -> LocalAccount:
    from orchestrator.edges.chain import keystore

    known = _named(here, name)
    if known is not None:
        return keystore_of(here, known)
    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "party"
    folder = here.settings.keys / "parties"
    while (folder / f"{file}.json").exists():
        file += "-2"
    return keystore.create(folder, file)


def _named(here: home.Home, name: str) -> PartyRow | None:
    from orchestrator.edges.store import agreements

    with here.store.read() as session:
        found = [
            party
            for party in agreements.parties(session)
            if party.name == name and _ADDRESS.fullmatch(party.address)
        ]
    if len(found) > 1:
        raise Halt(f"Several parties are named {name!r}: name the address instead.")
    return found[0] if found else None


def party_of(here: home.Home, text: str) -> PartyRow:
    """The party of that name or address."""
    from orchestrator.edges.store import agreements

    if _ADDRESS.fullmatch(text):
        with here.store.read() as session:
            every = agreements.parties(session)
        found = next((p for p in every if p.address.lower() == text.lower()), None)
    else:
        found = _named(here, text)
    if found is None:
        raise Halt(
            f"No party {text!r} is known. `proofrail party list` shows all, `proofrail "
            "party add` makes one."
        )
    return found


def address_of(here: home.Home, text: str) -> str:
    """An address as it is (checksummed), or the address of a party."""
    if not _ADDRESS.fullmatch(text):
        return party_of(here, text).address
    from oracles.attest import checksummed

    return checksummed(bytes.fromhex(text[2:]))


def keystore_of(here: home.Home, party: PartyRow) -> LocalAccount:
    """The account whose keystore under keys/parties has the party's address."""
    from orchestrator.edges.chain import keystore

    folder = here.settings.keys / "parties"
    for file in keystore.names(folder):
        stored = json.loads((folder / f"{file}.json").read_text())
        if stored.get("address", "").lower() == party.address[2:].lower():
            return here.sound(keystore.load(folder, file))
    raise Halt(
        f"No keystore in {folder} is that of {party.name} ({party.address}). It must sign "
        "for itself; this command signs only for parties made here."
    )


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the parties."""
    from orchestrator.edges.store import agreements

    with home.of(context).store.read() as session:
        told: list[dict[str, Any]] = [
            {
                "name": p.name,
                "address": p.address,
                "iban": p.iban,
                "town": p.town,
                "country": p.country,
            }
            for p in agreements.parties(session)
        ]
    rows = [tuple(p.values()) for p in told]
    output.show(
        told,
        as_json,
        lambda console: console.print(
            table(f"{len(told)} parties", ("name", "address", "IBAN", "town", "country"), rows)
        ),
    )


@app.command()
def redeem(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The party, by name or address.")],
    amount: Annotated[str, typer.Option(help="In euro and whole cents, as in 12.50.")],
    as_json: Json = False,
) -> None:
    """Burn tokens of a party's own wallet; the bank pays them to its account."""
    from orchestrator.commands.agreement import micro
    from orchestrator.operations.redemption import redeem as burn

    here = home.of(context)
    party = party_of(here, name)
    if not party.iban:
        raise Halt(
            f"{party.name} has no bank account; `proofrail party add` names one. Nothing "
            "was burned."
        )
    burned = micro(amount, "--amount")
    sent = burn(
        here.store,
        here.chain,
        keystore_of(here, party),
        party.iban,
        burned,
        int(time.time()),
        home.patience(),
    )
    told = {
        "name": party.name,
        "iban": party.iban,
        "tx_hash": sent,
        "amount": {"amount": str(burned), "asset": "tEUR/6"},
    }
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(
                f"{output.money(told['amount'])} burned; once final, the bank is asked to pay "
                f"{party.iban}: `proofrail payout list`"
            ),
            soft_wrap=True,
        ),
    )
