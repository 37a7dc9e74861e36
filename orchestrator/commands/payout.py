"""`proofrail payout`: lists payouts, proposes them for approval, previews the bank file."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.approval import As
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, decimal, plain, short, table
from orchestrator.core.payout import Stage
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store import Session
    from orchestrator.edges.store.payouts import PayoutRow
    from orchestrator.steps.payouts import DraftFile

app = typer.Typer(
    name="payout",
    help="Payments to payees' bank accounts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_PayoutId = Annotated[str, typer.Argument(help="The payout's id or EndToEndId, or its beginning.")]


@app.command("list")
def list_(
    context: typer.Context,
    stage: Annotated[str | None, typer.Option(help=f"{', '.join(Stage)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 100,
    as_json: Json = False,
) -> None:
    """List payouts, newest first. A waiting payout has its reason."""
    from orchestrator.edges.store import agreements, payouts

    with home_of(context).store.read() as session:
        names = {party.address: party.name for party in agreements.parties(session)}
        payout_views = [_payout_view(row, names) for row in payouts.newest(session, stage, limit)]
    lines = [
        (
            short(t["payout_id"], 14),
            t["payee"],
            decimal(t["amount_minor"], "EUR/2"),
            t["stage"].replace("_", " "),
            t["due_on"],
            t["end_to_end_id"],
            t["reason"],
        )
        for t in payout_views
    ]
    columns = ("payout", "payee", ">amount", "stage", "due on", "EndToEndId", "reason")
    output.show(
        payout_views,
        as_json,
        lambda console: console.print(table(f"{len(payout_views)} payouts", columns, lines)),
    )


@app.command("propose")
def propose_payout(
    context: typer.Context, payout: _PayoutId, by: As, as_json: Json = False
) -> None:
    """Propose a payout above the limit. Another officer must approve it."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.steps.payout_approvals import to_pay

    home = home_of(context)
    with home.store.read() as session:
        row = _row(session, payout)
    if row.stage != Stage.WAITING_FOR_APPROVAL:
        raise Halt(
            f"The payout {row.payout_id} is {row.stage}, not waiting for approval. Nothing was "
            "proposed. `proofrail payout list --stage waiting_for_approval` shows the waiting ones."
        )
    proposed(propose(home, to_pay(row, int(time.time())), by), as_json)


@app.command("order-again")
def order_again(
    context: typer.Context,
    payout: _PayoutId,
    by: As,
    iban: Annotated[
        str | None,
        typer.Option(help="Another account of a stored party; default: the same account."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose a new order for a failed payout. Failed: the bank rejected or returned it."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.edges.bank.accounts import sepa_iban
    from orchestrator.steps.payout_approvals import FAILED, owed, to_order_again

    home = home_of(context)
    with home.store.read() as session:
        row = _row(session, payout)
        if row.stage not in FAILED:
            raise Halt(
                f"The payout {row.payout_id} is {row.stage}, neither rejected nor "
                "returned: a second order might pay it twice. Nothing was proposed. "
                "`proofrail payout list` shows its progress."
            )
        cents = owed(session, row)
        new_iban = sepa_iban(iban, "--iban") if iban else None
        target_iban = _account(session, row, new_iban)
    proposed(propose(home, to_order_again(row, cents, target_iban, int(time.time())), by), as_json)


@app.command()
def preview(context: typer.Context, as_json: Json = False) -> None:
    """Show the next pain.001 file. Nothing is sent or stored."""
    from orchestrator.edges.store import approvals
    from orchestrator.steps.payouts import draft_file

    home, now = home_of(context), int(time.time())
    store = home.store
    if "safeguarding" not in home.rail_file:
        raise Halt(
            f"{home.settings.home / 'rail.json'} names no safeguarding account, and each "
            "order needs one. Start the rail first."
        )
    with store.read() as session:
        office = home.office(online=approvals.has_approved(session))
        draft = draft_file(session, home.settings, home.rail_file["safeguarding"], office, now)
    output.show(_draft_view(draft), as_json, lambda console: _print_draft(console, draft))


def _payout_view(row: PayoutRow, names: dict[str, str]) -> dict[str, Any]:
    return {
        "payout_id": row.payout_id,
        "end_to_end_id": row.end_to_end_id,
        "payee": names.get(row.payee, row.payee),
        "amount_minor": row.cents,
        "currency": "EUR",
        "stage": row.stage,
        "reason": row.reason,
        "attempt": row.attempt,
        "batch": row.batch,
        "due_on": row.due_on,
        "ordered_at": row.ordered_at,
        "file": row.file_hash,
    }


def _row(session: Session, start: str) -> PayoutRow:
    from orchestrator.edges.store import payouts

    matches = payouts.beginning(session, start)
    if len(matches) != 1:
        raise Halt(
            f"{'Several payouts begin' if matches else 'No payout begins'} with {start!r}; "
            "`proofrail payout list` shows all. Nothing was proposed."
        )
    return matches[0]


def _account(session: Session, row: PayoutRow, iban: str | None) -> str:
    """Return the IBAN to pay to; raises Halt unless it belongs to a stored party."""
    from orchestrator.core.identity import payout_account
    from orchestrator.edges.store import agreements

    account = "0x" + payout_account(iban).hex() if iban else row.account
    party = agreements.party_at(session, row.payee, account)
    if party is None or party.iban is None:
        raise Halt(
            f"No stored party has the account {iban or row.account}. Nothing was proposed. "
            "Add the party with `proofrail party add`, then propose the order again."
        )
    return party.iban


def _draft_view(draft: DraftFile) -> dict[str, Any]:
    return {
        "message_id": draft.message,
        "batch": draft.batch,
        "execution_date": draft.due_on,
        "orders": [
            {
                "payout_id": "0x" + order.payout_id.hex(),
                "end_to_end_id": order.end_to_end_id,
                "amount_minor": order.amount_cents,
                "name": order.name,
                "iban": order.iban,
            }
            for order in draft.orders
        ],
        "waits": [{"payout_id": payout, **asdict(why)} for payout, why in draft.waits.items()],
        "xml": draft.body.decode(),
    }


def _print_draft(console: Any, draft: DraftFile) -> None:
    for payout, why in draft.waits.items():
        console.print(plain(f"{short(payout, 14)} would wait: {why.reason}"), soft_wrap=True)
    if not draft.orders:
        console.print("Nothing would be sent.")
        return
    cents = sum(order.amount_cents for order in draft.orders)
    console.print(
        plain(
            f"{len(draft.orders)} orders, {decimal(cents, 'EUR/2')}, to be executed on "
            f"{draft.due_on}:"
        ),
        soft_wrap=True,
    )
    for line in draft.body.decode().splitlines():
        console.print(plain(line), soft_wrap=True)
