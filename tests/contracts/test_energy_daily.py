"""The daily run of metered energy: a short way to the same answers, and terms in one word.

price
├── given a quote that names no device, since the device was active all the time
│   ├── it should answer and remember as it does for one that names the device
│   └── it should answer and remember as the Python mirror does
└── given a quote of a daily claim that names no device
    └── it should cost less gas than one that names it
open
├── given terms
│   └── it should answer the shared terms that the Python mirror makes of them
└── given terms with one price
    └── it should answer the same word with any start register
"""

from __future__ import annotations

import random

import pytest
from eth_abi import decode
from web3 import Web3

from device_adapters.types import Rejected
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.abi import shared_terms
from orchestrator.products.metered_energy.product import DatedPrice, EnergyTerms, TariffBand
from tests.support.contracts.contract_rail import DEVICE
from tests.support.contracts.energy_contract import EnergyContract
from tests.support.contracts.energy_runs import answers_met, one_price, random_run

RUNS, STEPS = 40, 90
STEADY = bytes(32)


@pytest.fixture(scope="module")
def energy_contract(deployed):
    return EnergyContract(deployed)


@pytest.fixture(scope="module")
def runs(energy_contract):
    """Agreements' terms, each with a run of claims; the same ones every time."""
    rows = []
    for seed in range(RUNS):
        chance, since = random.Random(seed), energy_contract.since
        wanted = one_price(chance, since)
        rows.append((energy.encode_terms(wanted), random_run(chance, wanted, since, STEPS)))
    return rows


def test_runs__at_random__are_daily_for_the_most_part_and_meet_every_answer(runs):
    """Otherwise the test below would compare nothing, or refusals of one kind."""
    claims = [step for _, run in runs for step in run if step.facts is not None]
    daily = [step for step in claims if step.daily and not step.answer[1]]
    assert len(claims) > 3_000 and len(daily) > 1_500
    assert answers_met([run for _, run in runs]) >= {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13}


def test_price__without_a_device__answers_and_remembers_as_with_it_and_as_the_mirror(
    energy_contract, runs
):
    """Two agreements of the same terms: one is asked about by the short way where it holds."""
    pairs = [(energy_contract.open(raw), energy_contract.open(raw)) for raw, _ in runs]
    bands = [energy.decode_terms(raw).band for raw, _ in runs]
    for row in zip(*(run for _, run in runs), strict=True):
        quotes, expected = [], []
        for step, pair in zip(row, pairs, strict=True):
            if step.facts is None:
                for agreement in pair:
                    energy_contract.send("skipped", agreement)
                continue
            for agreement, device in zip(pair, (STEADY, DEVICE), strict=True):
                asked = step.limit, step.late, step.until, *step.counters, step.facts
                quotes.append((agreement, device, *asked))
                expected.append(step.answer)
        assert energy_contract.asked(quotes) == expected
        energy_contract.send("price", quotes)
        for step, pair, band in zip(row, pairs, bands, strict=True):
            states = [tuple(energy_contract.product.stateOf(one, band)) for one in pair]
            assert states[0] == states[1]
            assert energy_contract.kept(pair[0]) == (step.bands, list(step.gaps))
            assert energy_contract.kept(pair[1])[1] == list(step.gaps)


def test_price__a_daily_claim_without_a_device__costs_less_than_by_the_long_way(energy_contract):
    """A long way that answers the same is no short one: what is left out must show."""
    terms, since = EnergyTerms(300_000, 22_000, True), energy_contract.since
    agreement = energy_contract.open(energy.encode_terms(terms))

    def quote(number: int, device: bytes, until: int) -> tuple:
        facts = energy.encode_facts(
            energy.EnergyFacts(
                number * 1_000,
                number * 1_000 + 1_000,
                1_000,
                since + number * 3_600,
                since + number * 3_600 + 3_600,
                register=0x0100_0108_00FF,
            )
        )
        return agreement, device, 10**6, False, until, number, number + 1, number + 1, facts

    until = since + 10**6
    used = [
        energy_contract.send("price", [quote(number, device, until)]).gas_used
        for number, device in enumerate((DEVICE, DEVICE, STEADY))
    ]
    assert used[2] < used[1] - 5_000


@pytest.mark.parametrize("seed", range(8))
def test_open__random_terms__answers_the_shared_terms_of_the_mirror(energy_contract, seed):
    chance, met = random.Random(seed), 0
    for number in range(25):
        wanted = _any_terms(chance)
        try:
            raw = energy.encode_terms(wanted)
        except Rejected:
            continue
        met += 1
        grace, shared, note = _opened(energy_contract, raw, seed << 16 | number)
        assert (grace, note) == (86_400, 0)
        assert shared == shared_terms(raw), wanted
    assert met > 10


def test_open__other_start_registers__answers_the_same_word(energy_contract):
    """What agreements have in common is one word, wherever their meters begin."""
    plain = EnergyTerms(300_000, 22_000, True)
    words = {
        _opened(energy_contract, energy.encode_terms(terms), number)[1]
        for number, terms in enumerate(
            (plain, plain._replace(start_register=5), plain._replace(started_at=9))
        )
    }
    assert len(words) == 1


def _any_terms(chance: random.Random) -> EnergyTerms:
    """Return terms of any bands and prices, most of them valid."""

    def prices() -> tuple[DatedPrice, ...]:
        dates = sorted(chance.sample(range(1, 2**32), chance.choice((0, 0, 1, 2))))
        return tuple(DatedPrice(date, chance.randrange(2**32)) for date in dates)

    bands = sorted(chance.sample(range(1, 256), chance.choice((0, 0, 1, 2, 3, 4))))
    more = tuple(
        TariffBand(number, chance.randrange(2**40), (DatedPrice(0, chance.randrange(2**32)),))
        for number in bands[1:]
    )
    return EnergyTerms(
        chance.choice((0, 1, 300_000, 2**32 - 1)),
        chance.choice((1, 22_000, 2**32 - 1)),
        bool(bands) or chance.random() < 0.5,
        chance.choice((0, 5_000_000)),
        chance.choice((0, 2**63, 2**64 - 1)),
        chance.random() < 0.5,
        chance.randrange(3),
        later_prices=prices(),
        band=bands[0] if bands else 0,
        more_bands=more,
    )


def _opened(energy_contract: EnergyContract, raw: bytes, number: int) -> tuple[int, int, int]:
    """Return what the contract itself answers to the rail: grace, shared terms, note."""
    product = energy_contract.product
    opening = number.to_bytes(32, "big"), DEVICE, energy_contract.since, raw
    data = Web3.to_hex(product.open.encode_input(*opening))
    call = {"from": energy_contract.rail.address, "to": product.address, "data": data}
    answer = energy_contract.contracts.node.rpc("eth_call", call, "latest")
    return decode(["uint32", "uint256", "uint80"], bytes.fromhex(answer[2:]))
