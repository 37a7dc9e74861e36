"""Effects over HTTP: a party reads the outbox of its own agreements, in order."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query

from orchestrator.core.effect import EffectKind
from orchestrator.edges.api.access import Anyone
from orchestrator.edges.api.catalogue import ProblemCode
from orchestrator.edges.api.effects_wire import EffectView
from orchestrator.edges.api.parts import Parts
from orchestrator.edges.api.reads import After, Limit, cursor_of, next_of, number_in
from orchestrator.edges.api.schema import KEYED, problems_of
from orchestrator.edges.api.views import Page
from orchestrator.edges.api.wire import HEX32
from orchestrator.edges.store import effects

router = APIRouter(tags=["money"])
_LIST = problems_of(*KEYED, ProblemCode.CURSOR_UNKNOWN)


@router.get("/v1/effects", responses=_LIST, summary="Effects of final payments, oldest first")
def list_effects(
    parts: Parts,
    caller: Anyone,
    kind: EffectKind | None = None,
    payment: Annotated[str | None, Query(pattern=HEX32)] = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[EffectView]:
    """List what final payments make happen outside, in the order of finality.

    `message` is what targets get. That of an unlock token has no digits here: they are made when it
    is delivered, or by `proofrail unlock show`. A partner sees its devices' only.
    """
    behind = cursor_of(after, number_in) or 0
    with parts.store.read() as session:
        rows = effects.page(session, behind, limit + 1, kind, payment, caller.scope)
    views = [
        EffectView(
            id=row.effect_id,
            kind=row.kind,
            name=row.name,
            payment_id=row.payment_id,
            agreement_id=row.agreement_id,
            device=device,
            at=row.at,
            message=json.loads(row.message),
        )
        for row, device in rows[:limit]
    ]
    return Page[EffectView](items=views, next=next_of(rows, limit, lambda row: str(row[0].number)))
