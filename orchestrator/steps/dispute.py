"""Freezes payments for records of a stolen key: the warden disputes those with an open window.

The warden pays no bond. Only payments of agreements with the compromised device itself, or with a
device without a key that it signed for as its gateway: the contract lets the warden dispute no
others. `proofrail device risk` lists payments that cite its records or have left their window.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from oracles.merkle import path, root
from orchestrator.core.outcome import ClaimOutcome, outcome_leaf
from orchestrator.core.risk import Remedy, at_risk
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.disputes import contracts_of_product
from orchestrator.edges.chain.sender import ChainCall, Sender
from orchestrator.edges.store import Session, Store, agreements, blocks, exposure, payments, sends
from orchestrator.errors import Retry
from orchestrator.steps.outcomes import settlement_leaves

PURPOSE = "dispute"


class DisputeContext(Protocol):
    """What dispute_compromised needs of the rail."""

    store: Store
    chain: Chain
    warden: Sender
    now: Callable[[], int]  # Unix seconds
    log: Any


def dispute_compromised(context: DisputeContext) -> int:
    """Dispute the payments at risk of every compromised device; return how many."""
    now = context.now()
    with context.store.read() as session:
        due = [
            call
            for device, since in agreements.compromised(session).items()
            for call in dispute_calls(session, context.chain, device, since, now)
            if sends.by_ref(session, PURPOSE, call.ref) is None
        ]
    sent = sum(_dispute(context, call, now) for call in due)
    if sent:
        context.warden.broadcast()
    return sent


def _dispute(context: DisputeContext, call: ChainCall, now: int) -> int:
    try:
        quote = context.warden.quote(call.call)
    except Retry as error:  # the error says which: too late, or the payer was faster
        context.log.warning("dispute waits", payment=call.ref, reason=str(error))
        return 0
    with context.store.write() as session:
        context.warden.prepare(session, call.purpose, call.ref, quote, now)
    return 1


def dispute_calls(
    session: Session, chain: Chain, device: str, since: int, now: int
) -> list[ChainCall]:
    """Return the warden's calls that freeze what a device has at risk.

    Each has the payment's id as its reference, so that it is sent once by whichever process calls
    this, and however often.

    Args:
        session: A session of the store.
        chain: The node's client.
        device: The device's id, 0x-hex.
        since: When its key was stolen, in Unix seconds.
        now: Unix seconds.
    """
    open_payments = exposure.open_windows(session, device, now)
    if not open_payments:
        return []
    risks = at_risk(exposure.exposed(session, device, open_payments), since, now)
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
    """Return the dispute of a settled payment, with its outcome's Merkle proof.

    Rails of 0.5.0 take it themselves; later ones have a contract for it.

    None where the settlement's outcomes cannot be read.
    """
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
    contracts = contracts_of_product(chain, agreement.product_address)
    return Call(contracts.disputes, "dispute", arguments)
