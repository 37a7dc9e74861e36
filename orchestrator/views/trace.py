"""Finds what an id names, and tells the payments it leads to. It only reads.

What a payment's life looks like: orchestrator/views/payment.py.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Any

from device_adapters.types import Rejected
from orchestrator.edges.store import (
    Session,
    agreements,
    evidence,
    fundings,
    lookup,
    payouts,
    rejections,
)
from orchestrator.views.payment import (
    cents,
    life,
    micro,
    summary,
    told_agreement,
    told_event,
    told_payout,
)

SHOWN = 50  # payments of a list; the totals count all
_CHUNK = 2_000


class TraceReason(StrEnum):
    """Why an id leads nowhere. Stable codes."""

    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"


def trace(session: Session, text: str, shown: int = SHOWN) -> dict[str, Any]:
    """What `text` (any id, whole or its beginning) leads to.

    {"query", "kind", "id", "about", "totals", "payments", "life"}: `life` is told where there is
    exactly one payment, else it is None. Raises Rejected with a TraceFault.
    """
    found = find(session, text)
    rows = lookup.payments_of(session, found, shown)
    stages = lookup.count_by_stage(session, found)
    total = sum(count for count, _ in stages.values())
    return {
        "query": text,
        "kind": found.kind,
        "id": found.id,
        "about": _about(session, found),
        "totals": {
            "payments": total,
            **micro(sum(total for _, total in stages.values())),
            "by_stage": {stage: count for stage, (count, _) in stages.items()},
        },
        "payments": [summary(row, agreement) for row, agreement in rows],
        "life": life(session, *rows[0]) if total == 1 else None,
    }


def find(session: Session, text: str) -> lookup.FoundId:
    """The one thing that `text` names. Raises Rejected with a TraceFault."""
    matches = lookup.found_by(session, text)
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(f"{kind} {identity}" for kind, identity in matches)
        raise Rejected(TraceReason.AMBIGUOUS, f"{text!r} is the beginning of several ids: {listed}")
    refused = _among_rejections(session, text.lower().removeprefix("0x"))
    detail = refused or (
        f"nothing here is named {text[:80]!r}: no event, evidence, payment, agreement, settlement, "
        f"payout, EndToEndId, device, batch, credit or reference (whole, or from "
        f"{lookup.MIN_PREFIX} characters on)"
    )
    raise Rejected(TraceReason.NOT_FOUND, detail)


def _among_rejections(session: Session, digest: str) -> str:
    """Rejected bytes have no row of their own under their hash, so all are hashed: the last try."""
    last = 0
    while len(digest) == 64 and (rows := rejections.after(session, last, _CHUNK)):
        for row in rows:
            if sha256(row.body).hexdigest() == digest:
                return (
                    f"this evidence was rejected: {row.reason} ({row.detail}), number {row.id} "
                    "of `proofrail rejected`"
                )
        last = rows[-1].id
    return ""


# --- what was found, beside its payments


def _about(session: Session, found: lookup.FoundId) -> dict[str, Any] | None:
    if found.kind == "device":
        return _device(session, found.id)
    if found.kind == "event":
        return told_event(session, evidence.event(session, found.id))
    if found.kind == "evidence":
        return told_event(session, evidence.event_of_evidence(session, found.id))
    if found.kind == "payout":
        return told_payout(session, payouts.get(session, found.id))
    if found.kind == "credit":
        row = fundings.get(session, found.id)
        told = cents(row.cents)
        return {"agreement": row.agreement_id, "stage": row.stage, "mint": row.tx_hash, **told}
    if found.kind == "agreement":
        return told_agreement(session, agreements.get(session, found.id))
    return None


def _device(session: Session, device: str) -> dict[str, Any]:
    row = agreements.device(session, device)
    held = [a for a in agreements.all_agreements(session) if a.device_id == device]
    name = row.name if row else held[0].device
    return {
        "name": name,
        "status": row.status if row else "not enrolled here",
        "expires_at": (row.expires_at or None) if row else None,
        "endorsement": (row.endorsement or None) if row else None,
        "compromised_since": row.compromised_since if row else None,
        "agreements": [a.agreement_id for a in held],
        "holes": [list(h) for a in held for h in evidence.holes_of(session, a.agreement_id)],
    }
