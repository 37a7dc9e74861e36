"""MeteredEnergy answers as its product folder says: the worked cases, and random claims.

price
├── given the worked cases of cases.json
│   └── it should answer with the written amount or refusal
├── given random claims, hostile and plausible ones
│   ├── it should answer as the Python mirror does
│   └── it should never have given back more than it charged
├── given a device that was not active at the time of the last reading
│   └── it should refuse by name and change nothing
└── given bytes that are no facts
    └── it should refuse by name
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from eth_abi import decode
from eth_utils import to_checksum_address
from web3 import Web3

from device_adapters import registers
from device_adapters.types import Rejected
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.product import EnergyFacts, EnergyTerms, ReadingKind
from tests.support.contracts.contract_rail import DAY, DEVICE
from tests.support.contracts.settled import NOBODY

CASES = json.loads((Path(energy.__file__).parent / "cases.json").read_text())
LIMIT = 2**47 - 1
# by whether the terms charge export
_CODES = {False: ("1.8.0", "01-00:98.08.00*00", "01-01:B1.08.00*FF"), True: ("2.8.0", "C1.8.0")}
_SESSION_CODES = {False: ("B2.8.0", "B3.8.0"), True: ("C2.8.0", "C3.8.0")}
IMPORT = registers.parse("1.8.0").number
MOST = 2**48 - 1


class EnergyContract:
    """MeteredEnergy with a test account as its rail; claims of one agreement in one call."""

    def __init__(self, contracts) -> None:
        self.contracts, self.rail = contracts, contracts.stranger
        self.product = contracts.deploy("MeteredEnergy", self.rail, contracts.registry)
        self.since = contracts.now  # the device is active from its enrolment on
        self.opened = 0

    def open(self, terms: bytes) -> bytes:
        self.opened += 1
        agreement = self.opened.to_bytes(32, "big")
        self.product.open(agreement, DEVICE, terms, sender=self.rail)
        return agreement

    def answers(self, agreement: bytes, claims: list[tuple], device=DEVICE) -> list[tuple]:
        """Return (amount, refusal) of claims (facts, limit, late) in order; keep nothing."""
        quotes = [(agreement, device, limit, late, facts) for facts, limit, late in claims]
        call = {
            "from": self.rail.address,
            "to": self.product.address,
            "gas": hex(16_777_216),
            "data": Web3.to_hex(self.product.price.encode_input(quotes)),
        }
        answer = self.contracts.node.answer("eth_call", call, "latest")
        rows = decode(["(int48,uint8,address)[]"], bytes.fromhex(answer["result"][2:]))[0]
        assert {to_checksum_address(payee) for _, _, payee in rows} <= {NOBODY}
        return [(amount, refusal) for amount, refusal, _ in rows]

    def at(self, facts: EnergyFacts) -> bytes:
        """Encode facts at a time when the device is active: the cases count from zero."""
        begin, end = (time + self.since for time in (facts.from_time, facts.to_time))
        return energy.encode_facts(facts._replace(from_time=begin, to_time=end))


@pytest.fixture(scope="module")
def energy_contract(deployed):
    return EnergyContract(deployed)


def _mirrored(terms: bytes, claims: list[tuple]) -> tuple[list[tuple], list[energy.EnergyState]]:
    """Return what the Python mirror answers, and its states."""
    state, answers, states = energy.open(terms), [], []
    for facts, limit, late in claims:
        amount, refusal = energy.price(state, terms, facts, limit, late)
        answers.append((amount, refusal))
        if not refusal:
            state = energy.advance(state, terms, facts, late)
        states.append(state)
    return answers, states


def _facts(row: list) -> EnergyFacts:
    """Return the facts of a case, which writes the register as an OBIS code."""
    return EnergyFacts(*row[:-1], registers.parse(row[-1]).number)


@pytest.mark.parametrize("case", CASES["prices"], ids=lambda case: case["case"])
def test_price__worked_case__amount_or_refusal_as_written(energy_contract, case):
    terms = energy.encode_terms(EnergyTerms(**case["terms"]))
    agreement = energy_contract.open(terms)
    rows = list(case.get("claims", ()))
    if series := case.get("series"):
        (register, at), step = series["start"], series["energy"]
        rows = [
            {
                "facts": [
                    register + step * n,
                    register + step * (n + 1),
                    step,
                    at + series["seconds"] * n,
                    at + series["seconds"] * (n + 1),
                    0,
                    series["register"],
                ]
            }
            for n in range(series["count"])
        ]
    claims = [
        (
            energy_contract.at(_facts(row["facts"])),
            row.get("limit", LIMIT),
            row.get("late", False),
        )
        for row in rows
    ]
    answers = energy_contract.answers(agreement, claims)
    assert answers == _mirrored(terms, claims)[0]
    if "amounts" in case:
        assert {amount for amount, _ in answers} <= set(case["amounts"])
        assert sum(amount for amount, _ in answers) == case["total"]
        return
    for row, (amount, refusal) in zip(rows, answers, strict=True):
        name = energy.REFUSALS.get(refusal, "")
        assert (amount, name) == (row.get("amount", 0), row.get("refusal", "")), row


@pytest.mark.parametrize("seed", range(40))
def test_price__random_claims__are_answered_as_the_mirror_does(energy_contract, seed):
    chance = random.Random(seed)
    wanted = EnergyTerms(
        chance.choice((0, 1, 300_000, 2**64 - 1 if seed == 7 else 10**7)),
        chance.choice((1, 3_600, 22_000, 2**32 - 1)),
        chance.random() < 0.5,
        chance.choice((0, 5_000_000)),
        chance.choice((0, 0, 10_000_000)),
        seed % 4 == 3,
        chance.randrange(3),
    )
    terms = energy.encode_terms(wanted)
    claims = _random_claims(chance, wanted, terms, energy_contract.since)
    answers, states = _mirrored(terms, claims)
    assert energy_contract.answers(energy_contract.open(terms), claims) == answers
    assert all(state.total >= 0 for state in states)
    paid = 0
    for (amount, _), state in zip(answers, states, strict=True):
        paid += amount
        assert paid == state.total * wanted.price_per_kwh // 1_000_000 >= 0


def test_price__random_claims__meet_every_answer_but_the_devices(energy_contract):
    """Otherwise the test above would compare nothing but refusals of one kind."""
    met: set[tuple[int, bool]] = set()
    for seed in range(40):
        chance = random.Random(seed)
        wanted = EnergyTerms(300_000, 22_000, seed % 2 == 0, 0, 10_000_000 * (seed % 3))
        wanted = wanted._replace(export=seed % 4 == 3)
        terms = energy.encode_terms(wanted)
        claims = _random_claims(chance, wanted, terms, energy_contract.since)
        met |= {(refusal, amount < 0) for amount, refusal in _mirrored(terms, claims)[0]}
    assert {refusal for refusal, _ in met} >= {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11}
    assert (0, True) in met


def _random_claims(chance, wanted: EnergyTerms, terms: bytes, since: int) -> list[tuple]:
    """Sixty claims: most go on from where the last one ended, many of them a little wrong."""
    state, claims = energy.open(terms), []
    for _ in range(60):
        late = chance.random() < 0.2
        facts = _plausible(chance, wanted, state, since, late)
        if chance.random() < 0.4:
            facts = _wrong(chance, facts)
        limit = chance.choice((LIMIT, LIMIT, LIMIT, MOST, 1_000))
        try:
            raw = energy.encode_facts(facts)
        except Rejected:
            raw = bytes(chance.choice((0, 192, 223, 225)))
        claims.append((raw, limit, late if chance.random() < 0.95 else not late))
        _, refusal = energy.price(state, terms, *claims[-1])
        if not refusal:
            state = energy.advance(state, terms, raw, claims[-1][2])
    return claims


def _plausible(chance, wanted: EnergyTerms, state, since: int, late: bool) -> EnergyFacts:
    end = wanted.rollover_at or 2**62
    gap = 0 if wanted.continuous or late else chance.choice((0, 0, 700_000))
    since += 10**6  # so that a little wrong is not before the device's time
    start = (state.register + gap) % end
    begin = max(state.time, since) + (0 if wanted.continuous else gap // 1_000)
    rise, seconds = chance.choice((0, 1, 333, 250_000, 1_000_000)), chance.choice((0, 60, 3_600))
    kind = chance.choice(
        (ReadingKind.ACTUAL, ReadingKind.ACTUAL, ReadingKind.ESTIMATED, ReadingKind.EXCHANGED)
    )
    to, charged = (start + rise) % end, rise
    if late:
        kind, begin = ReadingKind.LATE, max(since, state.time - seconds)
        start, to = 0, rise
    elif kind is ReadingKind.EXCHANGED:
        to = chance.randrange(1_000)
    if wanted.continuous:
        charged -= state.ahead
    code = chance.choice(_CODES[wanted.export])
    if not wanted.continuous and chance.random() < 0.3:
        code = chance.choice(_SESSION_CODES[wanted.export])
        start = chance.choice((0, 0, start))
        to, kind = (start + rise) % end, ReadingKind.LATE if late else kind
    number = registers.parse(code).number
    return EnergyFacts(start, to, charged, begin, begin + seconds, kind, number)


def _wrong(chance, facts: EnergyFacts) -> EnergyFacts:
    name = chance.choice(facts._fields)
    value = getattr(facts, name)
    if name == "kind":
        return facts._replace(kind=chance.choice((0, 1, 2, 3, 4, 255)))
    if name == "register":
        return facts._replace(register=value ^ 1 << chance.randrange(48))
    change = chance.choice((-1, 1, -100_000, 100_000, 2**40, 2**63))
    return facts._replace(**{name: value + change})


def test_price__device_not_active_then__is_refused_by_name(energy_contract):
    terms = energy.encode_terms(EnergyTerms(300_000, 22_000))
    agreement = energy_contract.open(terms)
    early = EnergyFacts(0, 1_000_000, 1_000_000, 1_000, 4_600, register=IMPORT)
    rows = [(energy.encode_facts(early), LIMIT, False), (energy_contract.at(early), LIMIT, False)]
    assert [
        energy.REFUSALS.get(row[1], "") for row in energy_contract.answers(agreement, rows)
    ] == [
        "DeviceNotActive",
        "",
    ]
    (unknown,) = energy_contract.answers(agreement, rows[1:], device=b"\7" * 32)
    assert energy.REFUSALS[unknown[1]] == "DeviceNotActive"


def test_price__key_suspended__claims_up_to_then_are_priced_and_later_ones_refused(energy_contract):
    """Attack: key used after revocation. The contract itself asks the registry."""
    contracts = energy_contract.contracts
    terms = energy.encode_terms(EnergyTerms(300_000, 22_000))
    agreement = energy_contract.open(terms)
    contracts.wait(DAY)
    contracts.registry.revoke(DEVICE, sender=contracts.registrar)
    ended = contracts.now
    before = EnergyFacts(0, 1_000_000, 1_000_000, ended - 3_601, ended - 1, register=IMPORT)
    after = before._replace(from_time=ended - 3_600, to_time=ended)
    rows = [(energy.encode_facts(facts), LIMIT, False) for facts in (after, before)]
    answers = energy_contract.answers(agreement, rows)
    assert [energy.REFUSALS.get(refusal, "") for _, refusal in answers] == ["DeviceNotActive", ""]


@pytest.mark.parametrize("raw", [b"", bytes(160), bytes(224), b"\xff" * 224, bytes(223)], ids=len)
def test_open__bytes_that_are_no_terms__revert_by_name(energy_contract, raw):
    contracts = energy_contract.contracts
    refusal = contracts.refusal(
        energy_contract.product.open, bytes(32), DEVICE, raw, sender=energy_contract.rail
    )
    assert refusal == "TermsMalformed"


def test_open__a_start_beyond_the_rollover__reverts_by_name(energy_contract):
    words = [300_000, 22_000, 0, 5_000, 5_000, 0, 0]
    raw = b"".join(word.to_bytes(32, "big") for word in words)
    refusal = energy_contract.contracts.refusal(
        energy_contract.product.open, bytes(32), DEVICE, raw, sender=energy_contract.rail
    )
    assert refusal == "TermsMalformed"


@pytest.mark.parametrize("word", [(5, 2), (6, 3)], ids=["export is no bool", "no such assurance"])
def test_open__a_word_of_version_2_out_of_range__reverts_by_name(energy_contract, word):
    words = [300_000, 22_000, 0, 0, 0, 0, 0]
    words[word[0]] = word[1]
    raw = b"".join(word.to_bytes(32, "big") for word in words)
    refusal = energy_contract.contracts.refusal(
        energy_contract.product.open, bytes(32), DEVICE, raw, sender=energy_contract.rail
    )
    assert refusal == "TermsMalformed"


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("export", [False, True])
def test_price__any_register__is_taken_only_in_the_direction_of_the_terms(
    energy_contract, export, continuous
):
    """The contract and `device_adapters.registers` agree on every group C, and on D, E, A and F."""
    terms = energy.encode_terms(EnergyTerms(300_000, 22_000, continuous, export=export))
    codes = [bytes([1, 0, counts, 8, 0, 0xFF]) for counts in range(256)]
    usual = 2 if export else 1
    codes += [bytes([1, 0, usual, 8, 0, last]) for last in range(256)]
    codes += [bytes([first, 0, usual, 8, 0, 0xFF]) for first in range(256)]
    codes += [bytes([1, 0, usual, *pair, 0xFF]) for pair in ((7, 0), (9, 0), (8, 1), (0, 8))]
    still = energy_contract.at(EnergyFacts(0, 0, 0, 1_000, 1_000, register=IMPORT))
    codes.insert(0, bytes(6))  # none is named
    claims = [(still[:-6] + code, LIMIT, False) for code in codes]
    answers = energy_contract.answers(energy_contract.open(terms), claims)
    assert answers == _mirrored(terms, claims)[0]
    taken = [code for code, (_, refusal) in zip(codes, answers, strict=True) if not refusal]
    wanted = registers.Direction.EXPORT if export else registers.Direction.IMPORT
    assert taken == [
        code
        for code in codes
        if (item := registers.Register(code)).direction is wanted
        and not (continuous and item.per_session)
    ]
    names = {energy.REFUSALS.get(refusal, "") for _, refusal in answers}
    assert names == {"", "RegisterNotAgreed"}


def test_product__called_by_a_stranger__reverts_by_name(energy_contract):
    contracts, terms = energy_contract.contracts, energy.encode_terms(EnergyTerms(1, 1))
    for method, args in (
        (energy_contract.product.open, (bytes(32), DEVICE, terms)),
        (energy_contract.product.price, ([],)),
    ):
        assert contracts.refusal(method, *args, sender=contracts.payer) == "NotTheRail"


def test_late__energy_cut__is_reported_in_an_event(energy_contract):
    terms = energy.encode_terms(EnergyTerms(300_000, 22_000))
    agreement = energy_contract.open(terms)
    rows = [
        EnergyFacts(1_000_000, 2_000_000, 1_000_000, 1_000, 4_600, 0, IMPORT),
        EnergyFacts(2_400_000, 3_400_000, 1_000_000, 9_000, 12_600, 0, IMPORT),
        EnergyFacts(2_000_000, 3_000_000, 1_000_000, 5_000, 8_600, ReadingKind.LATE, IMPORT),
    ]
    quotes = [
        (agreement, DEVICE, LIMIT, row.kind == ReadingKind.LATE, energy_contract.at(row))
        for row in rows
    ]
    receipt = energy_contract.product.price(quotes, sender=energy_contract.rail)
    (cut,) = [log for log in receipt.events if log.event_name == "LateEnergyCut"]
    assert (bytes(cut.agreement), cut.energy, cut.charged) == (agreement, 1_000_000, 400_000)
    register, total, _, ahead, _ = energy_contract.product.stateOf(agreement)
    assert (register, total, ahead) == (3_400_000, 2_400_000, 0)
