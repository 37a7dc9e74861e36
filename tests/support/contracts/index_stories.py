"""Random agreements of an Index product, sound or not, with claims, and what Python says of both.

A story is one agreement: terms, then periods in order, stated again, early, overlapping or bad.
`sources/IndexStories.sol` lets a contract live through many of them in one call.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from device_adapters.types import Rejected
from orchestrator.products.index import pricing
from orchestrator.products.index.pricing import NUMBERS, REFUSALS, judge
from orchestrator.products.index.seal import sealed_content
from orchestrator.products.index.tariff import (
    IndexFacts,
    IndexTerms,
    ReportSeal,
    TariffCurve,
    decode_facts,
    decode_terms,
    encode_facts,
    encode_terms,
    tariff_of,
)
from tests.support.contracts.contract_rail import DEVICE
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.index_claims import DAY, random_facts, random_terms

LIMIT, FOR_EVER = 2**47 - 1, 2**40 - 1
SIGNER = "EVSE-1"  # whose id is DEVICE
MOST_CLAIMS = 16
_HEAD, _BOUNDS, _CURVE, _KNOT = 3 + 32, 16, 3, 14  # bytes of encoded terms
_CURVES, _CEILING = 3 + 1, 3 + 26  # where their number and the ceiling stand
_QUOTE = struct.Struct(">42x6s5s5s5sBH5sH")
_DEVICE_FLAG = 2


class StoryClaim(NamedTuple):
    """A claim: what was refunded before it, its bounds, and whether its device is named."""

    refund: int
    limit: int
    until: int
    named: bool
    counter: int
    facts: bytes
    genuine: bool  # a signature, where terms ask for one


@dataclass(frozen=True)
class Story:
    """An agreement. fault: how its terms were spoilt; "" where they were not."""

    start: int
    terms: bytes
    fault: str
    claims: tuple[StoryClaim, ...]

    def encoded(self) -> bytes:
        """Return what IndexStories reads."""
        head = struct.pack(">IH", self.start, len(self.terms)) + self.terms
        claims = b"".join(map(_encoded_claim, self.claims))
        return head + bytes([len(self.claims)]) + claims


class StoryAnswers(NamedTuple):
    """What Python says of a story: whether it opens, and (amount, refusal) of each claim."""

    opens: bool
    answers: tuple[tuple[int, int], ...]


def random_story(chance: random.Random, key: DeviceSigner, since: int) -> Story:
    """Return an agreement that begins around `since`, when its device was enrolled."""
    terms = random_terms(chance)._replace(assurance=chance.randint(0, 2))
    if chance.random() < 0.06:
        terms = terms._replace(signer=SIGNER)
    raw, fault = encode_terms(terms), ""
    if chance.random() < 0.3:
        raw, fault = _spoilt(chance, terms, raw)
    start = since + chance.randint(-60 * DAY, 20 * DAY)
    claims = tuple(_random_claims(chance, key, terms, start))
    return Story(start, raw, fault, claims)


def expected_answers(story: Story, since: int) -> StoryAnswers:
    """Return what Python says of a story."""
    try:
        terms = decode_terms(story.terms)
    except Rejected:
        return StoryAnswers(False, ())
    state, answers = pricing.open(story.terms, story.start), []
    for claim in story.claims:
        state = pricing.refund(state, claim.refund)
        amount, refusal = _answer(state, terms, story.terms, claim, since)
        answers.append((amount, refusal))
        if not refusal:
            state = pricing.advance(state, story.terms, claim.facts)
    return StoryAnswers(True, tuple(answers))


def read_answers(raw: bytes, stories: Sequence[Story]) -> list[StoryAnswers]:
    """Return what the contract answered to each story."""
    at, found = 0, []
    for story in stories:
        opens, at = raw[at] == 1, at + 1
        rows = [raw[at + 7 * n : at + 7 * n + 7] for n in range(len(story.claims) if opens else 0)]
        at += 7 * len(rows)
        found.append(StoryAnswers(opens, tuple((_amount(row[:6]), row[6]) for row in rows)))
    assert at == len(raw), "answers that no story asked for"
    return found


def counted(story: Story, said: StoryAnswers) -> Iterator[str]:
    """Yield a name for each thing that a story reached."""
    if not said.opens:
        yield f"opening refused: {story.fault}"
        return
    yield "opening taken"
    terms = decode_terms(story.terms)
    for amount, refusal in said.answers:
        yield REFUSALS.get(refusal, "priced")
        if not refusal and terms.signer:
            yield "priced: signed by the device"
        if not refusal and amount < 0:
            yield "priced: given back"
        if not refusal and amount in (terms.floor, terms.ceiling):
            yield f"priced: at the {'floor' if amount == terms.floor else 'ceiling'}"


FAULTS = (
    "monotony",
    "overflow of a factor",
    "overflow of the ceiling",
    "overflow of many curves",
    "knots",
    "a bit changed",
    "an early end",
)
# a cover's alone, which asks for a proof on chain first: tests/contracts/test_cover_premium.py
ELSEWHERE = "PremiumUnpaid"
REACHED = frozenset(  # what a run has to reach
    {"opening taken", "priced", *(set(REFUSALS.values()) - {ELSEWHERE})}
    | {f"opening refused: {fault}" for fault in FAULTS}
    | {f"priced: {how}" for how in ("given back", "at the floor", "at the ceiling")}
    | {"priced: signed by the device"}
)


def missing(seen: Counter[str]) -> list[str]:
    """Return what a run did not reach."""
    return sorted(name for name in REACHED if not seen[name])


def _answer(
    state: pricing.IndexState, terms: IndexTerms, raw: bytes, claim: StoryClaim, since: int
) -> tuple[int, int]:
    early = judge(terms, claim.facts)
    if not early and decode_facts(claim.facts).end <= claim.until:
        if claim.named and decode_facts(claim.facts).end < since:
            return 0, NUMBERS["DeviceNotActive"]
        if terms.signer and not claim.genuine:
            return 0, NUMBERS["SignatureInvalid"]
    return pricing.price(state, raw, claim.facts, claim.limit, until=claim.until)


def _random_claims(
    chance: random.Random, key: DeviceSigner, terms: IndexTerms, start: int
) -> Iterator[StoryClaim]:
    end, counter, named = start, 0, bool(terms.signer) or chance.random() < 0.3
    for _ in range(chance.randint(1, MOST_CLAIMS)):
        counter += chance.randint(1, 300)
        facts = random_facts(chance, terms)
        length = facts.end - facts.begin
        begin = end + chance.choice((0, 0, 0, 0, 0, -1, 3 * DAY))
        if chance.random() < 0.35:  # the last period again, or nearly
            begin = end - length - chance.choice((0, 0, 0, 0, 0, 1))
        facts = facts._replace(begin=begin, end=begin + length)
        if length >= terms.shortest:
            end = max(end, facts.end)
        genuine = not terms.signer or chance.random() < 0.8
        if terms.signer:
            facts = _sealed(chance, key, terms, facts, counter if genuine else counter + 1)
        raw = _written(facts)
        if chance.random() < 0.01:
            raw = chance.choice((b"", raw[:-1], raw + b"\0", raw[:4] + raw[:4] + raw[8:]))
        until = chance.choice((FOR_EVER,) * 12 + (facts.end, facts.end - 1))
        limit = LIMIT if chance.random() < 0.9 else chance.randint(0, 10_000_000)
        refund = chance.randint(1, 5_000_000) if chance.random() < 0.05 else 0
        yield StoryClaim(refund, limit, until, named, counter, raw, genuine)


def _sealed(
    chance: random.Random, key: DeviceSigner, terms: IndexTerms, facts: IndexFacts, counter: int
) -> IndexFacts:
    seal = ReportSeal(chance.randrange(1 << 32), facts.end, chance.randbytes(32), bytes(64))
    facts = facts._replace(seal=seal)
    signature = b"".join(key.sign(sha256(sealed_content(terms, facts, counter)).digest()))
    return facts._replace(seal=seal._replace(signature=signature))


def _written(facts: IndexFacts) -> bytes:
    try:
        return encode_facts(facts)
    except Rejected:
        return b""


def _spoilt(chance: random.Random, terms: IndexTerms, raw: bytes) -> tuple[bytes, str]:
    """Return terms that ask for a refusal, and how; terms that cannot be spoilt so, as they are."""
    fault = chance.choice(FAULTS)
    if fault == "a bit changed":
        if terms.signer:
            return raw, ""
        texts = sum(1 + len(metric.name) for metric in terms.metrics) + 2 + len(terms.about)
        at = chance.randrange(len(raw) - texts)  # a text may be any
        return _with(raw, at, bytes([raw[at] ^ 1 << chance.randrange(8)])), fault
    if fault == "an early end":
        tariff = tariff_of(raw)
        length = chance.choice((len(tariff) - 1 - len(terms.about), chance.randrange(len(tariff))))
        return raw[:1] + length.to_bytes(2, "big") + raw[3 : 3 + length] + raw[
            3 + len(tariff) :
        ], fault
    if fault == "overflow of the ceiling":
        return _with(
            raw, _CEILING, chance.randint(1 << 44, (1 << 48) - 1).to_bytes(6, "big")
        ), fault
    if fault == "overflow of many curves":
        return _with(raw, _CURVES, bytes([chance.randint(9, 255)])), fault
    chosen = [n for n, curve in enumerate(terms.curves) if _can_have(fault, curve)]
    if not chosen:
        return raw, ""
    number = chance.choice(chosen)
    curve = terms.curves[number]
    if fault == "overflow of a factor":
        place = chance.randrange(len(curve.knots))
        y = chance.choice((1_000_001, chance.randint(1_000_001, 2**47 - 1), -1))
        return _with(raw, _knot_at(terms, number, place) + 8, _money(y)), fault
    place = chance.randrange(1, len(curve.knots))
    (x0, y0), (_, _) = curve.knots[place - 1 : place + 1]
    if fault == "knots":
        x = max(-(1 << 63), x0 - chance.choice((0, 1)))
        return _with(raw, _knot_at(terms, number, place), struct.pack(">q", x)), fault
    y = y0 - 1 if curve.rises else y0 + 1
    return _with(raw, _knot_at(terms, number, place) + 8, _money(y)), fault


def _can_have(fault: str, curve: TariffCurve) -> bool:
    if fault == "overflow of a factor":
        return curve.factor
    if fault == "knots":
        return len(curve.knots) > 1
    within = all(-(1 << 46) < y < 1 << 46 for _, y in curve.knots)
    return len(curve.knots) > 1 and (curve.rises or curve.falls) and within


def _knot_at(terms: IndexTerms, curve: int, knot: int) -> int:
    at = _HEAD + _BOUNDS * len(terms.metrics)
    at += sum(_CURVE + _KNOT * len(before.knots) for before in terms.curves[:curve])
    return at + _CURVE + _KNOT * knot


def _with(raw: bytes, at: int, part: bytes) -> bytes:
    return raw[:at] + part + raw[at + len(part) :]


def _money(value: int) -> bytes:
    return value.to_bytes(6, "big", signed=value < 0)


def _amount(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


def _encoded_claim(claim: StoryClaim) -> bytes:
    counters = [number.to_bytes(5, "big") for number in (claim.counter - 1, claim.counter)]
    quote = _QUOTE.pack(
        claim.limit.to_bytes(6, "big"),
        counters[0],
        counters[1],
        counters[1],
        _DEVICE_FLAG if claim.named else 0,
        0,
        claim.until.to_bytes(5, "big"),
        len(claim.facts),
    )
    device = bytes(DEVICE) if claim.named else b""
    return claim.refund.to_bytes(6, "big") + quote + device + claim.facts
