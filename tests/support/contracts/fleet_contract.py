"""MeteredFleet with a test double as its rail, next to its Python mirror."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_abi import decode
from web3 import Web3

from device_adapters import registers
from device_adapters.types import device_id
from orchestrator.products.metered_fleet import product as fleet
from orchestrator.products.metered_fleet.abi import MOST_AGE, encode_rows, minutes_between
from orchestrator.products.metered_fleet.product import (
    FleetFacts,
    FleetKind,
    FleetMember,
    FleetRow,
    FleetState,
    FleetStep,
    FleetTerms,
)
from tests.support.contracts.contract_rail import DEVICE, HOUR
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.onchain import MinedReceipt

LIMIT = 2**47 - 1
FOR_EVER = 2**40 - 1
FLATS = sorted((f"flat-{number}" for number in range(1, 13)), key=device_id)
FOREIGN = "a flat of another owner"
IMPORT = registers.parse("1.8.0").number
STEADY = bytes(32)  # the device of a quote whose device was active all the time
FleetClaim = tuple[bytes, int, int]  # facts, limit, until


class FleetMirror(NamedTuple):
    """What the Python mirror answers: (amount, refusal) of each claim, and the state at the end."""

    answers: list[tuple[int, int]]
    state: FleetState


def mirrored(terms: bytes, claims: Sequence[FleetClaim], state: FleetState) -> FleetMirror:
    """Price claims in order, from a state on."""
    answers = []
    for facts, limit, until in claims:
        answer = fleet.price(state, terms, facts, limit, until=until)
        answers.append(answer)
        if not answer[1]:
            state = fleet.advance(state, terms, facts)
    return FleetMirror(answers, state)


def members(*names: str, counter: int = 10, register: int = 5_000) -> tuple[FleetMember, ...]:
    """Return members in order of their ids, each with the same row."""
    return tuple(FleetMember(key, counter, register) for key in sorted(map(device_id, names)))


class FleetContract:
    """The contract; claims of one agreement in one call. All of FLATS have the head's owner."""

    def __init__(self, contracts: Any) -> None:
        self.contracts, self.rail = contracts, contracts.deploy("NotingRail", False)
        self.product = contracts.deploy("MeteredFleet", self.rail, contracts.registry)
        for index, name in enumerate((*FLATS, FOREIGN)):
            owner = contracts.stranger if name == FOREIGN else contracts.owner
            contracts.enrol(device_id(name), DeviceSigner.p256(7_000 + index), owner)
        self.since = contracts.now
        self.count = 0

    def terms(self, *names: str, **changes: Any) -> FleetTerms:
        """Return terms that began at `since`: 0.30 EUR/kWh, an hour, a fuse of 22 kW."""
        plain = FleetTerms(300_000, 22_000, HOUR, self.since, IMPORT, 0, members(*names))
        return plain._replace(**changes)

    def open(self, terms: bytes, start: int = 0) -> bytes:
        self.count += 1
        agreement = self.count.to_bytes(32, "big")
        self.send("open", agreement, DEVICE, start, terms)
        return agreement

    def send(self, function: str, *arguments: Any) -> MinedReceipt:
        """Let the rail call the product for good."""
        method = self.rail.method(function)
        return method(self.product, *arguments, sender=self.contracts.stranger)

    def refusal(self, function: str, *arguments: Any) -> str:
        """Return the custom error that a call of the rail ends in; send nothing."""
        method, sender = self.rail.method(function), self.contracts.stranger
        return self.contracts.refusal(method, self.product, *arguments, sender=sender)

    def answers(
        self, agreement: bytes, claims: Sequence[FleetClaim], device: bytes = STEADY
    ) -> list[tuple[int, int]]:
        """Return (amount, refusal) of claims in order; keep nothing."""
        call = {
            "to": self.rail.address,
            "gas": hex(60_000_000),
            "data": Web3.to_hex(
                self.rail.price.encode_input(self.product, _quotes(agreement, claims, device))
            ),
        }
        answer = self.contracts.node.answer("eth_call", call, "latest")
        rows = decode(["(int48,uint8,address)[]"], bytes.fromhex(answer["result"][2:]))[0]
        return [(amount, refusal) for amount, refusal, _ in rows]

    def settle(
        self, agreement: bytes, claims: Sequence[FleetClaim], device: bytes = STEADY
    ) -> list[tuple[int, str]]:
        """Price claims for good; return their amounts and the names of their refusals."""
        answers = self.answers(agreement, claims, device)
        self.send("price", _quotes(agreement, claims, device))
        return [(amount, fleet.REFUSALS.get(number, "")) for amount, number in answers]

    def kept(self, agreement: bytes) -> tuple[bytes, int]:
        """Return the hash of the rows, and the note."""
        note, _ = self.rail.noteOf(agreement)
        return bytes(self.product.rowsOf(agreement)), note


def kept_of(state: FleetState) -> tuple[bytes, int]:
    """Return what the contract keeps of a state behind its first claim."""
    note = state.passed_over << 65 | state.remainder << 32 | state.time
    return Web3.keccak(encode_rows(state.rows)), note


def period(state: FleetState, seconds: int, *steps: tuple[int, int, int]) -> FleetFacts:
    """Return honest facts that follow a state; steps as `FleetStep`, silent ones left out."""
    kind = FleetKind.READ if state.passed_over else FleetKind.CHARGED
    end = state.time + seconds
    given = [FleetStep(*step) for step in steps]
    silent = [silent_step(state, row, end) for row in state.rows[len(given) :]]
    return FleetFacts(kind, state.time, end, state.rows, (*given, *silent))


def silent_step(state: FleetState, row: FleetRow, end: int) -> FleetStep:
    """Return the step of a member that was not read until a time."""
    return FleetStep(0, 0, min(row.age + minutes_between(state.time, end), MOST_AGE))


def random_terms(chance: random.Random, since: int) -> FleetTerms:
    """Return terms of some members with rows of any size."""
    aged = chance.random() < 0.5
    names = chance.sample(FLATS, chance.randrange(1, len(FLATS) + 1))
    rows = (
        FleetMember(
            device,
            2**31 - 40
            if chance.random() < 0.03
            else chance.choice((0, 7, chance.randrange(2**31))),
            2**39 - 9 if chance.random() < 0.03 else chance.choice((0, chance.randrange(2**38))),
            chance.choice((0, 0, 0, 1, 90, MOST_AGE)) if aged else 0,
        )
        for device in sorted(map(device_id, names))
    )
    return FleetTerms(
        chance.choice((0, 1, 7, 300_000, 333_333, 2**32 - 1)),
        chance.choice((1, 3_600, 22_000, 2**32 - 1)),
        chance.choice((60, 61, 900, 86_400)),
        since - chance.choice((0, 1, 3_599)),
        IMPORT,
        chance.randrange(3),
        tuple(rows),
    )


def random_claims(
    chance: random.Random, terms: bytes, state: FleetState, count: int
) -> list[FleetClaim]:
    """Return claims that follow each other, most of them honest, some a little wrong.

    In half of the runs all members are read at the claim's end, but for mistakes.
    """
    agreed, claims = fleet.decode_terms(terms), []
    plain = chance.random() < 0.5
    for _ in range(count):
        facts = _next(chance, agreed, state, plain)
        raw = _mistaken_bytes(chance, fleet.encode_facts(facts))
        limit = chance.choice((LIMIT, LIMIT, LIMIT, LIMIT, 10**6, 0))
        until = chance.choice((FOR_EVER, FOR_EVER, facts.to_time, facts.to_time - 1))
        if chance.random() < 0.8:
            limit, until = LIMIT, FOR_EVER
        claims.append((raw, limit, until))
        if not fleet.price(state, terms, raw, limit, until=until)[1]:
            state = fleet.advance(state, terms, raw)
    return claims


def _next(chance: random.Random, agreed: FleetTerms, state: FleetState, plain: bool) -> FleetFacts:
    end = max(state.time + agreed.period, state.start) + chance.choice((0, 0, 1, 59, 7_200))
    if end >= 2**32:
        end = state.time
    elapsed = minutes_between(state.time, end)
    kind = FleetKind.READ if state.passed_over else FleetKind.CHARGED
    steps = [_step(chance, agreed, row, elapsed, plain) for row in state.rows]
    if plain and chance.random() < 0.2:  # one of them at an edge
        place = chance.randrange(len(steps))
        steps[place] = _step(chance, agreed, state.rows[place], elapsed, plain=False)
    facts = FleetFacts(kind, state.time, end, state.rows, tuple(steps))
    if chance.random() < 0.6:
        return facts
    place, amount = chance.randrange(len(steps)), chance.choice((-1, 1))
    row, step = facts.rows[place], steps[place]
    if chance.random() < 0.5:
        values = list(step)
        index, most = chance.choice(((0, 2**32), (1, 2**40), (2, 2**16)))
        values[index] = max(min(values[index] + amount, most - 1), 0)
        steps[place] = FleetStep(*values)
        return facts._replace(steps=tuple(steps))
    values = list(row)
    index, most = chance.choice(((0, 2**32), (1, 2**40), (2, 2**16)))
    values[index] = max(min(values[index] + amount, most - 1), 0)
    rows = (*facts.rows[:place], FleetRow(*values), *facts.rows[place + 1 :])
    return chance.choice(
        (
            facts._replace(rows=rows),
            facts._replace(kind=1 - facts.kind),
            facts._replace(from_time=facts.from_time + amount),
            facts._replace(to_time=facts.to_time - 1),
        )
    )


def _step(
    chance: random.Random, agreed: FleetTerms, row: FleetRow, elapsed: int, plain: bool
) -> FleetStep:
    """Return a step that fits, or one at or just beyond an edge of what does."""
    age = 0 if plain else chance.choice((0, 0, min(elapsed, 7), min(elapsed, MOST_AGE)))
    most = agreed.fuse_watts * (elapsed + row.age - age + 1) // 60
    near = min(most, 2**39 - 1 - row.register)
    counters = min(chance.choice((1, 1, 4, 255)), max(2**31 - 1 - row.counter, 1))
    energy = chance.choice((0, 1, near // 2, near // 3, chance.randrange(near + 1)))
    edge = 1 if plain else chance.random()
    if edge < 0.2 or near == 0:
        return FleetStep(0, 0, min(row.age + elapsed, MOST_AGE))
    if edge < 0.24:
        return FleetStep(counters, min(most + chance.randrange(2), 2**40 - 1), age)
    if edge < 0.25:
        return FleetStep(2**31 - 1, energy, min(elapsed + 1, MOST_AGE))
    if edge < 0.26:
        return FleetStep(chance.choice((2**31, 2**32 - 1)), chance.choice((energy, 2**40 - 1)), 0)
    return FleetStep(counters, energy, age)


def _mistaken_bytes(chance: random.Random, raw: bytes) -> bytes:
    mistake = chance.random()
    if mistake < 0.97:
        return raw
    return chance.choice(
        (raw[:-1], raw + b"\0", raw[:-22], b"", b"\2" + raw[1:], raw[:1] + b"\2" + raw[2:])
    )


def _quotes(agreement: bytes, claims: Sequence[FleetClaim], device: bytes) -> list[tuple]:
    return [
        (agreement, device, limit, False, until, 0, 1, 1, facts) for facts, limit, until in claims
    ]
