"""Waterfalls of contract tests: created from Python's terms, and fed from a rail."""

from __future__ import annotations

from typing import Any

from orchestrator.core.waterfall import NOBODY, WaterfallTerms, checked

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
