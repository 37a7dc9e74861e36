"""MeteredEnergy answers as its product folder says: the worked cases, and random claims.

price
├── given the worked cases of cases.json
│   └── it should answer with the written amount or refusal
├── given random claims, hostile and plausible ones
│   ├── it should answer and remember as the Python mirror does
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

from device_adapters import registers
from device_adapters.types import Rejected
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.product import (
    BandStep,
    DatedPrice,
    EnergyFacts,
    EnergyState,
    EnergyTerms,
    ReadingKind,
    TariffBand,
)
from tests.support.contracts.contract_rail import DAY, DEVICE
from tests.support.contracts.energy_claims import random_claims, random_terms
from tests.support.contracts.energy_contract import (
    FOR_EVER,
    LIMIT,
    EnergyContract,
    EnergyMirror,
    kept_bands,
    mirrored,
)

CASES = json.loads((Path(energy.__file__).parent / "cases.json").read_text())
IMPORT = registers.parse("1.8.0").number


@pytest.fixture(scope="module")
def energy_contract(deployed):
    return EnergyContract(deployed)


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
    assert answers == mirrored(terms, claims, energy_contract.since).answers
    if "amounts" in case:
        assert {amount for amount, _ in answers} <= set(case["amounts"])
        assert sum(amount for amount, _ in answers) == case["total"]
        return
    for row, (amount, refusal) in zip(rows, answers, strict=True):
        name = energy.REFUSALS.get(refusal, "")
        assert (amount, name) == (row.get("amount", 0), row.get("refusal", "")), row


@pytest.mark.parametrize("seed", range(40))
def test_price__random_claims__are_answered_as_the_mirror_does(energy_contract, seed):
    chance, since = random.Random(seed), energy_contract.since
    wanted = random_terms(chance, seed, since)
    terms = energy.encode_terms(wanted)
    until = since + 10**6 + 40_000 if seed % 5 == 0 else FOR_EVER
    claims = random_claims(chance, wanted, terms, since, until)
    mirror = mirrored(terms, claims, since, until)
    agreement = energy_contract.open(terms)
    assert energy_contract.answers(agreement, claims, until=until) == mirror.answers
    assert all(band.total >= 0 for state in mirror.states for band in state.bands)
    if seed % 4 in (0, 3):
        _assert_charged_by_the_register(wanted.price_per_kwh, energy.open(terms, since), mirror)
    if seed < 8:
        energy_contract.settle(agreement, claims, until=until)
        assert energy_contract.kept(agreement) == (kept_bands(mirror.states[-1]), mirror.gaps)


def _assert_charged_by_the_register(price: int, opened: EnergyState, mirror: EnergyMirror) -> None:
    """What was charged since a band began is its energy in whole units: rounded down once.

    It begins with the part of a unit that its register's energy leaves over.
    """
    (band,) = opened.bands
    charged, begun = 0, (0, 0, band.remainder)
    for (amount, _), state in zip(mirror.answers, mirror.states, strict=True):
        before, (band,) = band, state.bands
        charged += amount
        if band.claimed and not before.claimed:  # by this claim
            energy_mwh = band.total - before.total
            rest = (band.remainder - energy_mwh * price) % 1_000_000
            begun = charged - amount, before.total, rest
        exact = begun[2] + (band.total - begun[1]) * price
        assert charged == begun[0] + exact // 1_000_000 >= 0


def test_price__random_claims__meet_every_answer_but_the_devices(energy_contract):
    """Otherwise the test above would compare nothing but refusals of one kind."""
    met: set[tuple[int, bool]] = set()
    for seed in range(40):
        chance = random.Random(seed)
        wanted = EnergyTerms(300_000, 22_000, seed % 2 == 0, 0, 10_000_000 * (seed % 3))
        wanted = wanted._replace(export=seed % 4 == 3)
        terms = energy.encode_terms(wanted)
        since, until = energy_contract.since, energy_contract.since + 10**6 + 40_000
        claims = random_claims(chance, wanted, terms, since, until)
        answers = mirrored(terms, claims, since, until).answers
        met |= {(refusal, amount < 0) for amount, refusal in answers}
    assert {refusal for refusal, _ in met} >= {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13}
    assert (0, True) in met


def test_price__device_not_active_then__is_refused_by_name(energy_contract):
    terms = energy.encode_terms(EnergyTerms(300_000, 22_000))
    early = EnergyFacts(0, 1_000_000, 1_000_000, 1_000, 4_600, register=IMPORT)
    agreement = energy_contract.open(terms, start=1)
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


def _malformed_terms() -> dict[str, bytes]:
    good = energy.encode_terms(EnergyTerms(300_000, 22_000, True, rollover_at=5_000))
    dated = energy.encode_terms(
        EnergyTerms(1, 1, True, band=1, later_prices=(DatedPrice(9, 2), DatedPrice(10, 3)))
    )
    banded = energy.encode_terms(
        EnergyTerms(1, 1, True, band=1, more_bands=(TariffBand(2, 0, (DatedPrice(0, 2),)),))
    )

    def with_(raw: bytes, at: int, *values: int) -> bytes:
        return raw[:at] + bytes(values) + raw[at + len(values) :]

    return {
        "nothing": b"",
        "version 2": b"".join(n.to_bytes(32, "big") for n in (1, 1, 0, 0, 0, 0, 0)),
        "no version": with_(good, 0, 0),
        "continuous is no bool": with_(good, 1, 2),
        "export is no bool": with_(good, 2, 2),
        "no such assurance": with_(good, 3, 3),
        "no fuse": with_(good, 4, 0, 0, 0, 0),
        "start beyond the rollover": with_(good, 22, 0, 0, 0, 0, 0, 0, 0x13, 0x88),
        "no band": with_(good, 20, 0),
        "no price": with_(good[:-9], 21, 0),
        "a byte too many": good + b"\0",
        "a byte too few": good[:-1],
        "the first price is dated": with_(dated, 31, 0, 0, 0, 1),
        "prices out of order": with_(dated, 49, 0, 0, 0, 9),
        "a band for one that is not priced": with_(banded, 47, 1),
        "bands out of order": with_(with_(banded, 38, 2), 47, 1),
        "the total and its part": with_(banded, 38, 0),
        "bands of sessions": with_(banded, 1, 0),
        "read in the future": with_(good, 16, 255, 255, 255, 255),
    }


@pytest.mark.parametrize("name", _malformed_terms())
def test_open__bytes_that_are_no_terms__revert_by_name(energy_contract, name):
    raw = _malformed_terms()[name]
    assert energy_contract.refusal("open", bytes(32), DEVICE, 0, raw) == "TermsMalformed"
    if name not in ("read in the future", "version 2"):  # Python has no clock, and reads both
        with pytest.raises(Rejected):
            energy.decode_terms(raw)


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
    claims = [(still[:10] + code + still[16:], LIMIT, False) for code in codes]
    answers = energy_contract.answers(energy_contract.open(terms), claims)
    assert answers == mirrored(terms, claims, energy_contract.since).answers
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
        (energy_contract.product.open, (bytes(32), DEVICE, 0, terms)),
        (energy_contract.product.price, ([], 0, b"")),
        (energy_contract.product.refunded, (bytes(32), 1)),
        (energy_contract.product.skipped, (bytes(32), 0)),
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
    receipt = energy_contract.settle(
        agreement,
        [(energy_contract.at(row), LIMIT, row.kind == ReadingKind.LATE) for row in rows],
    )
    (cut,) = [log for log in receipt.events if log.event_name == "LateEnergyCut"]
    assert (bytes(cut.agreement), cut.energy, cut.charged) == (agreement, 1_000_000, 400_000)
    ((band,), _) = energy_contract.kept(agreement)
    assert (band.register, band.ahead) == (3_400_000, 0)


def test_late__energy_of_several_bands_cut__is_summed_in_the_event(energy_contract):
    """The event took the first band's energy less what all bands lost: 2^64 less 200 Wh."""
    prices = (DatedPrice(0, 200_000),)
    agreed = EnergyTerms(300_000, 22_000, True, band=1, more_bands=(TariffBand(2, 0, prices),))
    agreement = energy_contract.open(energy.encode_terms(agreed))

    def facts(first: int, last: int, begins: int, kind: ReadingKind = ReadingKind.ACTUAL) -> tuple:
        band = BandStep(IMPORT | 2 << 8, first, last, last - first)
        step = (first, last, last - first, begins, begins + 3_600, kind, IMPORT | 1 << 8)
        return EnergyFacts(*step, more_bands=(band,))

    rows = [facts(0, 1_000_000, 1_000), facts(1_000_000, 2_000_000, 9_000)]
    rows.append(facts(500_000, 700_000, 5_000, ReadingKind.LATE))
    receipt = energy_contract.settle(
        agreement,
        [(energy_contract.at(row), LIMIT, row.kind == ReadingKind.LATE) for row in rows],
    )
    (cut,) = [log for log in receipt.events if log.event_name == "LateEnergyCut"]
    assert (cut.energy, cut.charged) == (400_000, 0)
