"""Records what the end of a dispute means for the payment, its debt and its agreement."""

from __future__ import annotations

from orchestrator.core.payment import Fact
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import Session, agreements, debts, payments


def note_end(session: Session, log: DecodedLog, at: int, now: int) -> str | None:
    """Record how a dispute ended.

    Args:
        session: A write session.
        log: The final `DisputeEnded`.
        at: The block's time, Unix seconds.
        now: Unix seconds.

    Returns:
        The agreement whose escrow got money back; None if none did.
    """
    payment, key = log.args["payment"], log.block_hash
    agreement = agreements.of_payment(session, payment)
    if agreement is None:
        return None
    refunded, amount = log.args["refunded"], log.args["amount"]
    kept = log.args.get("kept", 0) if refunded else amount  # version 1 of the contracts: no part
    if kept < amount:
        detail = f"{kept} micro-euro of it stay with its payee" if kept else ""
        new_fact = payments.NewFact(payment, Fact.REFUNDED, key, detail, due_at=at)
    else:  # withdrawable at once, but the contract accepts no release time in the future
        row = payments.by_ids(session, [payment])[0]
        due_at, sets = max(at, row.release_at + 1), {"release_tx": log.tx_hash}
        new_fact = payments.NewFact(payment, Fact.UPHELD, key, "", sets, due_at)
    payments.record_facts(session, [new_fact], now)
    return agreement.agreement_id if kept < amount else None


def note_cancelled(session: Session, log: DecodedLog, now: int) -> None:
    """Record that debts no longer stand: the payment that they corrected is refunded as well.

    Args:
        session: A write session.
        log: The final `DebtCancelled`.
        now: Unix seconds.
    """
    ref = f"{log.tx_hash}:{log.index}"
    over = debts.cancel(session, log.args["agreement"], log.args["payee"], log.args["amount"])
    facts = [payments.NewFact(payment, Fact.SET_OFF, ref) for payment in over]
    payments.record_facts(session, facts, now)
