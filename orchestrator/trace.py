"""Tells the life of a payment, from any id: device's signature to statement line. It only reads.

Amounts are {"amount": minor units as text, "asset"}, times Unix seconds, ids as they are stored.
"""

from __future__ import annotations

import json
from enum import StrEnum
from hashlib import sha256
from typing import Any

from device_adapters.registry import protocols
from device_adapters.types import Rejected
from orchestrator.core import ledger
from orchestrator.core.payment import Fact
from orchestrator.edges.store import (
    Session,
    agreements,
    blocks,
    books,
    evidence,
    lookup,
    payments,
    sends,
)
from orchestrator.edges.store import transfers as money
from orchestrator.products import products

SHOWN = 50  # payments of a list; the totals count all
_CHUNK = 2_000


class TraceFault(StrEnum):
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
            **_micro(sum(total for _, total in stages.values())),
            "by_stage": {stage: count for stage, (count, _) in stages.items()},
        },
        "payments": [_summary(row, agreement) for row, agreement in rows],
        "life": life(session, *rows[0]) if total == 1 else None,
    }


def find(session: Session, text: str) -> lookup.Found:
    """The one thing that `text` names. Raises Rejected with a TraceFault."""
    matches = lookup.found_by(session, text)
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(f"{kind} {identity}" for kind, identity in matches)
        raise Rejected(TraceFault.AMBIGUOUS, f"{text!r} is the beginning of several ids: {listed}")
    refused = _among_rejections(session, text.lower().removeprefix("0x"))
    detail = refused or (
        f"nothing here is named {text[:80]!r}: no event, evidence, payment, agreement, settlement, "
        f"payout, EndToEndId, device, batch, credit or reference (whole, or from "
        f"{lookup.MIN_PREFIX} characters on)"
    )
    raise Rejected(TraceFault.NOT_FOUND, detail)


def _among_rejections(session: Session, digest: str) -> str:
    """Rejected bytes have no row of their own under their hash, so all are hashed: the last try."""
    last = 0
    while len(digest) == 64 and (rows := lookup.rejections_among(session, last, _CHUNK)):
        for row in rows:
            if sha256(row.body).hexdigest() == digest:
                return (f"this evidence was rejected: {row.reason} ({row.detail}), number {row.id} "
                        "of `proofrail rejected`")  # fmt: skip
        last = rows[-1].id
    return ""


# --- what was found, beside its payments


def _about(session: Session, found: lookup.Found) -> dict[str, Any] | None:
    if found.kind == "device":
        return _device(session, found.id)
    if found.kind == "event":
        return _event(session, evidence.event(session, found.id))
    if found.kind == "evidence":
        return _event(session, evidence.event_of_evidence(session, found.id))
    if found.kind == "payout":
        return _payout(session, money.payout(session, found.id))
    if found.kind == "credit":
        row = money.funding(session, found.id)
        told = _cents(row.cents)
        return {"agreement": row.agreement_id, "stage": row.stage, "mint": row.tx_hash, **told}
    if found.kind == "agreement":
        return _agreement(session, agreements.get(session, found.id))
    return None


def _device(session: Session, device: str) -> dict[str, Any]:
    row = agreements.device(session, device)
    held = [a for a in agreements.all_agreements(session) if a.device_id == device]
    name = row.name if row else held[0].device
    return {
        "name": name,
        "status": row.status if row else "not enrolled here",
        "agreements": [a.agreement_id for a in held],
        "holes": [list(h) for a in held for h in evidence.holes_of(session, a.agreement_id)],
    }


def _event(session: Session, row: evidence.Event) -> dict[str, Any]:
    found = evidence.evidence_of(session, row.evidence_hash)
    event = protocols()[found.protocol].decode(found.body)
    return {
        "event_id": row.event_id,
        "device": event.device,
        "counter": row.counter,
        "pagination": event.facts.get("pagination"),
        "observed_at": row.observed_at_ms // 1000,
        "received_at": row.received_at,
        "source": found.source,
        "evidence": row.evidence_hash,
        "payment_id": row.payment_id,
        "reason": row.reason,
        "facts": {"readings": event.facts.get("readings", [])},
    }


# --- the life of one payment


def life(
    session: Session, row: payments.Payment, agreement: agreements.Agreement
) -> dict[str, Any]:
    """Every station of a payment, in the order of the line device -> bank; None: not reached."""
    payout = money.payout(session, row.payout_id) if row.payout_id else None
    facts = payments.facts_of(session, row.payment_id)
    records = evidence.of_payments(session, [row.payment_id])[row.payment_id]
    return {
        **_summary(row, agreement),
        "reason": row.reason,
        "agreement": _agreement(session, agreement),
        "events": [_event(session, event) for event, _, _ in records],
        "claim": _claim(row, agreement),
        "attestation": _attestation(session, row, facts),
        "settlement": _settlement(session, row),
        "ledger": _ledger(session, row, payout),
        "payout": _payout(session, payout),
        "bank_file": _bank_file(session, payout),
        "statement_lines": _lines(session, payout),
        "facts": [{"at": fact.at, "fact": fact.fact, "detail": fact.detail} for fact in facts],
    }


def _summary(row: payments.Payment, agreement: agreements.Agreement) -> dict[str, Any]:
    return {
        "payment_id": row.payment_id, "stage": row.stage, "sequence": row.sequence,
        "agreement_id": row.agreement_id, "device": agreement.device, **_micro(row.amount_micro),
        "first_counter": row.first_counter, "last_counter": row.last_counter,
        "settlement": row.settlement_tx, "payout": row.payout_id, "started_at": row.created_at,
    }  # fmt: skip


def _agreement(session: Session, row: agreements.Agreement) -> dict[str, Any]:
    terms = products()[row.product].decode_terms(bytes.fromhex(row.terms[2:]))
    return {
        "agreement_id": row.agreement_id, "device": row.device, "product": row.product,
        "payer": _party(session, row.payer), "payee": _party(session, row.payee),
        "terms": terms._asdict(), "cap": _micro(row.cap_micro), "period_days": row.period_days,
        "window_s": row.window_s, "expiry": row.expiry, "reference": row.reference,
        "stage": row.stage, "opened_at": row.opened_at or None,
    }  # fmt: skip


def _party(session: Session, address: str) -> dict[str, Any]:
    party = agreements.party(session, address)
    return {"address": address, "name": party.name if party else None}


def _claim(row: payments.Payment, agreement: agreements.Agreement) -> dict[str, Any] | None:
    if not row.facts:
        return None
    facts = products()[agreement.product].decode_facts(bytes.fromhex(row.facts[2:]))
    return {"evidence_root": row.evidence_root, "hash": row.claim_hash, "facts": facts._asdict()}


def _attestation(
    session: Session, row: payments.Payment, facts: Any
) -> dict[str, Any] | None:
    told = [fact for fact in facts if fact.fact == Fact.ATTESTED]
    if not told or not row.batch_digest:
        return None
    return {
        "batch": row.batch_digest,
        "at": told[-1].at,
        "signatures": [
            {"name": a.name, "domain": a.domain, "oracle": a.oracle, "signature": a.signature}
            for a in payments.attestations_of(session, row.batch_digest)
        ],
        "oracles": told[-1].detail.split("; "),
    }


def _settlement(session: Session, row: payments.Payment) -> dict[str, Any] | None:
    log = blocks.log_of(session, row.settlement_tx, "Settled") if row.settlement_tx else None
    if log is None:
        return None
    args, block = json.loads(log.args), blocks.at(session, log.block_number)
    send = sends.by_hash(session, log.tx_hash)
    return {
        "transaction": log.tx_hash, "number": args["settlement"], "root": args["root"],
        "block": log.block_number, "block_hash": log.block_hash, "at": block.timestamp,
        "final": block.final, "refusal": row.reason, "release_at": row.release_at or None,
        "gas_used": send.gas_used if send else None, **_micro(row.amount_micro),
    }  # fmt: skip


def _ledger(
    session: Session, row: payments.Payment, payout: money.Payout | None
) -> list[dict[str, Any]]:
    refs = [row.payment_id]
    if payout is not None:
        logs = blocks.logs_in_transaction(session, payout.tx_hash)
        refs += [payout.payout_id, *(f"{log.tx_hash}:{log.log_index}" for log in logs)]
    return [
        {
            "number": stored.number, "kind": entry.kind, "at": stored.at, "hash": stored.hash,
            "postings": [
                {"account": p.account, "amount": str(p.amount_minor), "asset": p.asset}
                for p in entry.postings
            ],
        }
        for stored, entry in books.entries_of(session, refs)
    ]  # fmt: skip


def _payout(session: Session, row: money.Payout | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "payout_id": row.payout_id, "end_to_end_id": row.end_to_end_id, "stage": row.stage,
        "payee": _party(session, row.payee), "transaction": row.tx_hash, "reason": row.reason,
        "ordered_at": row.ordered_at, **_cents(row.cents),
        "payments": len(payments.of_payout(session, row.payout_id)),
    }  # fmt: skip


def _bank_file(session: Session, row: money.Payout | None) -> dict[str, Any] | None:
    file = money.file(session, row.file_hash) if row and row.file_hash else None
    if file is None:
        return None
    return {"name": file.name, "sha256": file.file_hash, "kind": file.kind, "at": file.at}


def _lines(session: Session, row: money.Payout | None) -> list[dict[str, Any]]:
    found = []
    for line in money.lines_of(session, row.end_to_end_id) if row else ():
        file = money.file(session, line.source.hex())
        found.append({
            "kind": line.kind, "booked_on": line.booking_date.isoformat(), "path": line.path,
            "file": file.name, "sha256": file.file_hash, "at": file.at, "return": line.is_return,
            **_cents(line.amount_minor),
        })  # fmt: skip
    return sorted(found, key=lambda line: (line["at"], line["kind"], line["path"]))


def _micro(amount: int) -> dict[str, str]:
    return {"amount": str(amount), "asset": ledger.TEUR}


def _cents(amount: int) -> dict[str, str]:
    return {"amount": str(amount), "asset": ledger.EUR}
