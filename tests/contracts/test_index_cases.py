"""An Index product answers as its Python does: on random terms and facts, and on their edges.

amountOf
├── given random terms and facts, plausible ones, wide ones and bad ones
│   └── it should answer as the Python does, and every kind of answer is reached
├── given terms with any one number changed
│   └── it should be sound where Python takes them
price
└── given random periods of one agreement, in order, again, too late and overlapping
    └── it should answer and remember as the Python does
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from device_adapters.types import Rejected
from orchestrator.products.index.formula import amount_of
from orchestrator.products.index.pricing import NUMBERS, REFUSALS, judge
from orchestrator.products.index.tariff import (
    IndexFacts,
    IndexTerms,
    Metric,
    TariffCurve,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
)
from tests.support.contracts.index_claims import DAY, random_facts, random_terms
from tests.support.contracts.index_contract import IndexContract, mirrored

LIMIT = 2**47 - 1
SEED, CASES, AT_ONCE = 11, 20_000, 1_000
EURO = 1_000_000


@pytest.fixture(scope="module")
def index(deployed):
    return IndexContract(deployed, "UsagePremium")


def _expected(terms: IndexTerms, facts: bytes) -> tuple[int, int]:
    refusal = judge(terms, facts)
    if refusal:
        return 0, refusal
    return amount_of(terms, decode_facts(facts).metrics), 0


def _raw(facts: IndexFacts) -> bytes:
    try:
        return encode_facts(facts)
    except Rejected:
        return b""


@pytest.mark.long
def test_amount_of__random_terms_and_facts__as_the_python_says(index):
    chance, seen = random.Random(SEED), Counter()
    for _ in range(CASES // AT_ONCE):
        pairs = []
        while len(pairs) < AT_ONCE:
            terms = random_terms(chance)
            pairs += [(terms, _raw(random_facts(chance, terms))) for _ in range(5)]
        answers = index.amounts([encode_terms(t) for t, _ in pairs], [raw for _, raw in pairs])
        expected = [_expected(terms, raw) for terms, raw in pairs]
        assert answers == expected
        for (terms, _), (amount, refusal) in zip(pairs, expected, strict=True):
            kind = REFUSALS.get(refusal, "priced")
            if not refusal and amount in (terms.floor, terms.ceiling):
                kind = "floor" if amount == terms.floor else "ceiling"
            seen[kind] += 1
    print("\n", dict(seen))
    of_facts = {"FactsMalformed", "PeriodUnexpected", "MetricOutside", "CoverageShort"}
    assert seen.keys() == of_facts | {"SourcesShort", "priced", "floor", "ceiling"}


def test_terms__a_bit_of_any_number_changed__the_contract_takes_what_python_takes(index):
    chance = random.Random(SEED)
    changed = []
    for _ in range(60):
        terms = random_terms(chance)._replace(sources=0, coverage=0)
        raw = encode_terms(terms)
        names = sum(1 + len(metric.name) for metric in terms.metrics) + 2 + len(terms.about)
        for _ in range(20):
            at = chance.randrange(len(raw) - names)  # a text may be any
            bit = 1 << chance.randrange(8)
            changed.append(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
    malformed, taken = NUMBERS["FactsMalformed"], [_is_terms(raw) for raw in changed]
    judged = index.amounts(changed, [_facts_for(raw) for raw in changed])
    assert [refusal != malformed for _, refusal in judged] == taken
    assert 0 < sum(taken) < len(taken)


def _facts_for(terms: bytes) -> bytes:
    """Return facts with as many metrics as terms say, which only malformed terms refuse so."""
    return encode_facts(IndexFacts(5, 6, 10_000, 3, (0,) * min(terms[3], 6)))


def _is_terms(raw: bytes) -> bool:
    try:
        decode_terms(raw)
    except Rejected:
        return False
    return True


def test_price__periods_of_one_agreement__answers_and_remembers_as_the_python(index):
    chance, seen = random.Random(SEED), Counter()
    curve = TariffCurve(0, ((0, 0), (1_000, 50 * EURO)))
    terms = IndexTerms("policy:1", (Metric("m", 0, 1_000),), (curve,), 100 * EURO, DAY, 2 * DAY)
    raw = encode_terms(terms)
    for _ in range(40):
        agreement, claims = index.open(raw, index.since), []
        end = index.since
        for _ in range(25):
            begin = end + chance.choice((0, 0, 0, -1, 3 * DAY))
            period = (begin, begin + chance.randint(DAY, 2 * DAY))
            if chance.random() < 0.5:  # the last period again, or nearly
                period = (end - chance.randint(DAY, 2 * DAY), end - chance.choice((0, 0, 0, 1)))
            end = max(end, period[1])
            facts = IndexFacts(*period, 10_000, 0, (chance.randint(0, 1_000),))
            claims.append((encode_facts(facts), chance.choice((LIMIT, 20 * EURO))))
        expected, _ = mirrored(raw, claims, index.since, index.since + 40 * DAY)
        answers = index.answers(agreement, claims, until=index.since + 40 * DAY)
        assert answers == expected
        seen.update(
            REFUSALS.get(refusal, "priced" if amount >= 0 else "given back")
            for amount, refusal in expected
        )
    print("\n", dict(seen))
    assert {
        "priced",
        "given back",
        "PeriodUnexpected",
        "TimeAhead",
        "OverLimit",
    } <= seen.keys()
