"""Reports whose device signature the contract checks: a quorum of oracles can invent no number.

price
├── given reports of all lengths of numbers, signed by the device
│   └── it should be priced, on a chain with the precompile
├── given any number that the device did not sign
│   └── it should refuse SignatureInvalid, also with the quorum's word for it
├── given another device's key, or another counter
│   └── it should refuse SignatureInvalid
└── given facts without their seal, or a seal where none is agreed
    └── it should refuse FactsMalformed
open
└── given terms that name another device than the agreement's
    └── it should revert
"""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from orchestrator.products import products
from orchestrator.products.index.seal import sealed_content
from orchestrator.products.index.tariff import (
    IndexFacts,
    IndexTerms,
    Metric,
    ReportSeal,
    TariffCurve,
    encode_facts,
    encode_terms,
)
from tests.support.contracts.contract_rail import DEVICE
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.index_contract import IndexContract

LIMIT = 2**47 - 1
REFUSALS = products()["usage_premium"].REFUSALS
NUMBERS = (0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**62, -1, -24, -25, -(2**40))
METRICS = tuple(Metric(f"metric {n} " + "x" * 9 * n, -(2**63), 2**63 - 1) for n in range(6))
CURVES = (TariffCurve(0, ((0, 1_000_000), (1_000, 2_000_000))),)
TERMS = IndexTerms("policy:1", METRICS, CURVES, 10**9, 1, 10**9, signer="EVSE-1")


@pytest.fixture(scope="module")
def index(deployed):
    return IndexContract(deployed, "UsagePremium")


def _signed(
    key: DeviceSigner, facts: IndexFacts, counter: int, terms: IndexTerms = TERMS
) -> IndexFacts:
    digest = sha256(sealed_content(terms, facts, counter)).digest()
    signature = b"".join(key.sign(digest))
    return facts._replace(seal=facts.seal._replace(signature=signature))


def _facts(index: IndexContract, chance: random.Random, metrics=METRICS) -> IndexFacts:
    begin = index.since + chance.randint(0, 10**6)
    values = tuple(chance.choice(NUMBERS) for _ in metrics)
    seal = ReportSeal(
        chance.choice(NUMBERS[:9]), chance.randint(1, 2**32 - 1), chance.randbytes(32), b""
    )
    end = begin + chance.randint(1, 10**6)
    coverage, sources = chance.choice((0, 9_999, 10_000)), chance.choice((0, 23, 24, 65_535))
    return IndexFacts(begin, end, coverage, sources, values, seal)


def _answers(index: IndexContract, terms: IndexTerms, facts: list[IndexFacts]) -> list[str]:
    """Return the name of the answer to each, as the first claim of an agreement of its own."""
    agreement = index.open(encode_terms(terms))
    answers = [index.answers(agreement, [(encode_facts(one), LIMIT)])[0] for one in facts]
    return [REFUSALS.get(refusal, "") for _, refusal in answers]


def test_price__signed_numbers_of_every_length__are_priced(index):
    chance, key = random.Random(5), index.contracts.key
    for count in range(1, 7):
        terms = TERMS._replace(metrics=METRICS[:count], about="s" * 40 * count)
        facts = [_signed(key, _facts(index, chance, METRICS[:count]), 1, terms) for _ in range(6)]
        assert _answers(index, terms, facts) == [""] * 6


def test_attack__a_quorum_that_invents_a_number__is_refused(index):
    chance, key = random.Random(6), index.contracts.key
    honest = _signed(key, _facts(index, chance), 1)
    seal = honest.seal
    forged = [
        honest._replace(begin=honest.begin + 1),
        honest._replace(end=honest.end + 1),
        honest._replace(coverage=honest.coverage ^ 1),
        honest._replace(sources=honest.sources ^ 1),
        honest._replace(seal=seal._replace(ordinal=seal.ordinal ^ 1)),
        honest._replace(seal=seal._replace(sealed_at=seal.sealed_at ^ 1)),
        honest._replace(seal=seal._replace(commitment=bytes(32))),
        *(
            honest._replace(metrics=(*honest.metrics[:n], 7, *honest.metrics[n + 1 :]))
            for n in range(6)
        ),
    ]
    assert _answers(index, TERMS, [honest]) == [""]
    assert _answers(index, TERMS, forged) == ["SignatureInvalid"] * len(forged)
    renamed = TERMS._replace(about="policy:2")
    assert _answers(index, renamed, [honest]) == ["SignatureInvalid"]


def test_price__another_key_or_counter__is_refused(index):
    chance, key = random.Random(7), index.contracts.key
    facts = _facts(index, chance)
    others = [
        _signed(DeviceSigner.p256(99), facts, 1),
        _signed(key, facts, 2),
    ]
    assert _answers(index, TERMS, others) == ["SignatureInvalid"] * 2


def test_price__a_seal_that_is_missing_or_not_agreed__is_malformed(index):
    chance, key = random.Random(8), index.contracts.key
    facts = _signed(key, _facts(index, chance), 1)
    assert _answers(index, TERMS, [facts._replace(seal=None)]) == ["FactsMalformed"]
    assert _answers(index, TERMS._replace(signer=""), [facts]) == ["FactsMalformed"]


def test_open__terms_that_name_another_device__revert(index):
    raw = encode_terms(TERMS._replace(signer="EVSE-2"))
    assert index.refusal("open", b"\7" * 32, DEVICE, 0, raw) == "TermsMalformed"
