"""Freezes what a stolen key was paid for: the warden disputes payments whose window is still open.

Only payments of agreements with the compromised device itself: the contract lets the warden touch
no others. What cites its records, or has left its window, `proofrail device risk` lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from oracles.merkle import path, root
from orchestrator.core.outcome import ClaimOutcome, outcome_leaf
from orchestrator.core.risk import Remedy, at_risk
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.sender import ChainCall, Sender
from orchestrator.edges.store import Session, Store, agreements, blocks, exposure, payments, sends
from orchestrator.errors import Retry
from orchestrator.steps.outcomes import settlement_leaves

PURPOSE = "dispute"


class DisputeContext(Protocol):
    """What disputing payments needs of the rail."""

    store: Store
    chain: Chain
    warden: Sender
    now: Callable[[], int]  # Unix seconds
    log: Any


def dispute_compromised(context: DisputeContext) -> int:
    """Disputes what is at risk of every device that is declared compromised; returns how many."""
    now = context.now()
    with context.store.read() as session:
        due = [
            errand
            for device, since in exposure.compromised(session).items()
            for errand in dispute_errands(session, context.chain, device, since, now)
            if sends.by_ref(session, PURPOSE, errand.ref) is None
        ]
    sent = sum(_dispute(context, errand, now) for errand in due)
    if sent:
        context.warden.broadcast()
    return sent


def _dispute(context: DisputeContext, errand: ChainCall, now: int) -> int:
    try:
        quote = context.warden.quote(errand.call)
    except Retry as delay:  # by its name: too late, or the payer was faster
        context.log.warning("dispute waits", payment=errand.ref, reason=str(delay))
        return 0
    with context.store.write() as session:
        context.warden.prepare(session, errand.purpose, errand.ref, quote, now)
    return 1


def dispute_errands(
    session: Session, chain: Chain, device: str, since: int, now: int
) -> list[ChainCall]:
    """The warden's calls that freeze what a device (id, 0x-hex) has at risk since then.

    Each under the payment's id, so that whoever sends them, and however often, sends each once.
    """
    open_ones = exposure.open_windows(session, device, now)
    if not open_ones:
        return []
    risks = at_risk(exposure.exposed(session, device, open_ones), since, now)
    ids = [risk.payment_id for risk in risks if risk.remedy is Remedy.FREEZE]
    rows = payments.by_ids(session, ids)
    parties = agreements.by_ids(session, {row.agreement_id for row in rows})
    calls = [
        (row.payment_id, dispute_call(session, chain, row, parties[row.agreement_id]))
        for row in rows
    ]
    return [ChainCall(PURPOSE, payment, call) for payment, call in calls if call is not None]


def dispute_call(
    session: Session, chain: Chain, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> Call | None:
    """PaymentRail.dispute of a settled payment, with its outcome's Merkle proof; None where the
    settlement's outcomes are not known here."""
    log = blocks.log_of(session, row.settlement_tx or "", "Settled")
    leaves = settlement_leaves(chain, session, log) if log else []
    payee = payments.payee_of(row, agreement)
    own = outcome_leaf(
        bytes.fromhex(row.payment_id[2:]),
        bytes.fromhex(row.claim_hash[2:]),
        payee.lower(),
        ClaimOutcome(row.amount_micro, 0),
        row.release_at,
    )
    if own not in leaves or "0x" + root(leaves).hex() != json.loads(log.args)["root"]:
        return None
    proof = ["0x" + node.hex() for node in path(leaves, leaves.index(own))]
    outcome = (row.payment_id, row.claim_hash, payee, row.amount_micro, 0, row.release_at)
    arguments = (row.agreement_id, row.sequence, outcome, "0x" + root(leaves).hex(), proof)
    return Call("PaymentRail", "dispute", arguments)
