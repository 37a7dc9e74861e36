"""MeteredEnergy with a test double as its rail, next to its Python mirror."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_abi import decode
from eth_utils import to_checksum_address
from web3 import Web3

from orchestrator.products.metered_energy import gaps as counter_gaps
from orchestrator.products.metered_energy import product as energy
from orchestrator.products.metered_energy.pricing import BandState
from orchestrator.products.metered_energy.product import EnergyFacts, EnergyState
from tests.support.contracts.contract_rail import DEVICE
from tests.support.contracts.onchain import MinedReceipt
from tests.support.contracts.settled import NOBODY

LIMIT = 2**47 - 1
FOR_EVER = 2**40 - 1
EnergyClaim = tuple[bytes, int, bool]  # facts, limit, late
_PASSED_BY = 3  # each claim passes by as many counters, for late claims to take


class EnergyMirror(NamedTuple):
    """What the Python mirror answers to claims: (amount, refusal) each, and what it remembers.

    counters: (claimedTo, firstCounter, lastCounter) of each claim.
    """

    answers: list[tuple[int, int]]
    states: list[EnergyState]
    counters: list[tuple[int, int, int]]
    gaps: list[tuple[int, int]]


def mirrored(
    terms: bytes, claims: Sequence[EnergyClaim], start: int = 0, until: int = FOR_EVER
) -> EnergyMirror:
    """Price claims in order. Claims get counters; late ones take them from the newest gap."""
    state, claimed_to, gaps = energy.open(terms, start), 0, []
    mirror = EnergyMirror([], [], [], [])
    for facts, limit, late in claims:
        first = claimed_to + 1 + _PASSED_BY
        if late:
            first = gaps[-1][0] if gaps else 1
        amount, refusal = energy.price(state, terms, facts, limit, late, until, bool(gaps))
        mirror.answers.append((amount, refusal))
        mirror.counters.append((claimed_to, first, first))
        if not refusal:
            state = energy.advance(state, terms, facts, late)
            if late:
                gaps = counter_gaps.without(gaps, first, first)
            else:
                gaps, claimed_to = counter_gaps.passed(gaps, claimed_to, first), first
        mirror.states.append(state)
    return mirror._replace(gaps=gaps)


def kept_bands(state: EnergyState) -> tuple[BandState, ...]:
    """Return what the contract keeps of the bands of a mirror's state: not their totals."""
    return tuple(band._replace(total=0) for band in state.bands)


class EnergyContract:
    """The contract; claims of one agreement in one call."""

    def __init__(self, contracts: Any) -> None:
        self.contracts, self.rail = contracts, contracts.deploy("NotingRail", False)
        self.product = contracts.deploy("MeteredEnergy", self.rail, contracts.registry)
        self.since = contracts.now  # the device is active from its enrolment on
        self.terms: dict[bytes, tuple[bytes, int]] = {}

    def open(self, terms: bytes, start: int | None = None) -> bytes:
        """Open an agreement; facts before `start` (now, without it) are refused."""
        start = self.since if start is None else start
        agreement = (len(self.terms) + 1).to_bytes(32, "big")
        self.send("open", agreement, DEVICE, start, terms)
        self.terms[agreement] = terms, start
        return agreement

    def send(self, function: str, *arguments: Any) -> MinedReceipt:
        """Let the rail call the product for good."""
        method = self.rail.method(function)
        return method(self.product, *arguments, sender=self.contracts.stranger)

    def refusal(self, function: str, *arguments: Any) -> str:
        """Return the custom error that a call of the rail ends in; send nothing."""
        method, sender = self.rail.method(function), self.contracts.stranger
        return self.contracts.refusal(method, self.product, *arguments, sender=sender)

    def quotes(
        self,
        agreement: bytes,
        claims: Sequence[EnergyClaim],
        device: bytes = DEVICE,
        until: int = FOR_EVER,
        counters: Sequence[tuple[int, int, int]] = (),
    ) -> list[tuple]:
        terms, start = self.terms[agreement]
        counters = counters or mirrored(terms, claims, start, until).counters
        return [
            (agreement, device, limit, late, until, *numbers, facts)
            for (facts, limit, late), numbers in zip(claims, counters, strict=True)
        ]

    def answers(
        self, agreement: bytes, claims: Sequence[EnergyClaim], **options: Any
    ) -> list[tuple[int, int]]:
        """Return (amount, refusal) of claims (facts, limit, late) in order; keep nothing."""
        return self.asked(self.quotes(agreement, claims, **options))

    def asked(self, quotes: Sequence[tuple]) -> list[tuple[int, int]]:
        """Return (amount, refusal) of quotes in order; keep nothing."""
        call = {
            "to": self.rail.address,
            "gas": hex(60_000_000),
            "data": Web3.to_hex(self.rail.price.encode_input(self.product, quotes)),
        }
        answer = self.contracts.node.answer("eth_call", call, "latest")
        rows = decode(["(int48,uint8,address)[]"], bytes.fromhex(answer["result"][2:]))[0]
        assert {to_checksum_address(payee) for _, _, payee in rows} <= {NOBODY}
        return [(amount, refusal) for amount, refusal, _ in rows]

    def named(self, *args: Any, **options: Any) -> list[str]:
        """Return the names of the refusals, "" where a claim is priced."""
        return [energy.REFUSALS.get(n, "") for _, n in self.answers(*args, **options)]

    def settle(
        self, agreement: bytes, claims: Sequence[EnergyClaim], **options: Any
    ) -> MinedReceipt:
        """Price claims for good."""
        return self.send("price", self.quotes(agreement, claims, **options))

    def kept(self, agreement: bytes) -> tuple[tuple[BandState, ...], list[tuple[int, int]]]:
        """Return what the contract keeps: the state of each band, and the open gaps."""
        terms = energy.decode_terms(self.terms[agreement][0])
        bands = []
        for band in terms.by_band():
            register, ahead, time, remainder, stage = self.product.stateOf(agreement, band.band)
            bands.append(BandState(register, 0, time, ahead, stage == 2, remainder))
        word = self.product.gapsOf(agreement)
        rows = [(word >> 64 * n) & (2**64 - 1) for n in reversed(range(4))]
        gaps = [(row >> 24, (row >> 24) + (row & 0xFFFFFF) - 1) for row in rows if row]
        return tuple(bands), gaps

    def at(self, facts: EnergyFacts) -> bytes:
        """Encode facts at a time when the device is active: the cases count from zero."""
        begin, end = (time + self.since for time in (facts.from_time, facts.to_time))
        return energy.encode_facts(facts._replace(from_time=begin, to_time=end))
