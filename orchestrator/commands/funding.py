"""`proofrail funding`: money that came in, and the queue of credits that name no agreement."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, short, table
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.reconcile import StatementLine
    from orchestrator.edges.store import Session
    from orchestrator.edges.store.fundings import FundingRow

app = typer.Typer(
    name="funding", help="Money that came in.", no_args_is_help=True, rich_markup_mode=None
)
As = Annotated[str, typer.Option("--as", help="The officer who proposes it, by name.")]
_Credit = Annotated[str, typer.Argument(help="The credit's id, or its beginning.")]


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that need nobody.")] = False,
    as_json: Json = False,
) -> None:
    """List the credits that wait for a person, each with why and what was proposed."""
    from orchestrator.edges.store import fundings
    from orchestrator.steps.unallocated_credits import WAITING

    with home.of(context).store.read() as session:
        rows = fundings.all_fundings(session) if every else fundings.in_stages(session, [WAITING])
        told = sorted(
            (_told(session, row) for row in rows),
            key=lambda each: (each["booking_date"] or "", each["credit"]),
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
        for t in told
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
        told, as_json, lambda console: console.print(table(f"{len(told)} credits", columns, lines))
    )


@app.command()
def allocate(
    context: typer.Context,
    credit: _Credit,
    agreement: Annotated[str, typer.Option(help="Its id, or its beginning.")],
    by: As,
    as_json: Json = False,
) -> None:
    """Propose that a credit's tokens are minted into an agreement's escrow."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.edges.store import agreements
    from orchestrator.steps.unallocated_credits import to_allocate

    here, now = home.of(context), int(time.time())
    with here.store.read() as session:
        row = _waiting(session, credit)
        found = [
            a for a in agreements.all_agreements(session) if a.agreement_id.startswith(agreement)
        ]
    if len(found) != 1:
        raise Halt(
            f"{len(found)} agreements begin with {agreement!r}; `proofrail agreement list` "
            "shows all. Nothing was proposed."
        )
    if found[0].stage != agreements.Stage.LIVE or found[0].expiry <= now:
        raise Halt(
            f"The agreement {found[0].agreement_id} takes no money any more (it is over, or "
            "not open yet). Name another one, or send the credit back."
        )
    proposed(propose(here, to_allocate(row, found[0].agreement_id, now), by), as_json)


@app.command("send-back")
def send_back(
    context: typer.Context,
    credit: _Credit,
    by: As,
    town: Annotated[str, typer.Option(help="Of the payer; banks refuse orders without one.")],
    country: Annotated[str, typer.Option(help="ISO 3166 alpha-2.")] = "DE",
    street: Annotated[str, typer.Option()] = "",
    building: Annotated[str, typer.Option()] = "",
    post_code: Annotated[str, typer.Option()] = "",
    as_json: Json = False,
) -> None:
    """Propose that a credit is paid back to the account it came from."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.edges.store import bank_files
    from orchestrator.steps.unallocated_credits import to_send_back

    here = home.of(context)
    with here.store.read() as session:
        row = _waiting(session, credit)
        line = bank_files.line_of(session, row.credit_id)
    if line is None or not (line.counterparty_iban and line.counterparty_name):
        raise Halt(
            f"The bank named no payer or no account of the credit {row.credit_id}: it can "
            "go back to nobody. Ask the bank who sent it."
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
    proposed(propose(here, to_send_back(row, payer, int(time.time())), by), as_json)


def _waiting(session: Session, start: str) -> FundingRow:
    """The one credit in suspense whose id begins so."""
    from orchestrator.edges.store import fundings
    from orchestrator.steps.unallocated_credits import WAITING

    waiting = fundings.in_stages(session, [WAITING])
    found = [row for row in waiting if row.credit_id.startswith(start)]
    if len(found) != 1:
        raise Halt(
            f"{len(found)} waiting credits begin with {start!r}; `proofrail funding list` "
            "shows all. Nothing was proposed."
        )
    return found[0]


def _told(session: Session, row: FundingRow) -> dict[str, Any]:
    from orchestrator.edges.store import bank_files
    from orchestrator.steps.unallocated_credits import ALLOCATE, SEND_BACK, WAITING

    line = bank_files.line_of(session, row.credit_id)
    open_ones = [
        each.approval_id
        for kind in (ALLOCATE, SEND_BACK)
        for each in _open_approvals(session, kind, row.credit_id)
    ]
    return {
        "credit": row.credit_id,
        "stage": row.stage,
        "amount_minor": row.cents,
        "currency": "EUR",
        "agreement": row.agreement_id,
        "booking_date": line.booking_date.isoformat() if line else None,
        "payer": {
            "name": line.counterparty_name if line else "",
            "iban": line.counterparty_iban if line else "",
        },
        "reference": line.reference if line else "",
        "text": line.text if line else "",
        "why": _why(session, line) if row.stage == WAITING else "",
        "approval": open_ones[0] if open_ones else None,
    }


def _open_approvals(session: Session, kind: str, credit: str) -> list[Any]:
    from orchestrator.edges.store import approvals

    return [row for row in approvals.about(session, kind, credit) if row.executed_at is None]


def _why(session: Session, line: StatementLine | None) -> str:
    from orchestrator.edges.store import agreements

    if line is None or not line.reference:
        return "no_reference"
    known = agreements.by_reference(session, line.reference)
    return "unknown_reference" if known is None else "agreement_over"
