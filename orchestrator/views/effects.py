"""Builds the JSON view of what a payment made happen outside, without the digits of tokens."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.edges.store import Session, agreements, effects

_MOST = 1_000  # effects of one payment


def effect_views(session: Session, payment: str) -> list[dict[str, Any]]:
    """Return the JSON views of a payment's effects and of its refund's, in their order."""
    rows = effects.newest(session, None, payment, _MOST)[::-1]
    deliveries = effects.deliveries_of(session, [row.effect_id for row in rows])
    return [
        {
            "effect_id": row.effect_id,
            "name": row.name,
            "kind": row.kind,
            "at": row.at,
            "content": json.loads(row.message)["data"].get("content"),
            "token": _token(session, row.effect_id),
            "deliveries": [
                {
                    "target": delivery.target,
                    "delivered_at": delivery.delivered_at,
                    "attempts": delivery.attempts,
                    "trouble": delivery.trouble,
                }
                for delivery in deliveries.get(row.effect_id, [])
            ],
        }
        for row in rows
    ]


def _token(session: Session, effect: str) -> dict[str, Any] | None:
    """Return which token of which device an effect is; its digits are made on demand."""
    row = effects.unlock_number(session, effect)
    if row is None:
        return None
    device = agreements.device(session, row.device)
    return {"device": device.name if device else row.device, "number": row.number}
