"""Finds the object of an id and the payments that belong to it.

The view of a single payment is in orchestrator/views/payment.py.
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
from orchestrator.views.payment import agreement_view, event_view, life, summary
from orchestrator.views.payout import cents, micro, payout_view

SHOWN = 50  # payments in the list; the totals count all
_CHUNK = 2_000


class TraceReason(StrEnum):
    """Why an id is refused. The codes are stable."""

    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"


def trace(session: Session, text: str, shown: int = SHOWN) -> dict[str, Any]:
    """Return the JSON view of an id and its payments.

    Args:
        text: Any id, complete or its beginning.
        shown: The most payments in the list.

    Returns:
        {"query", "kind", "id", "about", "totals", "payments", "life"}; `life` is the full view if
        there is exactly one payment, else None.

    Raises:
        Rejected: with a TraceReason.
    """
    match = find(session, text)
    rows = lookup.payments_of(session, match, shown)
    stages = lookup.count_by_stage(session, match)
    total = sum(count for count, _ in stages.values())
    return {
        "query": text,
        "kind": match.kind,
        "id": match.id,
        "about": _about(session, match),
        "totals": {
            "payments": total,
            **micro(sum(total for _, total in stages.values())),
            "by_stage": {stage: count for stage, (count, _) in stages.items()},
        },
        "payments": [summary(row, agreement) for row, agreement in rows],
        "life": life(session, *rows[0]) if total == 1 else None,
    }


def find(session: Session, text: str) -> lookup.FoundId:
    """Return the only object that `text` names; raises Rejected with a TraceReason."""
    matches = lookup.found_by(session, text)
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(f"{kind} {identity}" for kind, identity in matches)
        raise Rejected(TraceReason.AMBIGUOUS, f"{text!r} is the beginning of several ids: {listed}")
    rejection = _among_rejections(session, text.lower().removeprefix("0x"))
    detail = rejection or (
        f"nothing has the id {text[:80]!r}: no event, evidence, payment, agreement, settlement, "
        f"payout, EndToEndId, device, batch, credit or reference (complete, or its first "
        f"{lookup.MIN_PREFIX} or more characters)"
    )
    raise Rejected(TraceReason.NOT_FOUND, detail)


def _among_rejections(session: Session, digest: str) -> str:
    """Search the rejected bytes for a SHA-256; their hashes are not stored, so hash them all."""
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


# --- the object itself, without its payments


def _about(session: Session, match: lookup.FoundId) -> dict[str, Any] | None:
    if match.kind == "device":
        return _device(session, match.id)
    if match.kind == "event":
        return event_view(session, evidence.event(session, match.id))
    if match.kind == "evidence":
        return event_view(session, evidence.event_of_evidence(session, match.id))
    if match.kind == "payout":
        return payout_view(session, payouts.get(session, match.id))
    if match.kind == "credit":
        row = fundings.get(session, match.id)
        amount = cents(row.cents)
        return {"agreement": row.agreement_id, "stage": row.stage, "mint": row.tx_hash, **amount}
    if match.kind == "agreement":
        return agreement_view(session, agreements.get(session, match.id))
    return None


def _device(session: Session, device: str) -> dict[str, Any]:
    row = agreements.device(session, device)
    device_agreements = [a for a in agreements.all_agreements(session) if a.device_id == device]
    name = row.name if row else device_agreements[0].device
    return {
        "name": name,
        "status": row.status if row else "not enrolled",
        "expires_at": (row.expires_at or None) if row else None,
        "endorsement": (row.endorsement or None) if row else None,
        "compromised_since": row.compromised_since if row else None,
        "agreements": [a.agreement_id for a in device_agreements],
        "holes": [
            list(h) for a in device_agreements for h in evidence.holes_of(session, a.agreement_id)
        ],
    }
