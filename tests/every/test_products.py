"""Every product passes its own cases, and its folder and contract have one name.

cases.json of a product: {"prices": [...], "runs": [...]}. A run: "terms", "records" (as the
product's `case_event` takes them), counters declared "lost", and the expected result: "claims"
(counters, facts, amount where the product has a `price`), "dropped", "holes", "waiting". The
records of "late" come after all that. The agreement's device is "device", or the first record's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from device_adapters import registers
from device_adapters.types import STREAM_BIT, Event, Rejected, device_id
from oracles import rules
from oracles.citations import resolve
from oracles.hearing import heard_devices, hearing, with_heard
from oracles.types import Agreement, Claim
from orchestrator import products as package
from orchestrator.products import products
from scripts.solidity.sources import reached_sources

ROOT = Path(package.__file__).parent
LIMIT = 2**47 - 1
COUNTER = (1 << STREAM_BIT) - 1


def _read(name: str) -> dict[str, list[dict[str, Any]]]:
    """Return a product's cases.json; another test fails where it is missing."""
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
    """Return the type that `encode_terms` or `encode_facts` takes."""
    return next(hint for name, hint in get_type_hints(encode).items() if name != "return")


def _value(hint: Any, value: Any) -> Any:
    """Return a field of its type.

    Bytes are written in hex, or as the text whose id they are, and registers as OBIS codes.
    """
    if hint is int and isinstance(value, str):
        return registers.parse(value).number
    if hint is bytes and isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else device_id(value)
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _record(encode: Any, values: Mapping[str, Any] | list[Any]) -> Any:
    kind = _kind(encode)
    hints = get_type_hints(kind)
    named = values if isinstance(values, dict) else dict(zip(hints, values, strict=False))
    return kind(**{name: _value(hints[name], value) for name, value in named.items()})


def _terms(product: Any, case: Mapping[str, Any]) -> bytes:
    """Return the terms, written as a person types them or as fields of the product's record."""
    words = case["terms"]
    if set(words) <= {name for name, _ in product.TERMS}:
        return product.parse_terms(words)
    return product.encode_terms(_record(product.encode_terms, words))


def _claims(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from case.get("claims", ())
    if series := case.get("series"):
        register, at = series["start"]
        for index in range(series["count"]):
            low, high = (register + series["energy"] * n for n in (index, index + 1))
            begin, end = (at + series["seconds"] * n for n in (index, index + 1))
            facts = [low, high, series["energy"], begin, end, 0, series["register"]]
            yield {"facts": facts}


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
    reached = reached_sources(ROOT.parents[1], f"contracts/products/{contract.name}").values()
    answering = (
        "function refusalName(uint8 refusal) external pure"  # itself, or what it derives from
    )
    (source,) = [text for text in reached if answering in text]
    listed = source[source.index(answering) :]
    positions = [listed.index(f'"{refusal}"') for refusal in names]
    assert all(first < second for first, second in pairwise(positions))  # the contract's order


@pytest.mark.parametrize("product", products().values(), ids=products())
def test_product__its_cases__are_there_and_each_has_a_name_of_its_own(product):
    cases = _read(product.NAME)
    names = [case["case"] for kind in ("prices", "runs") for case in cases[kind]]
    assert cases["prices"] and cases["runs"] and len(set(names)) == len(names)


@pytest.mark.parametrize("product", products().values(), ids=products())
def test_terms__of_every_case__are_formatted_and_decoded_again(product):
    for case in _read(product.NAME)["runs"]:
        raw = _terms(product, case)
        assert product.encode_terms(product.decode_terms(raw)) == raw
        view = product.format_terms(raw)
        assert view and all(isinstance(text, str) and text for text in view.values())


@pytest.mark.parametrize("product", products().values(), ids=products())
@pytest.mark.parametrize("words", [{}, {"no such term": "1"}])
def test_terms__words_that_are_not_terms__are_rejected_by_name(product, words):
    with pytest.raises(Rejected) as refused:
        product.parse_terms(words)
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
    """One agreement and the claims that the rules derive from its records."""

    def __init__(self, product: Any, case: dict[str, Any]) -> None:
        self.product, self.terms = product, _terms(product, case)
        records = [product.case_event(record) for record in case["records"]]
        late = case.get("late", {}).get("records", ())
        self.late = [product.case_event(record) for record in late]
        self.device = case.get("device", records[0].device)
        self.events = [event for event in records if event.device == self.device]
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
        """Make the next claim, if there is one, and return the answer of the rules."""
        last = self.claims[-1].last_counter if self.claims else self.base
        anchor = next((e for e in self.events if self.claims and e.counter == last), None)
        answer = rules.runs(self.agreement, self.product, last, anchor, self.events, lost)
        self._claim(anchor, answer.run, late=False)
        return answer

    def next_late(self, gone: set[int]) -> rules.Runs:
        """Do the same for a run that claims have passed; `gone`: counters dropped before."""
        gone = gone | self.claimed
        events = [event for event in (*self.events, *self.late) if event.counter not in gone]
        ranges = [(claim.first_counter, claim.last_counter) for claim in self.claims]
        cited = resolve(events, self.all)
        answer = rules.late_run(self.agreement, self.product, events, ranges, cited)
        self._claim(None, answer.run, late=True)
        return answer

    def _claim(self, anchor: Event | None, run: tuple[Event, ...], late: bool) -> None:
        if run:
            sequence = len(self.claims) + 1
            devices = heard_devices(self.product, self.terms, self.agreement.device_id)
            span = hearing(self.agreement, self.product, anchor, run)
            cited = with_heard(run, resolve(run, self.all, devices), span, self.all)
            claim = rules.derive_claim(
                self.agreement, self.product, sequence, anchor, run, cited, late
            )
            self.claims.append(claim)
            self.claimed |= {event.counter for event in run}

    def amount(self, claim: Claim, late: bool) -> int:
        """Return the price of a claim, which is never refused after its records were admitted."""
        amount, refusal = self.product.price(self.state, self.terms, claim.facts, LIMIT, late)
        assert refusal == 0, self.product.REFUSALS[refusal]
        self.state = self.product.advance(self.state, self.terms, claim.facts, late)
        return amount

    def check(self, wanted: list[dict[str, Any]], claims: list[Claim], late: bool = False) -> None:
        counters = [[c.first_counter - self.base, c.last_counter - self.base] for c in claims]
        assert counters == [row["counters"] for row in wanted]
        for claim, row in zip(claims, wanted, strict=True):
            self._check_facts(claim, row["facts"])
            if self.state is not None:
                assert self.amount(claim, late) == row["amount"], row

    def _check_facts(self, claim: Claim, wanted: Mapping[str, Any] | list[Any]) -> None:
        facts, hints = (
            self.product.decode_facts(claim.facts),
            get_type_hints(_kind(self.product.encode_facts)),
        )
        if isinstance(wanted, list):
            wanted = dict(zip(hints, wanted, strict=False))
        values = {name: getattr(facts, name) for name in wanted}
        assert values == {name: _value(hints[name], value) for name, value in wanted.items()}
        assert all(
            isinstance(text, str) for text in self.product.format_facts(claim.facts).values()
        )


@pytest.mark.parametrize("product", products().values(), ids=products())
def test_hearing__of_any_product__names_its_devices_and_takes_no_late_claims(product):
    """A late run is judged without what it would hear, so that it could be another one."""
    if hasattr(product, "heard_period"):
        assert hasattr(product, "hears") and not product.LATE


@pytest.mark.parametrize("product, case", _cases("runs"))
def test_runs__worked_case__claims_drops_and_holes_as_written(product, case):
    story = ProductStory(product, case)
    lost = [(story.base + first, story.base + last) for first, last in case.get("lost", ())]
    dropped: dict[int, str] = {}
    while (answer := story.next(lost)).run:
        dropped |= {v.event.counter: v.reason for v in answer.dropped}
    dropped |= {v.event.counter: v.reason for v in answer.dropped}
    story.check(case.get("claims", []), story.claims)
    assert {str(n & COUNTER): doubt for n, doubt in dropped.items()} == case.get("dropped", {})
    holes = [[h.first - story.base, h.last - story.base] for h in answer.holes]
    assert holes == case.get("holes", [])
    assert [event.counter - story.base for event in answer.waiting] == case.get("waiting", [])
    if "late" in case:
        _check_late(story, case["late"], set(dropped))


def _check_late(story: ProductStory, late: dict[str, Any], gone: set[int]) -> None:
    before, dropped = len(story.claims), {}
    while (answer := story.next_late(gone)).run:
        dropped |= {v.event.counter: v.reason for v in answer.dropped}
    dropped |= {v.event.counter: v.reason for v in answer.dropped}
    story.check(late["claims"], story.claims[before:], late=True)
    assert {str(n & COUNTER): doubt for n, doubt in dropped.items()} == late.get("dropped", {})


@pytest.mark.parametrize("product", products().values(), ids=products())
@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff" * 160, b"\xff" * 128, b"\xff" * 192, b"\0" * 159, b"\0" * 193, b"\1" * 1024],
)
def test_decode__bytes_that_are_not_facts_or_terms__only_the_declared_error(product, raw):
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
            product.format_terms(changed)
        except Rejected:
            continue
