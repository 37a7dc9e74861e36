"""Models of effects."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from orchestrator.core.effect import EffectKind
from orchestrator.edges.api.wire import SOME_ID, Id, Seconds, example


class EffectView(BaseModel):
    """What a final payment makes happen outside."""

    model_config = example(
        id=SOME_ID,
        kind="work_order",
        name="visit",
        payment_id=SOME_ID,
        agreement_id=SOME_ID,
        device="atm-0007",
        at=1_790_000_000,
        message={"id": SOME_ID, "type": "work_order", "timestamp": "2026-09-21T14:13:20Z"},
    )
    id: Id = Field(description="the same at each delivery: a receiver drops what it has had")
    kind: EffectKind
    name: str = Field(description="ends with .refunded where it reports a refund")
    payment_id: Id
    agreement_id: Id
    device: str = Field(description="of the agreement")
    at: Seconds
    message: dict[str, Any] = Field(description="what targets get: id, type, timestamp, data")
