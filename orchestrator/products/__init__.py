"""The payment products, found by a scan: one folder here, one contract of the same name on chain.

A product module satisfies `Product` below with plain functions. Nothing lists the products by hand:
a folder with a `product.py` is a product, so a new one touches no other file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from device_adapters.types import Event
from oracles.types import ProductRules


class Product(ProductRules, Protocol):
    """What the rail needs of a product: the oracle's `ProductRules`, and words for people.

    Amounts are token minor units (6 decimals); facts and terms are ABI-encoded bytes on the wire
    and immutable records in memory. Malformed bytes raise `Rejected` with Doubt.FACTS_MALFORMED.
    """

    NAME: str  # as the folder and the API call it
    CONTRACT: str  # the Solidity contract under contracts/products/
    REFUSALS: dict[int, str]  # the contract's own refusals by number; 1 is always OverLimit
    # the terms as a person gives them: (name, help); `agreement open --term name=value`
    TERMS: tuple[tuple[str, str], ...]

    def encode_terms(self, terms: Any) -> bytes: ...
    def decode_terms(self, raw: bytes) -> Any: ...
    def encode_facts(self, facts: Any) -> bytes: ...
    def decode_facts(self, raw: bytes) -> Any: ...

    def parse_terms(self, words: Mapping[str, str]) -> bytes:
        """Terms from what a person typed. Rejected (FACTS_MALFORMED), naming the word, if not."""

    def format_terms(self, raw: bytes) -> dict[str, str]:
        """The terms as a person reads them: label -> text with its unit, in order."""

    def format_facts(self, raw: bytes) -> dict[str, str]:
        """The facts as a person reads them: label -> text with its unit, in order."""

    def payee(self, facts: bytes) -> str | None:
        """Who is paid, where the claim says it (checksummed address); None: the mandate's payee."""

    def proof_of_conflict(
        self, agreement: bytes, first: Event, second: Event
    ) -> tuple[str, tuple] | None:
        """(function of the product's contract, arguments) by which anyone may prove on chain that a
        device signed two contents under one counter; None where the contract takes no such proof.
        """

    def case_event(self, record: Mapping[str, Any]) -> Event:
        """An event of a record in cases.json; its signature is not a real one."""


@cache
def products() -> MappingProxyType[str, Product]:
    """Every product by its name."""
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/product.py"))
    modules = [import_module(f"{__name__}.{folder}.product") for folder in folders]
    return MappingProxyType({module.NAME: module for module in modules})


def deployed(addresses: Mapping[str, str]) -> dict[str, tuple[str, Product]]:
    """name -> (address of its contract, the product), for every product that is deployed."""
    return {
        name: (addresses[product.CONTRACT], product)
        for name, product in products().items()
        if product.CONTRACT in addresses
    }
