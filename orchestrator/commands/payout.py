"""`proofrail payout`: money on its way to the bank, what waits, and what two officers let out."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.approval import As
from orchestrator.commands.output import Json, decimal, plain, short, table
from orchestrator.core.payout import Stage
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.store import Session
    from orchestrator.edges.store.payouts import PayoutRow
    from orchestrator.steps.payouts import DraftFile

app = typer.Typer(
    name="payout", help="Money on its way to the bank.", no_args_is_help=True, rich_markup_mode=None
)
_PayoutId = Annotated[str, typer.Argument(help="Its id or EndToEndId, or the beginning of one.")]


@app.command("list")
def list_(
    context: typer.Context,
    stage: Annotated[str | None, typer.Option(help=f"{', '.join(Stage)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """List payouts, the newest first, each with why it waits."""
    from orchestrator.edges.store import agreements, payouts

    with home.of(context).store.read() as session:
        names = {party.address: party.name for party in agreements.parties(session)}
        told = [_told(row, names) for row in payouts.newest(session, stage, limit)]
    lines = [
        (
            short(t["payout_id"], 14),
            t["payee"],
            decimal(t["amount_minor"], "EUR/2"),
            t["stage"],
            t["due_on"],
            t["end_to_end_id"],
            t["reason"],
        )
        for t in told
    ]
    columns = ("payout", "payee", ">amount", "stage", "due on", "EndToEndId", "why")
    output.show(
        told, as_json, lambda console: console.print(table(f"{len(told)} payouts", columns, lines))
    )


@app.command("propose-release")
def propose_release(
    context: typer.Context, payout: _PayoutId, by: As, as_json: Json = False
) -> None:
    """Propose that a payout above the limit leaves; another officer must approve it."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.steps.payout_approvals import to_release

    here = home.of(context)
    with here.store.read() as session:
        row = _row(session, payout)
    if row.stage != Stage.WAITING_FOR_APPROVAL:
        raise Halt(
            f"The payout {row.payout_id} is {row.stage}, it waits for no approval. "
            f"`proofrail payout list --stage {Stage.WAITING_FOR_APPROVAL}` shows those that do."
        )
    proposed(propose(here, to_release(row, int(time.time())), by), as_json)


@app.command("order-again")
def order_again(
    context: typer.Context,
    payout: _PayoutId,
    by: As,
    iban: Annotated[
        str | None, typer.Option(help="Another account, of a known party; default: the same.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose that what the bank rejected or sent back is ordered once more, as a new order."""
    from orchestrator.commands.approval import propose, proposed
    from orchestrator.edges.bank.accounts import sepa_iban
    from orchestrator.steps.payout_approvals import FAILED, owed, to_order_again

    here = home.of(context)
    with here.store.read() as session:
        row = _row(session, payout)
        if row.stage not in FAILED:
            raise Halt(
                f"The payout {row.payout_id} is {row.stage}, neither rejected nor "
                "returned: a second order might pay it twice. Nothing was proposed."
            )
        cents = owed(session, row)
        wanted = sepa_iban(iban, "--iban") if iban else None
        to = _account(session, row, wanted)
    proposed(propose(here, to_order_again(row, cents, to, int(time.time())), by), as_json)


@app.command()
def preview(context: typer.Context, as_json: Json = False) -> None:
    """Print the pain.001 that would be sent next; nothing is sent, and nothing is kept."""
    from orchestrator.steps.payouts import draft_file

    here, now = home.of(context), int(time.time())
    store = here.store
    if "safeguarding" not in here.town:
        raise Halt(
            f"{here.settings.home / 'rail.json'} names no safeguarding account, and each "
            "order does. Start the rail first."
        )
    with store.read() as session:
        draft = draft_file(
            session, here.settings, here.town["safeguarding"], here.deployment.chain_id, now
        )
    output.show(_drafted(draft), as_json, lambda console: _print_draft(console, draft))


def _told(row: PayoutRow, names: dict[str, str]) -> dict[str, Any]:
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

    found = payouts.beginning(session, start)
    if len(found) != 1:
        raise Halt(
            f"{'Several payouts begin' if found else 'No payout begins'} with {start!r}; "
            "`proofrail payout list` shows all. Nothing was proposed."
        )
    return found[0]


def _account(session: Session, row: PayoutRow, iban: str | None) -> str:
    """The IBAN it would go to: one that a party is known to have."""
    from orchestrator.core.identity import payout_account
    from orchestrator.edges.store import agreements

    account = "0x" + payout_account(iban).hex() if iban else row.account
    party = agreements.party_at(session, row.payee, account)
    if party is None or party.iban is None:
        raise Halt(
            f"No party is known to have the account {iban or row.account}: make one with "
            "`proofrail party add`, then propose it again. Nothing was proposed."
        )
    return party.iban


def _drafted(draft: DraftFile) -> dict[str, Any]:
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
