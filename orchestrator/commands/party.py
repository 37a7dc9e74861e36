"""`proofrail party`: adds and lists payers and payees, and redeems their tokens."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, parse_euro, plain, table
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store.agreements import PartyRow

app = typer.Typer(
    name="party", help="Payers and payees.", no_args_is_help=True, rich_markup_mode=None
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_GAS_WEI = 10**18  # ether of the local chain has no value


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The account holder's name, as the bank has it.")],
    role: Annotated[str, typer.Option(help="payer or payee.")],
    iban: Annotated[str, typer.Option(help="The account that pays or is paid.")],
    street: Annotated[str, typer.Option()],
    building: Annotated[str, typer.Option()],
    post_code: Annotated[str, typer.Option()],
    town: Annotated[str, typer.Option()],
    country: Annotated[str, typer.Option(help="ISO 3166 alpha-2.")] = "DE",
    bic: Annotated[str | None, typer.Option()] = None,
    as_json: Json = False,
) -> None:
    """Create a party with a keystore. Local chain only; a payee is paid to its IBAN."""
    from orchestrator.edges.bank import accounts
    from orchestrator.edges.store import agreements

    home = home_of(context)
    if role not in ("payer", "payee"):
        raise Halt(f"A party is a payer or a payee, not {role!r}. Nothing was created.")
    account_number = accounts.iban(iban, "--iban")
    bank = accounts.bic(bic, "--bic") if bic else None
    home.local_only("A keystore created by this command")
    agreement_ops = (
        home.agreement_ops()
    )  # first: it fails without a node, before anything is created
    account = _account(home, name)
    if (
        role == "payee"
    ):  # on chain before the store, so that no payout names an account unknown there
        home.chain.rpc("anvil_setBalance", [account.address, hex(_GAS_WEI)])
        agreement_ops.pay_to_bank(account, account_number)
    agreement_ops.save_parties(
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
    view = {"name": name, "role": role, "address": account.address, "iban": account_number}
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(f"{name} is a {role} at {account.address}, bank account {account_number}"),
            soft_wrap=True,
        ),
    )


def _account(home: Home, name: str) -> LocalAccount:
    from orchestrator.edges.chain import keystore

    party = _named(home, name)
    if party is not None:
        return keystore_of(home, party)
    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "party"
    folder = home.settings.keys / "parties"
    while (folder / f"{file}.json").exists():
        file += "-2"
    return keystore.create(folder, file)


def _named(home: Home, name: str) -> PartyRow | None:
    from orchestrator.edges.store import agreements

    with home.store.read() as session:
        matches = [
            party
            for party in agreements.parties(session)
            if party.name == name and _ADDRESS.fullmatch(party.address)
        ]
    if len(matches) > 1:
        raise Halt(f"Several parties are named {name!r}. Give the address instead.")
    return matches[0] if matches else None


def party_of(home: Home, text: str) -> PartyRow:
    """Return the party with that name or address; raises Halt if there is none."""
    from orchestrator.edges.store import agreements

    if _ADDRESS.fullmatch(text):
        with home.store.read() as session:
            parties = agreements.parties(session)
        party = next((p for p in parties if p.address.lower() == text.lower()), None)
    else:
        party = _named(home, text)
    if party is None:
        raise Halt(
            f"There is no party {text!r}. `proofrail party list` shows all, `proofrail party "
            "add` creates one."
        )
    return party


def address_of(home: Home, text: str) -> str:
    """Return a checksummed address: the given one, or that of the party with that name."""
    if not _ADDRESS.fullmatch(text):
        return party_of(home, text).address
    from oracles.attest import checksummed

    return checksummed(bytes.fromhex(text[2:]))


def keystore_of(home: Home, party: PartyRow) -> LocalAccount:
    """Return the party's account from its keystore in keys/parties."""
    from orchestrator.edges.chain import keystore

    folder = home.settings.keys / "parties"
    for file in keystore.names(folder):
        stored = json.loads((folder / f"{file}.json").read_text())
        if stored.get("address", "").lower() == party.address[2:].lower():
            return home.checked(keystore.load(folder, file))
    raise Halt(
        f"No keystore in {folder} belongs to {party.name} ({party.address}). This command "
        "signs only for parties created here; that party must sign by itself."
    )


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the parties."""
    from orchestrator.edges.store import agreements

    with home_of(context).store.read() as session:
        party_views: list[dict[str, Any]] = [
            {
                "name": p.name,
                "address": p.address,
                "iban": p.iban,
                "town": p.town,
                "country": p.country,
            }
            for p in agreements.parties(session)
        ]
    rows = [tuple(p.values()) for p in party_views]
    output.show(
        party_views,
        as_json,
        lambda console: console.print(
            table(
                f"{len(party_views)} parties", ("name", "address", "IBAN", "town", "country"), rows
            )
        ),
    )


@app.command()
def redeem(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The party, by name or address.")],
    amount: Annotated[str, typer.Option(help="Euro in whole cents, as in 12.50.")],
    as_json: Json = False,
) -> None:
    """Burn tokens from a party's wallet. The bank pays the amount to its account."""
    from orchestrator.operations.redemption import redeem as redeem_tokens

    home = home_of(context)
    party = party_of(home, name)
    if not party.iban:
        raise Halt(
            f"{party.name} has no bank account; add one with `proofrail party add`. Nothing "
            "was burned."
        )
    burned = parse_euro(amount, "--amount")
    tx_hash = redeem_tokens(
        home.store,
        home.chain,
        keystore_of(home, party),
        party.iban,
        burned,
        int(time.time()),
        patience(),
    )
    view = {
        "name": party.name,
        "iban": party.iban,
        "tx_hash": tx_hash,
        "amount": {"amount": str(burned), "asset": "tEUR/6"},
    }
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(
                f"{output.money(view['amount'])} burned; once the block is final, the bank is "
                f"ordered to pay {party.iban}; see `proofrail payout list`"
            ),
            soft_wrap=True,
        ),
    )
