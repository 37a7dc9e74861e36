"""Builds the JSON view of one payment, from the device's signature to the statement line.

Amounts are {"amount": minor units as text, "asset"}, times Unix seconds, ids as stored.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from device_adapters.registry import load
from orchestrator.core.challenge import ChallengeVerdict, RecordFault
from orchestrator.core.payment import Fact
from orchestrator.edges.store import (
    Session,
    agreements,
    blocks,
    citations,
    debts,
    disputes,
    evidence,
    later_outcomes,
    payments,
    payouts,
    sends,
)
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.products import product
from orchestrator.views.effects import effect_views
from orchestrator.views.holds import hold_views
from orchestrator.views.payout import (
    bank_file_view,
    line_views,
    micro,
    party_view,
    payout_view,
)
from orchestrator.views.shares import share_view

SHOWN = 200  # supporting records: the first and the last; an audit bundle holds all of them


def event_view(session: Session, row: evidence.EventRow) -> dict[str, Any]:
    """Return the JSON view of an event, with the facts decoded from its stored bytes."""
    stored = evidence.evidence_of(session, row.evidence_hash)
    event = load(stored.protocol).decode(stored.body)
    return {
        "event_id": row.event_id,
        "device": event.device,
        "role": row.role,
        "assurance": row.assurance,
        "gateway": row.gateway or None,
        "protocol": stored.protocol,
        "kind": event.kind,
        "subject": event.subject or None,
        "counter": row.counter,
        "pagination": event.facts.get("pagination"),
        "observed_at": row.observed_at_ms // 1000,
        "received_at": row.received_at,
        "source": stored.source,
        "evidence": row.evidence_hash,
        "names": list(event.all_names),
        "cites": list(event.cites),
        "place": asdict(event.place) if event.place else None,
        "payment_id": row.payment_id,
        "reason": row.reason,
        "outcomes": [
            {
                "at": outcome.at,
                "outcome": outcome.outcome,
                "detail": outcome.detail,
                "sent_to": outcome.device,
                "acknowledged_at": outcome.acknowledged_at,
            }
            for outcome in later_outcomes.of_event(session, row.event_id)
        ],
        "facts": event.facts,
    }


def life(
    session: Session, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> dict[str, Any]:
    """Return the full JSON view of a payment; a part that it has not reached is None."""
    payout = payouts.get(session, row.payout_id) if row.payout_id else None
    facts = payments.facts_of(session, row.payment_id)
    records = evidence.of_payments(session, [row.payment_id])[row.payment_id]
    supporting = citations.supporting_of(session, row.payment_id)
    return {
        **summary(row, agreement),
        "reason": row.reason,
        "payee": _payee(session, row, agreement),
        "agreement": agreement_view(session, agreement),
        "events": [event_view(session, event) for event, _, _ in records],
        "supporting": [event_view(session, event) for event, _, _ in _ends_of(supporting)],
        "supporting_total": {
            "records": len(supporting),
            "devices": len({event.device_id for event, _, _ in supporting}),
        },
        "claim": _claim(row, agreement),
        "attestation": _attestation(session, row, facts),
        "holds": hold_views(session, row, agreement),
        "settlement": _settlement(session, row),
        "dispute": dispute_view(session, row, agreement),
        "challenges": _challenges(session, row),
        "debt": _debt(session, row),
        "effects": effect_views(session, row.payment_id),
        "ledger": _ledger(session, row, payout),
        "payout": payout_view(session, payout),
        "bank_file": bank_file_view(session, payout),
        "statement_lines": line_views(session, payout),
        "share": share_view(session, row, payments.payee_of(row, agreement)),
        "facts": [{"at": fact.at, "fact": fact.fact, "detail": fact.detail} for fact in facts],
    }


def _ends_of(rows: list[Any]) -> list[Any]:
    half = SHOWN // 2
    return rows if len(rows) <= SHOWN else [*rows[:half], *rows[-half:]]


def summary(row: payments.PaymentRow, agreement: agreements.AgreementRow) -> dict[str, Any]:
    """Return the JSON view of a payment in a list; a negative amount is a debt of the payee."""
    return {
        "payment_id": row.payment_id,
        "stage": row.stage,
        "sequence": row.sequence,
        "agreement_id": row.agreement_id,
        "device": agreement.device,
        **micro(row.amount_micro),
        "first_counter": row.first_counter,
        "last_counter": row.last_counter,
        "settlement": row.settlement_tx,
        "payout": row.payout_id,
        "started_at": row.created_at,
    }


def agreement_view(session: Session, row: agreements.AgreementRow) -> dict[str, Any]:
    """Return the JSON view of an agreement; the payee is None if each claim names it."""
    return {
        "agreement_id": row.agreement_id,
        "device": row.device,
        "product": row.product,
        "payer": party_view(session, row.payer),
        "payee": party_view(session, row.payee),
        "terms": product(row.product).format_terms(bytes.fromhex(row.terms[2:])),
        "cap": micro(row.cap_micro),
        "period_days": row.period_days,
        "window_s": row.window_s,
        "expiry": row.expiry,
        "reference": row.reference,
        "stage": row.stage,
        "opened_at": row.opened_at or None,
    }


def _payee(
    session: Session, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> dict[str, Any] | None:
    return party_view(session, payments.payee_of(row, agreement))


def _claim(row: payments.PaymentRow, agreement: agreements.AgreementRow) -> dict[str, Any] | None:
    if not row.facts:
        return None
    rules, raw = product(agreement.product), bytes.fromhex(row.facts[2:])
    facts = rules.format_facts(raw)
    if format_price := getattr(rules, "format_price", None):
        facts["price"] = format_price(bytes.fromhex(agreement.terms[2:]), raw)
    return {"evidence_root": row.evidence_root, "hash": row.claim_hash, "facts": facts}


def _attestation(session: Session, row: payments.PaymentRow, facts: Any) -> dict[str, Any] | None:
    attested = [fact for fact in facts if fact.fact == Fact.ATTESTED]
    if not attested or not row.batch_digest:
        return None
    return {
        "batch": row.batch_digest,
        "at": attested[-1].at,
        "signatures": [
            {"name": a.name, "domain": a.domain, "oracle": a.oracle, "signature": a.signature}
            for a in payments.attestations_of(session, row.batch_digest)
        ],
        "oracles": attested[-1].detail.split("; "),
    }


def _settlement(session: Session, row: payments.PaymentRow) -> dict[str, Any] | None:
    log = blocks.log_of(session, row.settlement_tx, "Settled") if row.settlement_tx else None
    if log is None:
        return None
    args, block = json.loads(log.args), blocks.at(session, log.block_number)
    send = sends.by_hash(session, log.tx_hash)
    return {
        "transaction": log.tx_hash,
        "number": args["settlement"],
        "root": args["root"],
        "block": log.block_number,
        "block_hash": log.block_hash,
        "at": block.timestamp,
        "final": block.final,
        "refusal": row.reason,
        "release_at": row.release_at or None,
        "gas_used": send.gas_used if send else None,
        **micro(row.amount_micro),
    }


def dispute_view(
    session: Session, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> dict[str, Any] | None:
    """Return the JSON view of a payment's dispute with what each side may do next, else None."""
    record = disputes.record_of(session, row.payment_id)
    if record is None:
        return None
    return {
        "challenger": party_view(session, record.challenger),
        "bond": micro(record.bond_micro),
        "opened_at": record.opened_at,
        "opened_in": record.opened_tx,
        "deadline": record.deadline or None,
        "rulings": [
            {
                "oracle": ruling.oracle,
                "answer": "refund" if ruling.refund else "stand",
                "decided_by": ruling.decided_by,
                "decided_at": ruling.decided_at,
            }
            for ruling in disputes.rulings_of(session, row.payment_id)
        ],
        "ended_at": record.ended_at,
        "ended_in": record.ended_tx,
        "refunded": record.refunded,
        "kept": micro(record.kept_micro),
        "bond_to": party_view(session, record.bond_to or ""),
        "bond_returned": record.bond_returned,
        "next": _dispute_moves(session, row, agreement, record),
    }


def _challenges(session: Session, row: payments.PaymentRow) -> list[dict[str, Any]]:
    """Return the JSON view of who called a record of the payment bad, and what came of it."""
    return [
        {
            "challenger": party_view(session, item.challenger),
            "fault": list(RecordFault)[item.fault],
            "verdict": list(ChallengeVerdict)[item.reason],
            "bond": micro(item.bond_micro),
            "at": item.at,
            "in": item.tx_hash,
        }
        for item in disputes.challenges_of(session, row.payment_id)
    ]


def _dispute_moves(
    session: Session,
    row: payments.PaymentRow,
    agreement: agreements.AgreementRow,
    record: disputes.DisputeRecord,
) -> list[dict[str, Any]]:
    """Return who may end an open dispute how, when, and what becomes of the bond."""
    if record.ended_at is not None:
        return []
    payee = _payee(session, row, agreement)
    moves: list[dict[str, Any]] = [
        {"who": payee, "command": "payment concede", "bond": "returns"},
        {
            "who": party_view(session, record.challenger),
            "command": "payment retract",
            "bond": "returns until the dispute window ends, then goes to the payee",
            "window_ends": row.release_at,
        },
    ]
    ruling = {
        "who": None,
        "command": "payment rule",
        "bond": "returns with a refund, else goes to the payee",
    }
    if not record.deadline:  # contracts of version 1 have none
        return [*moves, ruling]
    expiry = {
        "who": None,
        "command": "payment expire",
        "bond": "goes to the payee",
        "after": record.deadline,
    }
    return [*moves, ruling | {"until": record.deadline}, expiry]


def _debt(session: Session, row: payments.PaymentRow) -> dict[str, Any] | None:
    """Return what the payee owes from a negative payment and has paid of it, else None."""
    debt = debts.of_payment(session, row.payment_id)
    if debt is None:
        return None
    return {
        "noted_at": debt.noted_at,
        "owed": micro(debt.amount_micro),
        "paid": micro(debt.paid_micro),
        "cancelled": micro(debt.cancelled_micro),
    }


def _ledger(
    session: Session, row: payments.PaymentRow, payout: payouts.PayoutRow | None
) -> list[dict[str, Any]]:
    refs = [row.payment_id]
    moved = [row.release_tx, payout.tx_hash if payout else None]
    for tx_hash in dict.fromkeys(filter(None, moved)):
        logs = blocks.logs_in_transaction(session, tx_hash)
        refs += [f"{log.tx_hash}:{log.log_index}" for log in logs]
    refs += [payout.payout_id] if payout else []
    return [
        {
            "number": stored.number,
            "kind": entry.kind,
            "at": stored.at,
            "hash": stored.hash,
            "postings": [
                {"account": p.account, "amount": str(p.amount_minor), "asset": p.asset}
                for p in entry.postings
            ],
        }
        for stored, entry in store_ledger.entries_of(session, refs)
    ]
