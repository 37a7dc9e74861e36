"""`proofrail agreement close | fund | skip`: what parties do with an agreement that is open."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import agreement_of
from orchestrator.commands.chain_call import DryRun, print_calls
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, parse_euro, plain, when
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.commands.signature import parse_signature
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from oracles.types import SkippedClaim
    from orchestrator.edges.chain.client import Call
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store.agreements import AgreementRow

app = typer.Typer(rich_markup_mode=None)
_Agreement = Annotated[str, typer.Argument(help="The agreement's id, or its beginning.")]


@app.command()
def close(
    context: typer.Context,
    agreement: _Agreement,
    by: Annotated[
        str | None,
        typer.Option(help="Who closes it: its payer or the device's owner. Default: the payer."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """End an agreement now. Earlier records still settle for its grace, later ones are refused."""
    from orchestrator.operations.agreement_calls import close_call

    home = home_of(context)
    row = agreement_of(home, agreement)
    party = party_of(home, by or row.payer)
    view = _view(home, row, party.address, [close_call(home.chain, row)], dry_run)
    view["ends"] = {
        "last_second_of_records": row.closes_at or min(int(time.time()), row.expiry),
        "grace_s": row.grace_s,
    }
    if not dry_run:
        _send(home, view, keystore_of(home, party), [close_call(home.chain, row)])
    output.show(view, as_json, lambda console: _print_closed(console, view))


def _print_closed(console: Any, view: dict[str, Any]) -> None:
    print_calls(console, view["calls"], view["sent"])
    ends = view["ends"]
    verb = "ends" if view["sent"] else "would end"
    console.print(
        plain(
            f"it {verb} with records of {when(ends['last_second_of_records'])} UTC; their claims "
            f"are taken for {ends['grace_s']} s more, then its escrow goes back to the payer"
        ),
        soft_wrap=True,
    )


@app.command()
def fund(
    context: typer.Context,
    agreement: _Agreement,
    amount: Annotated[str, typer.Argument(help="Euro, as in 50.00.")],
    by: Annotated[
        str | None, typer.Option(help="Whose tokens: a party. Default: the payer.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pay tokens of a party's wallet into the escrow. Money comes by bank transfer as well."""
    from orchestrator.operations.agreement_calls import fund_calls

    home = home_of(context)
    row, micro = agreement_of(home, agreement), parse_euro(amount, "The amount")
    party = party_of(home, by or row.payer)
    wallet = home.chain.view("EuroToken", "balanceOf", party.address)
    if wallet < micro:
        raise Halt(
            f"{party.name} has {output.decimal(wallet, 'EUR/6')} in its wallet. Nothing was sent. "
            "Give a smaller amount, or pay by bank transfer with the funding reference "
            f"{row.reference}."
        )
    calls = fund_calls(home.chain, row, micro)
    view = _view(home, row, party.address, calls, dry_run)
    view["amount"] = {"amount": str(micro), "asset": "tEUR/6"}
    if not dry_run:
        _send(home, view, keystore_of(home, party), calls)
    output.show(view, as_json, lambda console: print_calls(console, view["calls"], view["sent"]))


@app.command()
def skip(
    context: typer.Context,
    agreement: _Agreement,
    last_counter: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Pass over records up to this counter. Default: those of the refused payment.",
        ),
    ] = None,
    payer_signature: Annotated[
        str | None, typer.Option(help="65 bytes in hex. Default: the payer's keystore signs.")
    ] = None,
    payee_signature: Annotated[
        str | None, typer.Option(help="65 bytes in hex. Default: the payee's keystore signs.")
    ] = None,
    document: Annotated[
        bool, typer.Option("--document", help="Print the EIP-712 document to sign, nothing else.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pass over a claim that cannot settle. Payer and payee sign; it settles for nothing.

    Where claims name their payees, the device's owner signs in the payee's place.
    """
    from orchestrator.operations import agreement_calls

    home = home_of(context)
    row = agreement_of(home, agreement)
    skipped = agreement_calls.claim_to_skip(home.store, home.chain, row, last_counter)
    if document:
        typer.echo(json.dumps(agreement_calls.document(home.chain, skipped), indent=2))
        return
    typed = {"payer": payer_signature, "payee": payee_signature}
    signatures = _skip_signatures(home, row, skipped, typed)
    account = home.role_account("sender")
    calls = [agreement_calls.skip_call(skipped, signatures)]
    view = _view(home, row, account.address, calls, dry_run)
    view |= {"sequence": skipped.sequence, "last_counter": skipped.last_counter}
    if not dry_run:
        _send(home, view, account, calls)
    output.show(view, as_json, lambda console: _print_skipped(console, view))


def _skip_signatures(
    home: Home, row: AgreementRow, skipped: SkippedClaim, typed: Mapping[str, str | None]
) -> dict[str, bytes]:
    from orchestrator.edges.chain.ethereum import sign_document
    from orchestrator.operations import agreement_calls

    signatures = {}
    for name, address in agreement_calls.signers_of(home.chain, row).items():
        if (text := typed[name]) is not None:
            signatures[name] = parse_signature(text, name)
            agreement_calls.require_signed(home.chain, skipped, address, signatures[name])
            continue
        account = keystore_of(home, party_of(home, address))
        signatures[name] = sign_document(agreement_calls.document(home.chain, skipped), account)
    return signatures


def _print_skipped(console: Any, view: dict[str, Any]) -> None:
    print_calls(console, view["calls"], view["sent"])
    verb = "is" if view["sent"] else "would be"
    console.print(
        plain(
            f"claim {view['sequence']} {verb} passed over, with records up to counter "
            f"{view['last_counter']}; later records go on"
        ),
        soft_wrap=True,
    )


def _view(
    home: Home, row: AgreementRow, sender: str, calls: Sequence[Call], dry_run: bool
) -> dict[str, Any]:
    """Try the first call at the node, which says by name why it would revert, and show all."""
    from orchestrator.edges.chain.call_text import call_view

    home.chain.quote(sender, calls[0])
    return {
        "sent": not dry_run,
        "agreement_id": row.agreement_id,
        "calls": [call_view(home.deployment, sender, call) for call in calls],
    }


def _send(
    home: Home,
    view: dict[str, Any],
    account: LocalAccount,
    calls: Sequence[Call],
) -> None:
    from orchestrator.edges.chain.sender import Sender, send_in_turn

    sender = Sender(home.store, home.chain, account)
    view["transactions"] = send_in_turn(sender, calls, int(time.time()), patience())
