"""The hold route: a payer or payee stops a payment of its own before its settlement."""

from __future__ import annotations

from fastapi import APIRouter

from device_adapters.types import Rejected
from orchestrator.core.hold import HoldReason
from orchestrator.edges.api.access import Caller, Partner
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.holds_wire import HoldRequest, HoldView, hold_fields
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.api.reads import Id, not_found
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.store import Session, agreements, holds, payments

_HOLD = problems_of(
    *KEYED,
    ProblemCode.NOT_FOUND,
    ProblemCode.TRY_AGAIN_LATER,
    HoldReason.REASON_MALFORMED,
    HoldReason.NOT_A_PARTY,
    HoldReason.ALREADY_HELD,
    HoldReason.SETTLEMENT_SENT,
    HoldReason.ALREADY_SETTLED,
    HoldReason.ALREADY_ENDED,
)

router = APIRouter(tags=["money"])


@router.post("/v1/payments/{payment_id}/hold", responses=_HOLD, summary="Hold a payment")
def hold(parts: Parts, caller: Partner, payment_id: Id, body: HoldRequest) -> HoldView:
    """Stop a payment before its settlement, as its payer or payee, until two officers decide.

    The key has to stand for that party (`proofrail api-key add --party`).
    """
    with parts.store.write() as session:
        row = _own(session, caller, payment_id)
        holder = holds.PaymentHolder(caller.party, key_name=caller.name)
        placed = holds.place(session, row, holder, body.reason, int(parts.now()))
        return HoldView(**hold_fields(placed))


def _own(session: Session, caller: Caller, payment_id: str) -> payments.PaymentRow:
    """Return a payment whose payer or payee the caller stands for."""
    agreement = agreements.of_payment(session, payment_id)
    if agreement is None or not caller.sees(agreement.device):
        raise not_found("payment", payment_id)
    [row] = payments.by_ids(session, [payment_id])
    if caller.party not in {agreement.payer, payments.payee_of(row, agreement)} - {""}:
        raise Rejected(
            HoldReason.NOT_A_PARTY,
            f"the key {caller.name!r} stands for {caller.party or 'nobody'}, who neither pays nor "
            f"is paid by payment {payment_id}",
        )
    return row
