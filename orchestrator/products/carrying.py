"""What a product carries from an agreement of a former contract into the one that follows it.

A product whose agreements can move has a module `carry` with a function of that name. It reads the
former contract, and returns the terms of the new agreement: with registers, counters and totals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class EndedAgreement:
    """An agreement of a former contract that takes no more claims.

    Attributes:
        agreement: Its id.
        terms: Its terms, as they were signed.
        opened_at: Unix seconds.
        payees: Those that its applied claims name, as far as the store knows.
        view: Reads the former product: (function, arguments) -> its answer.
    """

    agreement: bytes
    terms: bytes
    opened_at: int
    payees: Sequence[str]
    view: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Carried:
    """Terms of the agreement that follows; facts before `start` (Unix seconds) are refused."""

    terms: bytes
    start: int


@dataclass(frozen=True, slots=True)
class NotCarried:
    """Why an agreement stays where it is; `waits`: whether that can pass by itself."""

    why: str
    waits: bool = False


def carry(product: str, ended: EndedAgreement) -> Carried | NotCarried:
    """Return the terms of the agreement that follows an ended one of a product, by its name.

    Raises:
        Retry: The node does not answer.
        Rejected: FACTS_MALFORMED where the former terms cannot be read.
    """
    name = f"{__package__}.{product}.carry"
    if find_spec(name) is None:
        return NotCarried(f"agreements of {product} do not move")
    return import_module(name).carry(ended)
