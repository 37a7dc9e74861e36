"""Effects for a product that has none: what its payments ask for when they are final."""

from __future__ import annotations

from oracles.types import Claim
from orchestrator.core.effect import (
    Effect,
    EffectKind,
    EffectRecord,
    EffectScope,
    FinalPayment,
    UnlockMode,
)
from orchestrator.core.mandate import Mandate
from orchestrator.products import Product, products
from orchestrator.products.final_effects import final_effects

SCOPE = EffectScope(31337, "0x" + "11" * 20)
PAYMENT = FinalPayment(
    payment_id="0x" + "aa" * 32,
    agreement_id="0x" + "bb" * 32,
    sequence=7,
    device="0x" + "cc" * 32,
    payer="0x" + "01" * 20,
    payee="0x" + "02" * 20,
    amount_micro=1_234,
    settled_at=1_760_000_000,
    transaction="0x" + "dd" * 32,
)


def effects_of(product: Product, terms: bytes, facts: bytes, amount: int) -> list[EffectRecord]:
    """Return the outbox rows of a claim with these facts that a final block applied."""
    mandate = Mandate(
        payer=PAYMENT.payer,
        payee=PAYMENT.payee,
        device=bytes.fromhex(PAYMENT.device[2:]),
        product="0x" + "0e" * 20,
        cap=1,
        period_days=1,
        window=1,
        expiry=9,
        first_counter=0,
        required_domain=0,
        salt=bytes(32),
        terms=terms,
    )
    claim = Claim(b"\x0a" * 32, 3, 1, 2, bytes(32), facts)
    return final_effects(SCOPE, product, mandate, claim, amount, 100, PAYMENT.transaction)


def orders_of(terms: bytes, facts: bytes, payment: FinalPayment) -> tuple[Effect, ...]:
    """A work order for each payment, and a token of one day for each payment above zero."""
    order = Effect("visit", EffectKind.WORK_ORDER, {"facts": facts.hex(), "list": [1, None]})
    if payment.amount_micro <= 0:
        return (order,)
    content = {"device": payment.device, "mode": UnlockMode.ADD_TIME, "days": 1}
    return order, Effect("unlock", EffectKind.UNLOCK_TOKEN, content)


def give_effects(monkeypatch, ask=orders_of, product: str = "metered_energy") -> None:
    """Let a product ask for effects, as a product with a function `effects` does."""
    monkeypatch.setattr(products()[product], "effects", ask, raising=False)
