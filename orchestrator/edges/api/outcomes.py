"""Later outcomes over HTTP, for devices that post their records there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from orchestrator.core.later_outcome import sign_all_outcomes
from orchestrator.edges.api.access import Anyone, Caller, Submitter
from orchestrator.edges.api.catalogue import ProblemCode, entry_of
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.api.reads import After, Limit, cursor_of, next_of, not_found, number_in
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.api.views import (
    Acknowledged,
    LaterOutcomes,
    LaterOutcomeView,
    OutcomeIds,
)
from orchestrator.edges.store import later_outcomes

router = APIRouter(tags=["evidence"])
Device = Annotated[
    str, Path(max_length=200, description="who sent the records: a device, or its gateway")
]
_LIST = problems_of(*KEYED, ProblemCode.NOT_FOUND, ProblemCode.CURSOR_UNKNOWN)


@router.get(
    "/v1/devices/{device}/outcomes", responses=_LIST, summary="What became of a device's records"
)
def list_outcomes(
    parts: Parts,
    caller: Anyone,
    device: Device,
    all: Annotated[bool, Query(description="also those that are acknowledged")] = False,
    limit: Limit = 100,
    after: After = None,
) -> LaterOutcomes:
    """List what was decided about records after their receipts, in order.

    A rule that drops an accepted record, and a payment that ends unpaid, are outcomes. Store what
    you get, then acknowledge it. An id that you know already is the same outcome.
    """
    _own(caller, device)
    behind = cursor_of(after, number_in) or 0
    with parts.store.read() as session:
        rows = later_outcomes.page(session, device, behind, limit + 1, open_only=not all)
    shown = rows[:limit]
    signed = sign_all_outcomes(parts.receipts, device, shown, int(parts.now()))
    return LaterOutcomes(
        items=[_view(row) for row in shown],
        next=next_of(rows, limit, lambda row: str(row.number)),
        signed=[message.decode() for message in signed],
    )


@router.post(
    "/v1/devices/{device}/outcomes/ack",
    responses=problems_of(*KEYED, ProblemCode.NOT_FOUND, ProblemCode.TRY_AGAIN_LATER),
    summary="Acknowledge outcomes",
)
def acknowledge_outcomes(
    parts: Parts, caller: Submitter, device: Device, body: OutcomeIds
) -> Acknowledged:
    """Record that the device has stored these outcomes; they are not sent again.

    Ids that are unknown, acknowledged before, or of another device change nothing.
    """
    _own(caller, device)
    with parts.store.write() as session:
        ids = list(dict.fromkeys(body.ids))
        count = later_outcomes.take_acknowledged(session, device, ids, int(parts.now()))
    return Acknowledged(acknowledged=count)


def _own(caller: Caller, device: str) -> None:
    if not caller.sees(device):
        raise not_found("device", device)


def _view(row: later_outcomes.LaterOutcomeRow) -> LaterOutcomeView:
    return LaterOutcomeView(
        id=row.outcome_id,
        device=row.about,
        evidence=row.evidence_hash,
        event_id=row.event_id,
        counter=row.counter,
        outcome=row.outcome,
        detail=row.detail,
        next_step=entry_of(row.outcome).next_step,
        payment_id=row.payment_id,
        at=row.at,
        acknowledged_at=row.acknowledged_at,
    )
