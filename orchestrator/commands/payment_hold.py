"""`proofrail payment hold | decide`: officers stop a payment, and two of them decide about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.approval import As
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.approval import Approval
    from orchestrator.edges.store.holds import HoldRow
    from orchestrator.edges.store.payments import PaymentRow

app = typer.Typer(
    name="payment",
    help="Hold or dispute a payment, prove its fault, end disputes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Payment = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="The payment's id, or its beginning.")
]
_Reason = Annotated[str, typer.Option(help="Why: 1 to 200 printable characters. It is kept.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done; sign and store nothing.")
]


@app.command()
def hold(
    context: typer.Context,
    payment: _Payment,
    reason: _Reason,
    by: As,
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Stop a payment before its settlement, signed by an officer. One officer is enough.

    It waits until two officers decide about it (`proofrail payment decide`). A payment that is
    settled already, or whose settlement is signed, cannot be held: dispute it.
    """
    from orchestrator.core.hold import HOLD, checked_reason, hold_document
    from orchestrator.edges.store import holds, payments

    home, now = home_of(context), int(time.time())
    checked_reason(reason)
    with home.store.read() as session:
        row = _payment(home, payment)
        holds.require_free(session, row)
    document = hold_document(row.payment_id, row.claim_hash, reason, now)
    standing = None
    if not dry_run:
        office = home.office()
        signature = "0x" + _sign(home, document, HOLD, office.chain_id, by).hex()
        officer = document.signer(HOLD, office.chain_id, signature, office.officers)
        holder = holds.PaymentHolder(officer, signature=signature, claim_hash=row.claim_hash)
        with home.store.write() as session:
            [fresh] = payments.by_ids(session, [row.payment_id])
            standing = holds.place(session, fresh, holder, reason, now)
        row = _payment(home, row.payment_id)  # as it is now
    view = _view(row, reason, standing, now) | {"by": by, "held": not dry_run}
    output.show(view, as_json, lambda console: _print(console, view, _held_text(view)))


@app.command()
def decide(
    context: typer.Context,
    payment: _Payment,
    reason: _Reason,
    by: As,
    go_on: Annotated[
        bool, typer.Option("--continue", help="It goes on where it was stopped.")
    ] = False,
    reject: Annotated[
        bool, typer.Option("--reject", help="It ends: the rail never settles it.")
    ] = False,
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Propose what becomes of a held payment. Another officer must approve it.

    After --reject, payer and payee pass over its claim (`proofrail agreement skip`), and their
    agreement goes on behind its records.
    """
    from orchestrator.commands.approval import propose
    from orchestrator.core.hold import HoldDecision, checked_reason, decision_document

    if go_on == reject:
        raise Halt("Give --continue or --reject, not both. Nothing was proposed.")
    home, now = home_of(context), int(time.time())
    checked_reason(reason)
    row = _payment(home, payment)
    standing = _standing(home, row)
    decision = HoldDecision.REJECT if reject else HoldDecision.CONTINUE
    document = decision_document(
        row.payment_id, row.claim_hash, standing.held_at, decision, reason, now
    )
    view = _view(row, reason, standing, now) | {"by": by, "decision": str(decision)}
    identity = None if dry_run else propose(home, document, by)
    view |= {"approval": identity, "approved": False}
    output.show(view, as_json, lambda console: _print(console, view, _decision_text(view)))


def _payment(home: Home, text: str) -> PaymentRow:
    """Return the payment with that id, or beginning of one."""
    from orchestrator.edges.store import payments
    from orchestrator.views.trace import find

    with home.store.read() as session:
        match = find(session, text)
        if match.kind != "payment":
            raise Halt(
                f"{text!r} is the id of another thing ({match.kind} {match.id}), and a hold is "
                "about one payment. Nothing was changed. Next: `proofrail trace` lists its "
                "payments."
            )
        return payments.by_ids(session, [match.id])[0]


def _standing(home: Home, row: PaymentRow) -> HoldRow:
    """Return the hold that stands over a payment."""
    from device_adapters.types import Rejected
    from orchestrator.core.hold import HoldReason
    from orchestrator.core.payment import Stage
    from orchestrator.edges.store import holds

    with home.store.read() as session:
        standing = holds.open_hold(session, row.payment_id)
    if standing is None or row.stage != Stage.HELD:
        raise Rejected(
            HoldReason.NOT_HELD,
            f"payment {row.payment_id} is {row.stage}; nothing was proposed. "
            "`proofrail payments --stage held` lists what is held",
        )
    return standing


def _sign(home: Home, document: Approval, step: str, chain_id: int, by: str) -> bytes:
    from oracles.attest import sign
    from orchestrator.commands.approval import officer_key

    return sign(document.digest(step, chain_id), officer_key(home, by))


def _view(row: PaymentRow, reason: str, standing: HoldRow | None, now: int) -> dict[str, Any]:
    return {
        "payment": row.payment_id,
        "stage": row.stage,
        "claim": row.claim_hash or None,
        "held_at": standing.held_at if standing else now,
        "held_by": standing.held_by if standing else None,
        "held_for": standing.reason if standing else None,
        "reason": reason,
    }


def _held_text(view: dict[str, Any]) -> str:
    if not view["held"]:
        return "it can be held; nothing was signed or stored"
    return (
        "held; next, two officers decide: proofrail payment decide "
        f"{view['payment'][:14]} --continue (or --reject) --reason TEXT --as NAME"
    )


def _decision_text(view: dict[str, Any]) -> str:
    if view["approval"] is None:
        return "nothing was signed or stored"
    return (
        f"proposed as {view['approval']}; next, another officer approves it: "
        f"proofrail approval approve {view['approval'][:14]} --as NAME"
    )


def _print(console: Any, view: dict[str, Any], text: str) -> None:
    rows = [
        (name.replace("_", " "), when(value) if name == "held_at" else value)
        for name, value in view.items()
        if name not in ("held", "approval", "approved")
    ]
    console.print(table("hold", ("field", "value"), rows))
    console.print(plain(text), soft_wrap=True)
