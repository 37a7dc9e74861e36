"""MeteredFleet answers as its product folder says: the worked cases, and random claims.

price
├── given the worked cases of cases.json
│   └── it should answer with the written amount or refusal
├── given random claims, honest and mistaken ones, also behind counters that were passed over
│   └── it should answer and keep what the Python mirror does
└── given a head that was not active at the claim's end
    └── it should refuse by name and change nothing
open
├── given terms
│   └── it should keep the hash of their rows
└── given bytes that are no terms
    └── it should revert by name
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from web3 import Web3

from device_adapters.types import Rejected, device_id
from orchestrator.products.metered_fleet import product as fleet
from orchestrator.products.metered_fleet.abi import encode_rows
from orchestrator.products.metered_fleet.product import FleetFacts
from tests.support.contracts.contract_rail import DAY, DEVICE, HOUR
from tests.support.contracts.fleet_contract import (
    FLATS,
    FOR_EVER,
    LIMIT,
    FleetContract,
    kept_of,
    mirrored,
    period,
    random_claims,
    random_terms,
)

CASES = json.loads((Path(fleet.__file__).parent / "cases.json").read_text())
SEEDS = range(48)
CLAIMS = 80  # of a seed


@pytest.fixture(scope="module")
def meters(deployed):
    return FleetContract(deployed)


@pytest.mark.parametrize("case", CASES["prices"], ids=lambda case: case["case"])
def test_price__worked_case__amount_or_refusal_as_written(meters, case):
    terms, rows = fleet.parse_terms(case["terms"]), case["claims"]
    agreement = meters.open(terms)
    claims = [
        (fleet.encode_facts(FleetFacts(*row["facts"])), row.get("limit", LIMIT), FOR_EVER)
        for row in rows
    ]
    answers = meters.answers(agreement, claims)
    assert [(amount, fleet.REFUSALS.get(refusal, "")) for amount, refusal in answers] == [
        (row.get("amount", 0), row.get("refusal", "")) for row in rows
    ]
    assert sum(amount for amount, _ in answers) == case.get("total", sum(a for a, _ in answers))


def _random_run(seed: int, since: int) -> tuple[random.Random, bytes, int]:
    chance = random.Random(seed)
    terms = fleet.encode_terms(random_terms(chance, since))
    return chance, terms, chance.choice((0, since, since + 9_000))


@pytest.mark.parametrize("seed", SEEDS)
def test_price__random_claims__are_answered_as_the_mirror_does(meters, seed):
    chance, terms, start = _random_run(seed, meters.since)
    agreement, state = meters.open(terms, start), fleet.open(terms, start)
    if seed % 4 == 3:  # before the first claim
        meters.send("skipped", agreement)
        state = fleet.skip(state)
    claims = random_claims(chance, terms, state, CLAIMS)
    wanted = mirrored(terms, claims, state)
    assert meters.answers(agreement, claims) == wanted.answers
    if seed % 6:
        return
    meters.settle(agreement, claims)
    assert meters.kept(agreement) == kept_of(wanted.state)
    meters.send("skipped", agreement)
    skipped = fleet.skip(wanted.state)
    assert meters.kept(agreement) == kept_of(skipped)
    claims = random_claims(chance, terms, skipped, CLAIMS)
    assert meters.answers(agreement, claims) == mirrored(terms, claims, skipped).answers


def test_price__random_claims__meet_every_answer_but_the_devices(meters):
    """Otherwise the test above would compare nothing but refusals of one kind."""
    met: dict[int, int] = {}
    for seed in SEEDS:
        chance, terms, start = _random_run(seed, meters.since)
        state = fleet.open(terms, start)
        claims = random_claims(chance, terms, state, CLAIMS)
        for _, refusal in mirrored(terms, claims, state).answers:
            met[refusal] = met.get(refusal, 0) + 1
    assert set(met) == set(range(11)) and min(met.values()) > 20 and met[0] > 1_000, met


def test_price__head_not_active_at_the_end__is_refused_by_name(meters):
    contracts, wanted = meters.contracts, meters.terms(FLATS[0])
    terms = fleet.encode_terms(wanted)
    agreement = meters.open(terms)
    state = fleet.open(terms)
    contracts.wait(DAY)
    contracts.registry.suspend(DEVICE, sender=contracts.registrar)
    ended = contracts.now - meters.since
    claims = [
        (fleet.encode_facts(period(state, seconds, (1, 1_000, 0))), LIMIT, FOR_EVER)
        for seconds in (ended, ended - 1)
    ]
    assert meters.settle(agreement, claims, DEVICE) == [(0, "DeviceNotActive"), (300_000, "")]
    contracts.registry.resume(DEVICE, sender=contracts.registrar)


def _malformed_terms(meters: FleetContract) -> dict[str, bytes]:
    good = fleet.encode_terms(meters.terms(*FLATS[:2]))

    def with_(at: int, *values: int, raw: bytes = good) -> bytes:
        return raw[:at] + bytes(values) + raw[at + len(values) :]

    twice = good[:26] + 2 * good[26:58] + good[90:]
    crossed = good[:26] + good[58:90] + good[26:58] + good[90:]
    crowd = good[:24] + (2_001).to_bytes(2, "big")
    crowd += b"".join(n.to_bytes(32, "big") for n in range(1, 2_002)) + bytes(12 * 2_001)
    return {
        "nothing": b"",
        "a head cut off": good[:25],
        "no version": with_(0, 0),
        "no such assurance": with_(1, 3),
        "no fuse": with_(6, 0, 0, 0, 0),
        "a period below a minute": with_(10, 0, 0, 0, 59),
        "not said when registers were read": with_(14, 0, 0, 0, 0),
        "read in the future": with_(14, 255, 255, 255, 255),
        "no member": good[:24] + bytes(2),
        "more than 2,000 members": crowd,
        "a byte too many": good + b"\0",
        "a byte too few": good[:-1],
        "a member twice": twice,
        "members out of order": crossed,
    }


def test_open__bytes_that_are_no_terms__revert_by_name(meters):
    for name, raw in _malformed_terms(meters).items():
        assert meters.refusal("open", bytes(32), DEVICE, 0, raw) == "TermsMalformed", name
        if name != "read in the future":  # Python has no clock
            with pytest.raises(Rejected):
                fleet.decode_terms(raw)


@pytest.mark.parametrize(("seconds", "refusal"), [(0, ""), (1, "TermsMalformed")])
def test_open__registers_read_in_the_second_of_the_opening__is_the_latest(meters, seconds, refusal):
    terms = meters.terms(FLATS[0], started=meters.contracts.now + seconds)
    opening = bytes(32), DEVICE, 0, fleet.encode_terms(terms)
    assert meters.refusal("open", *opening) == refusal


def test_open__a_start_that_no_note_holds__reverts_by_name(meters):
    terms = fleet.encode_terms(meters.terms(FLATS[0]))
    assert meters.refusal("open", bytes(32), DEVICE, 2**32, terms) == "TermsMalformed"
    assert meters.refusal("open", bytes(32), DEVICE, 2**32 - 1, terms) == ""


def test_open__terms__keeps_the_hash_of_their_rows_and_shares_the_rest(meters):
    wanted = meters.terms(*FLATS[:3])
    raw = fleet.encode_terms(wanted)
    agreement = meters.open(raw, start=meters.since)
    note = 1 << 64 | meters.since << 32 | wanted.started
    assert meters.kept(agreement) == (Web3.keccak(encode_rows(wanted.rows)), note)
    assert fleet.hears(raw) == {device_id(name) for name in FLATS[:3]}


def test_claim__that_ends_before_the_agreement_begins__is_refused(meters):
    terms = fleet.encode_terms(meters.terms(FLATS[0]))
    start = meters.since + 2 * HOUR
    agreement, state = meters.open(terms, start), fleet.open(terms, start)
    claims = [
        (fleet.encode_facts(period(state, seconds, (1, 1_000, 0))), LIMIT, FOR_EVER)
        for seconds in (2 * HOUR - 1, 2 * HOUR)
    ]
    assert meters.settle(agreement, claims) == [(0, "PeriodUnexpected"), (300_000, "")]


def test_product__called_by_a_stranger__reverts_by_name(meters):
    contracts, terms = meters.contracts, fleet.encode_terms(meters.terms(FLATS[0]))
    for method, args in (
        (meters.product.open, (bytes(32), DEVICE, 0, terms)),
        (meters.product.price, ([], 0, b"")),
        (meters.product.refunded, (bytes(32), 1)),
        (meters.product.skipped, (bytes(32), 0)),
    ):
        assert contracts.refusal(method, *args, sender=contracts.payer) == "NotTheRail"
