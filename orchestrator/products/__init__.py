"""The payment products: one folder here, one contract of the same name on chain.

A product module implements `Product` below with plain functions. No file lists the products:
a folder with a `product.py` is a product, so a new one changes no other file.
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
    """What the rail needs from a product: the oracles' `ProductRules`, and text for people.

    Amounts are token minor units (6 decimals); facts and terms are ABI-encoded bytes on the wire
    and immutable records in memory. Malformed bytes raise `Rejected` (ClaimReason.FACTS_MALFORMED).
    A product whose prices change also has `format_price(terms, facts)`: the price that a claim
    counts at, as text. One whose contract answers shared terms at an opening (IProduct.open) also
    has `shared_terms(terms)`, which returns the same number.
    """

    NAME: str  # the name of the folder, also in the API
    CONTRACT: str  # the Solidity contract under contracts/products/
    REFUSALS: dict[int, str]  # name of each refusal of the contract; 1 is always OverLimit
    # (name, help) of each term that `agreement open --term name=value` takes
    TERMS: tuple[tuple[str, str], ...]

    def encode_terms(self, terms: Any) -> bytes:
        """Return the ABI encoding of the terms of an agreement."""

    def decode_terms(self, raw: bytes) -> Any:
        """Return the terms of an agreement; Rejected where its contract would not accept them."""

    def encode_facts(self, facts: Any) -> bytes:
        """Return the ABI encoding of the facts of a claim."""

    def decode_facts(self, raw: bytes) -> Any:
        """Return the facts of a claim; Rejected where the bytes are not facts of this product."""

    def parse_terms(self, words: Mapping[str, str]) -> bytes:
        """Return the encoded terms for what a person typed.

        Args:
            words: text by the name of the term (see TERMS).

        Raises:
            Rejected: FACTS_MALFORMED; the detail names the term that is wrong.
        """

    def format_terms(self, raw: bytes) -> dict[str, str]:
        """Return the terms as text with units, by label, in the order to show them."""

    def format_facts(self, raw: bytes) -> dict[str, str]:
        """Return the facts as text with units, by label, in the order to show them."""

    def payee(self, facts: bytes) -> str | None:
        """Return the payee in the claim (checksummed address), or None for the mandate's."""

    def proof_of_conflict(
        self, agreement: bytes, first: Event, second: Event
    ) -> tuple[str, tuple] | None:
        """Return the call that proves a conflict on chain, or None if the contract takes no proof.

        A conflict: a device signed two contents under one counter. Anyone may send the call.

        Returns:
            (function of the product's contract, its arguments).
        """

    def case_event(self, record: Mapping[str, Any]) -> Event:
        """Return a record of cases.json as an event with a made-up signature."""


@cache
def products() -> MappingProxyType[str, Product]:
    """Return every product by its name."""
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/product.py"))
    return MappingProxyType({folder: product(folder) for folder in folders})


def shared_terms(name: str, terms: bytes) -> int:
    """Return what the product's contract answers as shared terms at an opening (uint256)."""
    answer = getattr(product(name), "shared_terms", None)
    return answer(terms) if answer else 0


def refusal_text(name: str, reason: str) -> str:
    """Return why the contract refused a claim, with the name that the product gives its number.

    Args:
        name: The product.
        reason: As stored: `product_3` is a product's third refusal. Others stay as they are.
    """
    number = reason.removeprefix("product_")
    word = product(name).REFUSALS.get(int(number), "") if number.isdigit() else ""
    return f"{reason} ({word})" if word else reason


@cache
def product(name: str) -> Product:
    """Return the product of that name, which is its folder's, and import no other."""
    module = import_module(f"{__name__}.{name}.product")
    assert name == module.NAME, f"the folder of product {module.NAME} is called {name}"
    return module


def deployed(addresses: Mapping[str, str]) -> dict[str, tuple[str, Product]]:
    """Return (address of its contract, product) by name, for every product that is deployed.

    A version that another took the place of has its release in its name: `metered_energy@0.5.0`.
    The name alone is the present version.

    Args:
        addresses: Name of a contract -> its address (Deployment.addresses).
    """
    names = {product.CONTRACT: name for name, product in products().items()}
    return {
        f"{names[kind]}{at}{release}": (address, product(names[kind]))
        for kind, at, release, address in (
            (*contract.partition("@"), address) for contract, address in addresses.items()
        )
        if kind in names
    }


def of_address(addresses: Mapping[str, str]) -> dict[str, tuple[str, Product]]:
    """Return (product's name, product) by address in lower case, for every deployed version."""
    return {address.lower(): (rules.NAME, rules) for address, rules in deployed(addresses).values()}
