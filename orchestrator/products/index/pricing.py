"""The price of an Index claim exactly as the contract computes it, for previews and tests."""

from __future__ import annotations

from typing import NamedTuple

from device_adapters.types import Rejected
from orchestrator.products.index.formula import amount_of
from orchestrator.products.index.tariff import (
    FULL,
    IndexFacts,
    IndexTerms,
    decode_facts,
    decode_terms,
)

REFUSALS = {  # as in Index.refusalName
    1: "OverLimit",
    2: "FactsMalformed",
    3: "PeriodUnexpected",
    4: "TimeAhead",
    5: "MetricOutside",
    6: "CoverageShort",
    7: "SourcesShort",
    8: "DeviceNotActive",
    9: "SignatureInvalid",
    10: "PremiumUnpaid",  # of ParametricCover, which asks the chain; here premiums count as paid
}
NUMBERS = {name: number for number, name in REFUSALS.items()}
_FOR_EVER = (1 << 40) - 1


class IndexState(NamedTuple):
    """What the contract keeps: where the last period ended, and what it came to (None: no period).

    Before the first period, `end` is where the agreement began.
    """

    end: int
    amount: int | None = None
    refunded: int = 0


def open(terms: bytes, start: int = 0) -> IndexState:
    """Return the state of a new agreement; facts before `start` (Unix seconds) are refused."""
    decode_terms(terms)
    return IndexState(start)


def judge(terms: IndexTerms, raw: bytes) -> int:
    """Return the refusal that facts alone lead to; 0: none."""
    try:
        facts = decode_facts(raw)
    except Rejected:
        return NUMBERS["FactsMalformed"]
    if len(facts.metrics) != len(terms.metrics) or bool(facts.seal) != bool(terms.signer):
        return NUMBERS["FactsMalformed"]
    return refusal_of(terms, facts)


def refusal_of(terms: IndexTerms, facts: IndexFacts) -> int:
    """Return the refusal that facts of the right form alone lead to; 0: none."""
    assert facts.coverage <= FULL, "decoded facts"
    if not terms.shortest <= facts.end - facts.begin <= terms.longest:
        return NUMBERS["PeriodUnexpected"]
    pairs = zip(terms.metrics, facts.metrics, strict=True)
    if any(not metric.least <= value <= metric.most for metric, value in pairs):
        return NUMBERS["MetricOutside"]
    if facts.coverage < terms.coverage:
        return NUMBERS["CoverageShort"]
    return NUMBERS["SourcesShort"] if facts.sources < terms.sources else 0


def price(
    state: IndexState,
    terms: bytes,
    facts: bytes,
    limit: int,
    late: bool = False,
    until: int = _FOR_EVER,
) -> tuple[int, int]:
    """Return (amount, refusal): token minor units, and 0 or a key of REFUSALS."""
    agreed = decode_terms(terms)
    if refusal := judge(agreed, facts):
        return 0, refusal
    stated = decode_facts(facts)
    if stated.end > until:
        return 0, NUMBERS["TimeAhead"]
    amount = _due(state, stated, amount_of(agreed, stated.metrics))
    if amount is None:
        return 0, NUMBERS["PeriodUnexpected"]
    if amount > limit:
        return 0, NUMBERS["OverLimit"]
    return amount + _offset(state, amount), 0


def advance(state: IndexState, terms: bytes, facts: bytes, late: bool = False) -> IndexState:
    """Return the state after a claim that was priced."""
    stated = decode_facts(facts)
    amount = amount_of(decode_terms(terms), stated.metrics)
    offset = _offset(state, _due(state, stated, amount) or 0)
    return IndexState(stated.end, amount, state.refunded - offset)


def refund(state: IndexState, amount: int) -> IndexState:
    """Return the state after a dispute gave money back."""
    return state._replace(refunded=state.refunded + amount)


def skip(state: IndexState, terms: bytes) -> IndexState:
    """Return the state after payer and payee passed over a claim: the same."""
    return state


def _due(state: IndexState, facts: IndexFacts, amount: int) -> int | None:
    """Return what is still due for a period that comes to `amount`; None: it is out of order."""
    if facts.begin >= state.end:
        return amount
    if facts.end != state.end or state.amount is None:
        return None
    return amount - state.amount


def _offset(state: IndexState, amount: int) -> int:
    """Return the part of what is given back that a dispute gave back before."""
    return min(-amount, state.refunded) if amount < 0 else 0
