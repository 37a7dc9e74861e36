"""Effects for a product that has none: what its payments ask for when they are final."""

from __future__ import annotations

from orchestrator.core.effect import (
    Effect,
    EffectKind,
    EffectScope,
    FinalPayment,
    UnlockMode,
)
from orchestrator.core.mandate import Mandate
from orchestrator.products import products

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


def agreed_mandate(payee: str = "0x" + "0b" * 20) -> Mandate:
    return Mandate(
        payer="0x" + "0a" * 20,
        payee=payee,
        device=b"\x0d" * 32,
        product="0x" + "0e" * 20,
        cap=1,
        period_days=1,
        window=1,
        expiry=9,
        first_counter=0,
        required_domain=0,
        salt=bytes(32),
        terms=b"terms",
    )


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
