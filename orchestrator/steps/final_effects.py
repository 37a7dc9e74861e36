"""Writes effects into the outbox, in the transaction in which their payments become final."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from oracles.types import Claim
from orchestrator.core.effect import EffectRecord, EffectScope, refund_of
from orchestrator.core.outcome import unpack
from orchestrator.edges.chain.client import Chain, DecodedLog
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.store import Session, agreements, effects
from orchestrator.products import Product
from orchestrator.products.final_effects import final_effects


class FinalEffectsContext(Protocol):
    """What writing effects needs of the rail."""

    chain: Chain
    rules: Mapping[str, Product]
    now: Callable[[], int]  # Unix seconds


def scope_of(deployment: Deployment, product_address: str) -> EffectScope:
    """Return the rail of a product's agreements, on its chain."""
    rail = deployment.addresses[rail_of(deployment, product_address)]
    return EffectScope(deployment.chain_id, rail.lower())


def note_effects(
    context: FinalEffectsContext,
    session: Session,
    log: DecodedLog,
    claims: Sequence[Claim],
    at: int,
) -> None:
    """Store the effects of a final log: those of its payments, or of the refund of one.

    Args:
        context: The rail.
        session: The write session in which the log becomes final.
        log: A log of a final block.
        claims: Those of a `Settled` log, in its order.
        at: Time of the block, Unix seconds.
    """
    records: list[EffectRecord] = []
    if log.name == "Settled":
        records = _of_settlement(context, session, log, claims, at)
    elif log.name == "DisputeEnded" and log.args["refunded"]:
        records = _of_refund(context, session, log.args, at)
    effects.add(session, records, context.now())


def _of_settlement(
    context: FinalEffectsContext,
    session: Session,
    log: DecodedLog,
    claims: Sequence[Claim],
    at: int,
) -> list[EffectRecord]:
    if not any(hasattr(product, "effects") for product in context.rules.values()):
        return []
    known = agreements.by_ids(session, {"0x" + claim.agreement.hex() for claim in claims})
    records: list[EffectRecord] = []
    outcomes = unpack(bytes.fromhex(log.args["outcomes"][2:]))
    for claim, outcome in zip(claims, outcomes, strict=False):
        row = known.get("0x" + claim.agreement.hex())
        if outcome.refusal or row is None or row.product not in context.rules:
            continue
        records += final_effects(
            scope_of(context.chain.deployment, row.product_address),
            context.rules[row.product],
            agreements.mandate_of(row),
            claim,
            outcome.amount_micro,
            at,
            log.tx_hash,
        )
    return records


def _of_refund(
    context: FinalEffectsContext, session: Session, args: Mapping[str, Any], at: int
) -> list[EffectRecord]:
    amount, kept = args["amount"], args.get("kept", 0)
    before = effects.of_payment(session, args["payment"])
    if not before or kept >= amount:
        return []
    row = agreements.get(session, before[0].agreement_id)
    scope = scope_of(context.chain.deployment, row.product_address)
    return [refund_of(scope, effect, amount, kept, at) for effect in before]
