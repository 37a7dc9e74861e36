"""Waterfalls of contract tests: created from Python's terms, and fed from a rail."""

from __future__ import annotations

from typing import Any

from orchestrator.core.waterfall import NOBODY, WaterfallTerms, checked
from tests.support.contracts.contract_rail import RELEASED
from tests.support.contracts.settled import plain_facts

LABEL = b"\5" * 32


def terms_of(
    shares: dict[Any, int],
    senior: Any = NOBODY,
    senior_share: int = 0,
    senior_limit: int = 0,
    label: bytes = LABEL,
) -> WaterfallTerms:
    """Return checked terms; holders are accounts, contracts or addresses."""
    holders = tuple((_address(holder), share) for holder, share in shares.items())
    terms = WaterfallTerms(label, holders, _address(senior), senior_share, senior_limit)
    return checked(terms)


def create(contracts: Any, terms: WaterfallTerms, factory: Any = None) -> Any:
    """Create a waterfall with the test's factory; return its contract."""
    factory = factory or contracts.waterfalls
    address = factory.addressOf(terms.as_tuple())
    factory.create(terms.as_tuple(), sender=contracts.stranger)
    return contracts.at("Waterfall", address)


def _address(holder: Any) -> str:
    return str(getattr(holder, "address", holder))


def prepared(contracts: Any) -> Any:
    """Return the rail with a factory, and a product that pays what a claim says."""
    contracts.waterfalls = contracts.deploy("Waterfalls", contracts.rail, contracts.token)
    contracts.plain = contracts.add_product("PlainProduct", 0)
    return contracts


def halves(rail: Any) -> Any:
    """Return a new waterfall of payee and owner, half each."""
    return create(rail, terms_of({rail.payee: 5_000, rail.owner: 5_000}))


def earn(rail: Any, waterfall: Any, *amounts: int) -> bytes:
    """Let the waterfall earn amounts in an agreement of its own; return the agreement."""
    [agreement] = rail.agreements(1, product=rail.plain.address, payee=waterfall.address)
    for sequence, amount in enumerate(amounts, 1):
        settle(rail, waterfall, agreement, sequence, amount)
    return agreement


def settle(rail: Any, waterfall: Any, agreement: bytes, sequence: int, amount: int) -> None:
    """Settle one payment or correction; a payment is released after its window."""
    claim = rail.claim(agreement, sequence, facts=plain_facts(amount))
    settlement = rail.settle(claim, product=rail.plain)
    assert set(settlement.named) == {"None"}
    if amount > 0:
        rail.wait(RELEASED)
        rail.rail.release(waterfall, [settlement.release_at], sender=rail.stranger)


def send(rail: Any, waterfall: Any, amount: int) -> None:
    """Send tokens to a waterfall, as anybody can."""
    rail.mint(amount, to=waterfall)
