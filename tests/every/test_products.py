"""Every product folder works out its own cases, and the folder and the contract have one name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from device_adapters.types import STREAM_BIT, Curve, Event, Rejected, Signed
from oracles import rules
from oracles.types import Agreement
from orchestrator import products as package
from orchestrator.products import products

ROOT = Path(package.__file__).parent
LIMIT = 2**48 - 1


def _cases(kind: str) -> list[Any]:
    return [
        pytest.param(product, case, id=f"{name}: {case['case']}")
        for name, product in products().items()
        for case in json.loads((ROOT / name / "cases.json").read_text())[kind]
    ]


def _terms(product: Any, case: dict[str, Any]) -> bytes:
    return product.encode_terms(
        type(product.decode_terms(b"\0" * 63 + b"\1" + b"\0" * 64))(**case["terms"])
    )


def _facts(product: Any, values: list[int]) -> bytes:
    kind = type(product.decode_facts(b"\0" * 160))
    return product.encode_facts(kind(*values))


def _claims(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from case.get("claims", ())
    if series := case.get("series"):
        register, at = series["start"]
        for index in range(series["count"]):
            low, high = (register + series["energy"] * n for n in (index, index + 1))
            begin, end = (at + series["seconds"] * n for n in (index, index + 1))
            yield {"facts": [low, high, series["energy"], begin, end]}


@pytest.mark.parametrize("name", products())
def test_product__by_its_folder__has_a_contract_and_a_readme(name):
    product = products()[name]
    assert product.NAME == name == (ROOT / name).name
    assert (ROOT / name / "README.md").read_text().startswith("# ")
    contract = ROOT.parents[1] / "contracts" / "products" / f"{product.CONTRACT}.sol"
    source = contract.read_text()
    assert f'return "{name}";' in source
    names = [product.REFUSALS[number] for number in sorted(product.REFUSALS)]
    assert names[0] == "OverLimit"
    positions = [source.index(f'"{refusal}"') for refusal in names]
    assert all(one < other for one, other in pairwise(positions))  # the contract's own order


@pytest.mark.parametrize("product, case", _cases("prices"))
def test_price__worked_case__amount_or_refusal_as_written(product, case):
    terms = _terms(product, case)
    state, total = product.open(terms), 0
    for claim in _claims(case):
        facts = _facts(product, claim["facts"])
        limit = claim.get("limit", LIMIT)
        amount, refusal = product.price(state, terms, facts, limit)
        if "amounts" in case:
            assert refusal == 0 and amount in case["amounts"]
        else:
            name = product.REFUSALS.get(refusal, "")
            assert (amount, name) == (claim.get("amount", 0), claim.get("refusal", "")), claim
        if not refusal:
            state, total = product.advance(state, facts), total + amount
    assert total == case.get("total", total)


@pytest.mark.parametrize("product, case", _cases("runs"))
def test_runs__worked_case__claims_drops_and_holes_as_written(product, case):
    terms, base = _terms(product, case), (1 << STREAM_BIT if case.get("stream") == "F" else 0)
    agreement = Agreement(b"\1" * 32, "M1", b"", product.NAME, terms, 0, 2**32 - 1, base)
    events = [_event(record, base) for record in case["records"]]
    lost = [(base + first, base + last) for first, last in case.get("lost", ())]
    claimed, anchor, state = base, None, product.open(terms)
    claims, dropped = [], {}
    for sequence in range(1, 100):
        found = rules.runs(agreement, product, claimed, anchor, events, lost)
        dropped |= {str(v.event.counter - base): v.doubt for v in found.dropped}
        if not found.run:
            break
        claim = rules.derive_claim(agreement, product, sequence, anchor, found.run)
        amount, refusal = product.price(state, terms, claim.facts, LIMIT)
        assert refusal == 0  # what is admitted is priced
        counters = [claim.first_counter - base, claim.last_counter - base]
        facts = list(product.decode_facts(claim.facts))
        claims.append({"counters": counters, "facts": facts, "amount": amount})
        state, anchor, claimed = (
            product.advance(state, claim.facts),
            found.run[-1],
            found.run[-1].counter,
        )
    assert claims == case["claims"]
    assert dropped == case.get("dropped", {})
    assert [[h.first - base, h.last - base] for h in found.holes] == case.get("holes", [])
    assert [event.counter - base for event in found.waiting] == case.get("waiting", [])


@pytest.mark.parametrize("product", products().values(), ids=products())
@pytest.mark.parametrize("raw", [b"", b"\xff" * 160, b"\xff" * 128, b"\0" * 159, b"\0" * 161])
def test_decode__bytes_that_are_no_facts_or_terms__only_the_declared_error(product, raw):
    for decode in (product.decode_facts, product.decode_terms):
        with pytest.raises(Rejected):
            decode(raw)


def _event(record: dict[str, Any], base: int) -> Event:
    readings = [
        {"mark": mark, "register": register, "at": at * 1000}
        for mark, register, at in record["readings"]
    ]
    evidence = json.dumps(record).encode()
    signed = Signed(evidence, b"", Curve.SECP256R1)
    return Event(
        "M1",
        base + record["counter"],
        readings[-1]["at"],
        "meter.reading",
        {"readings": readings},
        evidence,
        signed,
        not_billable=tuple(record.get("not_billable", ())),
    )
