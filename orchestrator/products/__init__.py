"""The payment products, found by a scan: one folder here, one contract of the same name on chain.

A product module satisfies `Product` below with plain functions. Nothing lists the products by hand:
a folder with a `product.py` is a product, so a new one touches no other file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from device_adapters.types import Event
from oracles.types import Doubt


class Product(Protocol):
    """What the rail needs of a product: the oracle's `Terms`, and the price as the contract has it.

    Amounts are token minor units (6 decimals); facts and terms are ABI-encoded bytes on the wire
    and immutable records in memory. Malformed bytes raise `Rejected` with Doubt.FACTS_MALFORMED.
    """

    NAME: str  # as the folder and the API call it
    CONTRACT: str  # the Solidity contract under contracts/products/
    REFUSALS: dict[int, str]  # the contract's own refusals by number; 1 is always over_limit

    def encode_terms(self, terms: Any) -> bytes: ...
    def decode_terms(self, raw: bytes) -> Any: ...
    def encode_facts(self, facts: Any) -> bytes: ...
    def decode_facts(self, raw: bytes) -> Any: ...

    def admit(
        self, terms: bytes, previous: Event | None, event: Event
    ) -> tuple[Doubt, str] | None: ...
    def complete(self, terms: bytes, anchor: Event | None, events: Sequence[Event]) -> int: ...
    def derive(self, terms: bytes, anchor: Event | None, events: Sequence[Event]) -> bytes: ...

    def open(self, terms: bytes) -> Any:
        """The state of a new agreement, as the contract remembers it."""

    def price(self, state: Any, terms: bytes, facts: bytes, limit: int) -> tuple[int, int]:
        """(amount, refusal) of one claim, as the contract answers; one of the two is 0."""

    def advance(self, state: Any, facts: bytes) -> Any:
        """The state after a claim that was priced."""


@cache
def products() -> MappingProxyType[str, Product]:
    """Every product by its name."""
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/product.py"))
    modules = [import_module(f"{__name__}.{folder}.product") for folder in folders]
    return MappingProxyType({module.NAME: module for module in modules})
