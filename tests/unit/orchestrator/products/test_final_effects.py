"""What a product is asked when a payment is final, and what its answers may not do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from device_adapters.types import Reason, Rejected
from oracles.types import Claim
from orchestrator.core.effect import Effect, EffectKind, FinalPayment
from orchestrator.core.identity import payment_id
from orchestrator.core.mandate import Mandate
from orchestrator.core.outcome import NOBODY
from orchestrator.errors import Halt
from orchestrator.products.final_effects import final_effects
from tests.support.effect_double import SCOPE, agreed_mandate

MERCHANT = "0x" + "0c" * 20
CLAIM = Claim(b"\x0a" * 32, 3, 1, 2, bytes(32), b"facts")


def asked(ask: Any, agreed: Mandate | None = None, amount: int = 7) -> list[Any]:
    product = SimpleNamespace(payee=lambda facts: MERCHANT, **({"effects": ask} if ask else {}))
    return final_effects(SCOPE, product, agreed or agreed_mandate(), CLAIM, amount, 100, "0xtx")


def test_product__without_effects__makes_none() -> None:
    assert asked(None) == []


@pytest.mark.parametrize(
    ("payee", "paid"), [("0x" + "0b" * 20, "0x" + "0b" * 20), (NOBODY, MERCHANT)]
)
def test_product__with_effects__is_asked_with_what_the_chain_says(payee: str, paid: str) -> None:
    heard = []

    def ask(terms: bytes, facts: bytes, payment: FinalPayment) -> tuple[Effect, ...]:
        heard.append((terms, facts, payment))
        return (Effect("visit", EffectKind.WORK_ORDER, {"facts": facts.hex()}),)

    [record] = asked(ask, agreed_mandate(payee), amount=-5)
    [(terms, facts, payment)] = heard
    assert (terms, facts) == (b"terms", b"facts")
    assert payment.payment_id == "0x" + payment_id(CLAIM.agreement, 3).hex() == record.payment_id
    assert (payment.payee, payment.amount_micro, payment.sequence) == (paid, -5, 3)
    assert (payment.device, payment.settled_at) == ("0x" + "0d" * 32, 100)


def test_product__that_cannot_read_the_facts__makes_none() -> None:
    """A quorum of liars may settle facts that only the contract takes: they halt nothing."""

    def ask(*_: Any) -> tuple[Effect, ...]:
        raise Rejected(Reason.MALFORMED, "no facts of this product")

    assert asked(ask) == []


def test_product__that_asks_for_the_impossible__halts() -> None:
    with pytest.raises(Halt, match="impossible effect"):
        asked(lambda *_: (Effect("x", EffectKind.WEBHOOK, {"x": 0.5}),))
