"""`proofrail funding`: incoming payments not matched to an agreement, and what to do with them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.chain_call import DryRun
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, decimal, short, table
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.reconcile import StatementLine
    from orchestrator.edges.store import Session
    from orchestrator.edges.store.fundings import FundingRow

app = typer.Typer(
    name="funding",
    help="Incoming payments not matched to an agreement.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
As = Annotated[str, typer.Option("--as", help="Name of the officer who proposes it.")]
_Credit = Annotated[str, typer.Argument(help="The credit's id, or its beginning.")]


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Include matched and finished ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the unmatched incoming payments. Each has its reason and any open proposal."""
    from orchestrator.edges.store import fundings
    from orchestrator.steps.unallocated_credits import WAITING

    with home_of(context).store.read() as session:
        rows = fundings.all_fundings(session) if every else fundings.in_stages(session, [WAITING])
        credit_views = sorted(
            (_credit_view(session, row) for row in rows),
            key=lambda view: (view["booking_date"] or "", view["credit"]),
        )
    lines = [
        (
            short(t["credit"], 14),
            t["booking_date"],
            decimal(t["amount_minor"], "EUR/2"),
            t["payer"]["name"],
            t["payer"]["iban"],
            t["reference"] or t["text"],
            t["stage"],
            t["why"],
            t["approval"],
        )
        for t in credit_views
    ]
    columns = (
        "credit",
        "booked",
        ">amount",
        "payer",
        "IBAN",
        "reference",
        "stage",
        "why",
        "proposed",
    )
    output.show(
        credit_views,
        as_json,
        lambda console: console.print(table(f"{len(credit_views)} credits", columns, lines)),
    )


@app.command()
def allocate(
    context: typer.Context,
    credit: _Credit,
    by: As,
    agreement: Annotated[str | None, typer.Option(help="Its id, or its beginning.")] = None,
    party: Annotated[
        str | None, typer.Option(help="Name or address: into its wallet, as for a bond.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Propose to fund an agreement with an incoming payment, or a party's wallet.

    A wallet needs tokens for the bond of a dispute or a challenge.
    """
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.commands.party import party_of
    from orchestrator.steps.unallocated_credits import to_allocate, to_wallet

    home, now = home_of(context), int(time.time())
    if (agreement is None) is (party is None):
        raise Halt("Give --agreement or --party. Nothing was proposed.")
    with home.store.read() as session:
        row = _waiting(session, credit)
    if party is not None:
        approval = to_wallet(row, party_of(home, party).address, now)
    else:
        approval = to_allocate(row, _live_agreement(home, agreement or "", now), now)
    if dry_run:
        view = {"kind": approval.kind, "credit": approval.subject, **approval.detail}
        lines = list(view.items())
        output.show(
            view | {"proposed": False},
            as_json,
            lambda console: console.print(table("not proposed", ("field", "value"), lines)),
        )
        return
    proposed(propose(home, approval, by), as_json)


def _live_agreement(home: Home, start: str, now: int) -> str:
    """Return the id of the live agreement that begins so; raises Halt unless exactly one does."""
    from orchestrator.edges.store import agreements

    with home.store.read() as session:
        matches = [
            a for a in agreements.all_agreements(session) if a.agreement_id.startswith(start)
        ]
    if len(matches) != 1:
        raise Halt(
            f"{len(matches)} agreements begin with {start!r}; `proofrail agreement list` "
            "shows all. Nothing was proposed."
        )
    if matches[0].stage != agreements.Stage.LIVE or matches[0].expiry <= now:
        raise Halt(
            f"The agreement {matches[0].agreement_id} takes no money: it has ended or is not "
            "open yet. Choose another one, or send the payment back. Nothing was proposed."
        )
    return matches[0].agreement_id


@app.command("send-back")
def send_back(
    context: typer.Context,
    credit: _Credit,
    by: As,
    town: Annotated[str, typer.Option(help="The payer's town; banks refuse orders without it.")],
    country: Annotated[str, typer.Option(help="ISO 3166 alpha-2.")] = "DE",
    street: Annotated[str, typer.Option()] = "",
    building: Annotated[str, typer.Option()] = "",
    post_code: Annotated[str, typer.Option()] = "",
    as_json: Json = False,
) -> None:
    """Propose to send an incoming payment back."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.edges.store import bank_files
    from orchestrator.steps.unallocated_credits import to_send_back

    home = home_of(context)
    with home.store.read() as session:
        row = _waiting(session, credit)
        line = bank_files.line_of(session, row.credit_id)
    if line is None or not (line.counterparty_iban and line.counterparty_name):
        raise Halt(
            f"The bank gave no payer or no account for the credit {row.credit_id}, so it "
            "cannot be sent back. Ask the bank who sent it. Nothing was proposed."
        )
    payer = {
        "name": line.counterparty_name,
        "iban": line.counterparty_iban,
        "street": street,
        "building": building,
        "post_code": post_code,
        "town": town,
        "country": country.upper(),
    }
    proposed(propose(home, to_send_back(row, payer, int(time.time())), by), as_json)


def _waiting(session: Session, start: str) -> FundingRow:
    """Return the waiting credit whose id begins with `start`; raises Halt unless exactly one."""
    from orchestrator.edges.store import fundings
    from orchestrator.steps.unallocated_credits import WAITING

    waiting = fundings.in_stages(session, [WAITING])
    matches = [row for row in waiting if row.credit_id.startswith(start)]
    if len(matches) != 1:
        raise Halt(
            f"{len(matches)} waiting credits begin with {start!r}; `proofrail funding list` "
            "shows all. Nothing was proposed."
        )
    return matches[0]


def _credit_view(session: Session, row: FundingRow) -> dict[str, Any]:
    from orchestrator.edges.store import bank_files
    from orchestrator.steps.unallocated_credits import ALLOCATE, SEND_BACK, WAITING, wallet_of

    line = bank_files.line_of(session, row.credit_id)
    open_approvals = [
        approval.approval_id
        for kind in (ALLOCATE, SEND_BACK)
        for approval in _open_approvals(session, kind, row.credit_id)
    ]
    return {
        "credit": row.credit_id,
        "stage": row.stage,
        "amount_minor": row.cents,
        "currency": "EUR",
        "agreement": row.agreement_id,
        "wallet": wallet_of(session, row.credit_id),
        "booking_date": line.booking_date.isoformat() if line else None,
        "payer": {
            "name": line.counterparty_name if line else "",
            "iban": line.counterparty_iban if line else "",
        },
        "reference": line.reference if line else "",
        "text": line.text if line else "",
        "why": _why(session, line) if row.stage == WAITING else "",
        "approval": open_approvals[0] if open_approvals else None,
    }


def _open_approvals(session: Session, kind: str, credit: str) -> list[Any]:
    from orchestrator.edges.store import approvals

    return [
        row
        for row in approvals.about(session, kind, credit)
        if row.executed_at is None and row.withdrawn_at is None
    ]


def _why(session: Session, line: StatementLine | None) -> str:
    from orchestrator.edges.store import agreements

    if line is None or not line.reference:
        return "no_reference"
    agreement = agreements.by_reference(session, line.reference)
    return "unknown_reference" if agreement is None else "agreement_over"
