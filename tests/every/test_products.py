"""Every product folder works out its own cases, and the folder and the contract have one name.

cases.json of a product: {"prices": [...], "runs": [...]}. A run: "terms", "records" (as the
product's `case_event` takes them), counters declared "lost", and what must come of it: "claims"
(counters, facts, amount where the product has a `price`), "dropped", "holes", "waiting". The
records of "late" come when all that is done. The agreement's device is "device", or the first
record's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from device_adapters.types import STREAM_BIT, Event, Rejected, device_id
from oracles import rules
from oracles.citations import resolve
from oracles.types import Agreement, Claim
from orchestrator import products as package
from orchestrator.products import products

ROOT = Path(package.__file__).parent
LIMIT = 2**47 - 1
COUNTER = (1 << STREAM_BIT) - 1


def _read(name: str) -> dict[str, list[dict[str, Any]]]:
    """A product's cases.json; a test of its own says where there is none."""
    path = ROOT / name / "cases.json"
    return json.loads(path.read_text()) if path.exists() else {"prices": [], "runs": []}


def _cases(kind: str) -> list[Any]:
    return [
        pytest.param(product, case, id=f"{name}: {case['case']}")
        for name, product in products().items()
        for case in _read(name)[kind]
        if kind == "runs" or hasattr(product, "price")
    ]


def _kind(encode: Any) -> type:
    """The record that `encode_terms` or `encode_facts` takes."""
    return next(hint for name, hint in get_type_hints(encode).items() if name != "return")


def _value(hint: Any, value: Any) -> Any:
    """A field as its record wants it: bytes stand in hex, or as the text whose id they are."""
    if hint is bytes and isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else device_id(value)
    return tuple(value) if isinstance(value, list) else value


def _record(encode: Any, values: Mapping[str, Any] | list[Any]) -> Any:
    kind = _kind(encode)
    hints = get_type_hints(kind)
    named = values if isinstance(values, dict) else dict(zip(hints, values, strict=False))
    return kind(**{name: _value(hints[name], value) for name, value in named.items()})


def _terms(product: Any, case: Mapping[str, Any]) -> bytes:
    """The terms as a person's words, or as the fields of the product's own record."""
    words = case["terms"]
    if set(words) <= {name for name, _ in product.TERMS}:
        return product.read_terms(words)
    return product.encode_terms(_record(product.encode_terms, words))


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
    listed = source[source.index("function refusalName") :]
    positions = [listed.index(f'"{refusal}"') for refusal in names]
    assert all(one < other for one, other in pairwise(positions))  # the contract's own order


@pytest.mark.parametrize("product", products().values(), ids=products())
def test_product__its_cases__are_there_and_each_has_a_name_of_its_own(product):
    cases = _read(product.NAME)
    names = [case["case"] for kind in ("prices", "runs") for case in cases[kind]]
    assert cases["prices"] and cases["runs"] and len(set(names)) == len(names)


@pytest.mark.parametrize("product", products().values(), ids=products())
def test_terms__of_every_case__are_told_in_words_and_read_back(product):
    for case in _read(product.NAME)["runs"]:
        raw = _terms(product, case)
        assert product.encode_terms(product.decode_terms(raw)) == raw
        told = product.tell_terms(raw)
        assert told and all(isinstance(text, str) and text for text in told.values())


@pytest.mark.parametrize("product", products().values(), ids=products())
@pytest.mark.parametrize("words", [{}, {"no such term": "1"}])
def test_terms__words_that_are_none__are_rejected_by_name(product, words):
    with pytest.raises(Rejected) as refused:
        product.read_terms(words)
    assert refused.value.reason == "facts_malformed"
    assert all(word in refused.value.detail for word in words)


@pytest.mark.parametrize("product, case", _cases("prices"))
def test_price__worked_case__amount_or_refusal_as_written(product, case):
    terms = _terms(product, case)
    state, total = product.open(terms), 0
    for claim in _claims(case):
        facts = product.encode_facts(_record(product.encode_facts, claim["facts"]))
        limit, late = claim.get("limit", LIMIT), claim.get("late", False)
        amount, refusal = product.price(state, terms, facts, limit, late)
        if "amounts" in case:
            assert refusal == 0 and amount in case["amounts"]
        else:
            name = product.REFUSALS.get(refusal, "")
            assert (amount, name) == (claim.get("amount", 0), claim.get("refusal", "")), claim
        if not refusal:
            state, total = product.advance(state, terms, facts, late), total + amount
    assert total == case.get("total", total)


class ProductStory:
    """One agreement and what the rules make of its records, claim after claim."""

    def __init__(self, product: Any, case: dict[str, Any]) -> None:
        self.product, self.terms = product, _terms(product, case)
        records = [product.case_event(one) for one in case["records"]]
        self.late = [product.case_event(one) for one in case.get("late", {}).get("records", ())]
        self.device = case.get("device", records[0].device)
        self.events = [one for one in records if one.device == self.device]
        self.all = [*records, *self.late]
        self.base = 1 << STREAM_BIT if case.get("stream") == "F" else 0
        self.agreement = Agreement(
            b"\1" * 32,
            self.device,
            device_id(self.device),
            product.NAME,
            self.terms,
            0,
            2**32 - 1,
            self.base,
            subject=product.subject(self.terms),
        )
        self.state = product.open(self.terms) if hasattr(product, "price") else None
        self.claims: list[Claim] = []
        self.claimed: set[int] = set()

    def next(self, lost: list[tuple[int, int]]) -> rules.Runs:
        """One more claim, if there is one; and what the rules said."""
        last = self.claims[-1].last_counter if self.claims else self.base
        anchor = next((one for one in self.events if self.claims and one.counter == last), None)
        found = rules.runs(self.agreement, self.product, last, anchor, self.events, lost)
        self._claim(anchor, found.run, late=False)
        return found

    def next_late(self, gone: set[int]) -> rules.Runs:
        """The same for a run that claims have passed by; `gone`: dropped before."""
        gone = gone | self.claimed
        events = [one for one in (*self.events, *self.late) if one.counter not in gone]
        ranges = [(claim.first_counter, claim.last_counter) for claim in self.claims]
        cited = resolve(events, self.all)
        found = rules.late_run(self.agreement, self.product, events, ranges, cited)
        self._claim(None, found.run, late=True)
        return found

    def _claim(self, anchor: Event | None, run: tuple[Event, ...], late: bool) -> None:
        if run:
            sequence = len(self.claims) + 1
            claim = rules.derive_claim(
                self.agreement, self.product, sequence, anchor, run, resolve(run, self.all), late
            )
            self.claims.append(claim)
            self.claimed |= {event.counter for event in run}

    def amount(self, claim: Claim, late: bool) -> int:
        """What is admitted is priced: never refused."""
        amount, refusal = self.product.price(self.state, self.terms, claim.facts, LIMIT, late)
        assert refusal == 0, self.product.REFUSALS[refusal]
        self.state = self.product.advance(self.state, self.terms, claim.facts, late)
        return amount

    def check(self, wanted: list[dict[str, Any]], claims: list[Claim], late: bool = False) -> None:
        counters = [[c.first_counter - self.base, c.last_counter - self.base] for c in claims]
        assert counters == [one["counters"] for one in wanted]
        for claim, one in zip(claims, wanted, strict=True):
            self._check_facts(claim, one["facts"])
            if self.state is not None:
                assert self.amount(claim, late) == one["amount"], one

    def _check_facts(self, claim: Claim, wanted: Mapping[str, Any] | list[Any]) -> None:
        facts, hints = (
            self.product.decode_facts(claim.facts),
            get_type_hints(_kind(self.product.encode_facts)),
        )
        if isinstance(wanted, list):
            wanted = dict(zip(hints, wanted, strict=True))
        told = {name: getattr(facts, name) for name in wanted}
        assert told == {name: _value(hints[name], value) for name, value in wanted.items()}
        assert all(isinstance(text, str) for text in self.product.tell_facts(claim.facts).values())


@pytest.mark.parametrize("product, case", _cases("runs"))
def test_runs__worked_case__claims_drops_and_holes_as_written(product, case):
    story = ProductStory(product, case)
    lost = [(story.base + first, story.base + last) for first, last in case.get("lost", ())]
    dropped: dict[int, str] = {}
    while (found := story.next(lost)).run:
        dropped |= {v.event.counter: v.reason for v in found.dropped}
    dropped |= {v.event.counter: v.reason for v in found.dropped}
    story.check(case.get("claims", []), story.claims)
    assert {str(n & COUNTER): doubt for n, doubt in dropped.items()} == case.get("dropped", {})
    holes = [[h.first - story.base, h.last - story.base] for h in found.holes]
    assert holes == case.get("holes", [])
    assert [event.counter - story.base for event in found.waiting] == case.get("waiting", [])
    if "late" in case:
        _check_late(story, case["late"], set(dropped))


def _check_late(story: ProductStory, late: dict[str, Any], gone: set[int]) -> None:
    before, dropped = len(story.claims), {}
    while (found := story.next_late(gone)).run:
        dropped |= {v.event.counter: v.reason for v in found.dropped}
    dropped |= {v.event.counter: v.reason for v in found.dropped}
    story.check(late["claims"], story.claims[before:], late=True)
    assert {str(n & COUNTER): doubt for n, doubt in dropped.items()} == late.get("dropped", {})


@pytest.mark.parametrize("product", products().values(), ids=products())
@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff" * 160, b"\xff" * 128, b"\xff" * 192, b"\0" * 159, b"\0" * 193, b"\1" * 1024],
)
def test_decode__bytes_that_are_no_facts_or_terms__only_the_declared_error(product, raw):
    for decode in (product.decode_facts, product.decode_terms):
        with pytest.raises(Rejected):
            decode(raw)


@pytest.mark.parametrize("product", products().values(), ids=products())
def test_decode__terms_with_any_byte_changed__are_terms_or_rejected(product):
    raw = _terms(product, _read(product.NAME)["runs"][0])
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 0x81]) + raw[at + 1 :]
        try:
            product.decode_terms(changed)
            product.tell_terms(changed)
        except Rejected:
            continue
