"""What a product asks for when a payment is final: the same for the live rail and for a rebuild."""

from __future__ import annotations

from device_adapters.types import Rejected
from oracles.types import Claim
from orchestrator.core.effect import EffectRecord, EffectScope, FinalPayment, asked_effects
from orchestrator.core.identity import payment_id
from orchestrator.core.mandate import Mandate
from orchestrator.core.outcome import NOBODY
from orchestrator.products import Product


def final_effects(
    scope: EffectScope,
    product: Product,
    mandate: Mandate,
    claim: Claim,
    amount_micro: int,
    settled_at: int,
    transaction: str,
) -> list[EffectRecord]:
    """Return the outbox rows of a claim that a final block applied.

    There is none where its product has no `effects`, or cannot read these terms or facts.

    Args:
        scope: Rail and chain.
        product: The agreement's product.
        mandate: What the payer signed.
        claim: The claim that was applied.
        amount_micro: Micro-euro; below zero: its payee owes it.
        settled_at: Time of the block, Unix seconds.
        transaction: Hash of the settlement.

    Raises:
        Halt: The product asks for an impossible effect.
    """
    ask = getattr(product, "effects", None)
    if ask is None:
        return []
    named = mandate.payee not in ("", NOBODY)
    try:
        payment = FinalPayment(
            "0x" + payment_id(claim.agreement, claim.sequence).hex(),
            "0x" + claim.agreement.hex(),
            claim.sequence,
            "0x" + mandate.device.hex(),
            mandate.payer.lower(),
            (mandate.payee if named else product.payee(claim.facts) or "").lower(),
            amount_micro,
            settled_at,
            transaction,
        )
    except Rejected:
        return []
    return asked_effects(scope, ask, mandate.terms, claim.facts, payment)
