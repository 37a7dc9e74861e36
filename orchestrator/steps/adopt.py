"""Payments that the chain settled before this store knew them: it was restored from a backup.

The chain's call data says what was claimed. The records that belong to it follow when they are
sent again (`collect.complete`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from oracles.attest import claim_hash
from oracles.types import Claim
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import HOLDABLE, Stage
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import Session, agreements, evidence, payments
from orchestrator.products import Product
from orchestrator.steps.outcomes import settled_claims

_BEFORE_THE_CHAIN = (
    *HOLDABLE,
    Stage.HELD,
    Stage.REJECTED,
    Stage.EXPIRED,
    Stage.REFUSED,
)


class AdoptContext(Protocol):
    """What adopting payments needs of the rail."""

    rules: Mapping[str, Product]
    log: Any


def adopt(
    context: AdoptContext,
    session: Session,
    settlements: Iterable[tuple[DecodedLog, Sequence[Claim]]],
    now: int,
) -> None:
    """Make the store's payments those that settlements applied, before their facts are recorded.

    A payment that is missing is added. One that was started again from other records than the
    chain's claim takes over the chain's claim, since a sequence settles once.

    Args:
        context: The rail.
        session: A write session.
        settlements: Settled logs with their claims, in chain order.
        now: Unix seconds.
    """
    claims = [claim for log, named in settlements for claim in settled_claims(log, named)]
    ids = {"0x" + claim.agreement.hex() for claim in claims}
    known = agreements.by_ids(session, ids)
    rows = {row.payment_id: row for row in payments.by_ids(session, map(_id_of, claims))}
    for claim in claims:
        agreement = known.get("0x" + claim.agreement.hex())
        row = rows.get(_id_of(claim))
        if agreement is None or (row is not None and not _differs(row, claim)):
            continue
        if row is None:
            row = rows[_id_of(claim)] = _missing(agreement, claim, now)
            session.add(row)
        _take(context, session, agreement, row, claim)


def _id_of(claim: Claim) -> str:
    return "0x" + payment_id(claim.agreement, claim.sequence).hex()


def _differs(row: payments.PaymentRow, claim: Claim) -> bool:
    """Return whether a payment was started here, and is not (yet) the claim of the chain."""
    return row.stage in _BEFORE_THE_CHAIN and row.claim_hash != "0x" + claim_hash(claim).hex()


def _missing(agreement: agreements.AgreementRow, claim: Claim, now: int) -> payments.PaymentRow:
    return payments.PaymentRow(
        payment_id=_id_of(claim),
        agreement_id=agreement.agreement_id,
        sequence=claim.sequence,
        stage=Stage.RECEIVED,
        next_step=None,
        first_counter=claim.first_counter,
        last_counter=claim.last_counter,
        created_at=now,
    )


def _take(
    context: AdoptContext,
    session: Session,
    agreement: agreements.AgreementRow,
    row: payments.PaymentRow,
    claim: Claim,
) -> None:
    """Give a payment the chain's claim, and its agreement the counters that this claim used."""
    evidence.unclaim(session, row.payment_id)
    row.first_counter, row.last_counter = claim.first_counter, claim.last_counter
    row.evidence_root, row.facts = "0x" + claim.evidence.hex(), "0x" + claim.facts.hex()
    row.claim_hash, row.batch_digest = "0x" + claim_hash(claim).hex(), None
    product = context.rules.get(agreement.product)
    row.payee = (product.payee(claim.facts) if product else None) or agreement.payee
    session.flush()
    highest = agreements.reach(session, agreement.agreement_id, claim.sequence + 1)
    agreement.sequence = max(agreement.sequence, claim.sequence)
    agreement.last_counter = claim.last_counter if highest is None else highest
    evidence.claim_events(
        session, agreement.agreement_id, row.first_counter, row.last_counter, row.payment_id
    )
    context.log.warning("payment taken from the chain", payment=row.payment_id)
