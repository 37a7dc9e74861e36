"""Premiums of parametric cover: the call that proves one on chain."""

from __future__ import annotations

from device_adapters.types import Rejected
from orchestrator.core.party_call import PremiumReason
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.store import Store, agreements, payments
from orchestrator.products import products
from orchestrator.steps.dispute import dispute_call

PRODUCT = "parametric_cover"


def premium_call(
    store: Store, chain: Chain, cover: agreements.AgreementRow, payment: str, now: int
) -> Call:
    """Return the insured's call that proves a payment as a premium of a cover.

    Raises:
        Rejected: It cannot prove one (now); the contract would refuse it as well.
    """
    terms = bytes.fromhex(cover.terms.removeprefix("0x"))
    rules = products()[PRODUCT]
    wanted = "none"
    if cover.product == PRODUCT:
        wanted = dict(rules.decode_terms(terms).ways).get("premium", wanted)
    with store.read() as session:
        [row] = payments.by_ids(session, [payment])
        agreement = agreements.get(session, row.agreement_id)
        proof = dispute_call(session, chain, row, agreement) if row.amount_micro > 0 else None
    if row.agreement_id != wanted:
        raise Rejected(
            PremiumReason.OTHER_AGREEMENT,
            f"payment {payment} is of agreement {row.agreement_id}, and the terms of the cover "
            f"name {wanted}; nothing was sent",
        )
    if proof is None:
        raise Rejected(
            PremiumReason.NOT_SETTLED,
            f"payment {payment} is {row.stage}: no settlement has paid it; nothing was sent",
        )
    if now < row.release_at:
        raise Rejected(
            PremiumReason.WINDOW_OPEN,
            f"payment {payment} can still be disputed; nothing was sent. Next: try again after "
            "its dispute window",
        )
    named = {address.lower(): name for name, address in chain.deployment.addresses.items()}
    contract = named[cover.product_address.lower()]
    return Call(contract, "provePremium", (cover.agreement_id, *proof.args[1:]))
