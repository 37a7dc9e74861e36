"""Models of holds: the request, and what a payment shows of one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from orchestrator.core.hold import MAX_REASON
from orchestrator.edges.api.wire import Seconds, example
from orchestrator.edges.store.holds import HoldRow

_BY = "0x" + "3b" * 20


class HoldRequest(BaseModel):
    """Why a party stops a payment."""

    model_config = example(reason="the meter was opened on 12 May")
    reason: Annotated[str, Field(description=f"1 to {MAX_REASON} printable characters; kept")]


class HoldView(BaseModel):
    """One hold of a payment, and what two officers decided."""

    model_config = example(
        held_at=1_790_000_020,
        held_by=_BY,
        signed=False,
        reason="the meter was opened on 12 May",
        decided_at=None,
        decision=None,
    )
    held_at: Seconds
    held_by: str = Field(description="address of an officer, or of the payment's payer or payee")
    signed: bool = Field(description="an officer signed it; false: a party held it by API")
    reason: str
    decided_at: Seconds | None = Field(description="null while two officers have not decided")
    decision: Literal["continue", "reject"] | None


def hold_fields(row: HoldRow) -> dict[str, Any]:
    """Return the fields of a `HoldView`."""
    return {
        "held_at": row.held_at,
        "held_by": row.held_by,
        "signed": bool(row.signature),
        "reason": row.reason,
        "decided_at": row.decided_at,
        "decision": row.decision,
    }
