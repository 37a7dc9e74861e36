"""`proofrail agreement prove-premium`: shows the chain that a cover's premium was paid."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import agreement_of
from orchestrator.commands.chain_call import DryRun, print_calls
from orchestrator.commands.home import home_of, patience
from orchestrator.commands.output import Json, plain
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.errors import Halt

app = typer.Typer(rich_markup_mode=None)


@app.command("prove-premium")
def prove_premium(
    context: typer.Context,
    cover: Annotated[str, typer.Argument(help="The cover's agreement: its id or its beginning.")],
    payment: Annotated[str, typer.Argument(help="The premium's payment: id or its beginning.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Prove on chain that a premium was paid, signed by the insured. A season needs one.

    The payment is of the agreement in the cover's term `premium`, and past its dispute window.
    """
    from orchestrator.edges.chain.call_text import call_view
    from orchestrator.edges.chain.sender import Sender, send_in_turn
    from orchestrator.operations.premiums import premium_call
    from orchestrator.views.trace import find

    home = home_of(context)
    row = agreement_of(home, cover)
    with home.store.read() as session:
        match = find(session, payment)
    if match.kind != "payment":
        raise Halt(f"{payment!r} is {match.kind} {match.id}, not a payment. Nothing was sent.")
    call = premium_call(home.store, home.chain, row, match.id, int(time.time()))
    insured = party_of(home, row.payee)
    home.chain.quote(insured.address, call)  # it says by name why it would revert
    views = [call_view(home.deployment, insured.address, call)]
    view: dict[str, Any] = {"payment": match.id, "sent": not dry_run, "calls": views}
    if not dry_run:
        sender = Sender(home.store, home.chain, keystore_of(home, insured))
        view["transactions"] = send_in_turn(sender, [call], int(time.time()), patience())
    output.show(view, as_json, lambda console: _print(console, view))


def _print(console: Any, view: dict[str, Any]) -> None:
    print_calls(console, view["calls"], view["sent"])
    for tx_hash in view.get("transactions", ()):
        console.print(plain(f"sent in {tx_hash}"), soft_wrap=True)
