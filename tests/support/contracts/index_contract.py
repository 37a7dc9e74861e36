"""An Index product with a test double as its rail, next to its Python mirror."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import decode
from web3 import Web3

from orchestrator.products.index import pricing
from orchestrator.products.index.pricing import IndexState
from tests.support.contracts.contract_rail import DEVICE
from tests.support.contracts.onchain import MinedReceipt

FOR_EVER = 2**40 - 1
IndexClaim = tuple[bytes, int]  # facts, limit


def mirrored(
    terms: bytes, claims: Sequence[IndexClaim], start: int, until: int = FOR_EVER
) -> tuple[list[tuple[int, int]], IndexState]:
    """Price claims in order in Python: (amount, refusal) of each, and the state after them."""
    state, answers = pricing.open(terms, start), []
    for facts, limit in claims:
        amount, refusal = pricing.price(state, terms, facts, limit, until=until)
        answers.append((amount, refusal))
        if not refusal:
            state = pricing.advance(state, terms, facts)
    return answers, state


class IndexContract:
    """The contract of a leaf; claims of one agreement in one call."""

    def __init__(self, contracts: Any, name: str) -> None:
        self.contracts, self.rail = contracts, contracts.deploy("NotingRail", False)
        self.many = contracts.deploy("ManyAmounts")
        self.product = contracts.deploy(name, self.rail, contracts.registry)
        self.since = contracts.now  # the device is active from its enrolment on
        self.agreements = 0

    def open(self, terms: bytes, start: int | None = None) -> bytes:
        """Open an agreement; facts before `start` (now, without it) are refused."""
        self.agreements += 1
        agreement = self.agreements.to_bytes(32, "big")
        self.send("open", agreement, DEVICE, self.since if start is None else start, terms)
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
        claims: Sequence[IndexClaim],
        device: bytes = DEVICE,
        until: int = FOR_EVER,
    ) -> list[tuple]:
        return [
            (agreement, device, limit, False, until, number, number + 1, number + 1, facts)
            for number, (facts, limit) in enumerate(claims)
        ]

    def answers(
        self, agreement: bytes, claims: Sequence[IndexClaim], **options: Any
    ) -> list[tuple[int, int]]:
        """Return (amount, refusal) of claims in order; keep nothing."""
        data = self.rail.price.encode_input(self.product, self.quotes(agreement, claims, **options))
        rows = self._call(self.rail.address, data, ["(int48,uint8,address)[]"])[0]
        return [(amount, refusal) for amount, refusal, _ in rows]

    def settle(
        self, agreement: bytes, claims: Sequence[IndexClaim], **options: Any
    ) -> MinedReceipt:
        """Price claims for good."""
        return self.send("price", self.quotes(agreement, claims, **options))

    def amounts(self, terms: Sequence[bytes], facts: Sequence[bytes]) -> list[tuple[int, int]]:
        """Return (amount, refusal) of facts under terms, each pair by itself."""
        data = self.many.amountsOf.encode_input(self.product, terms, facts)
        refusals, amounts = self._call(self.many.address, data, ["uint8[]", "int256[]"])
        return list(zip(amounts, refusals, strict=True))

    def _call(self, address: str, data: bytes, types: list[str]) -> tuple[Any, ...]:
        call = {"to": address, "gas": hex(2_000_000_000), "data": Web3.to_hex(data)}
        answer = self.contracts.node.answer("eth_call", call, "latest")
        return decode(types, bytes.fromhex(answer["result"][2:]))
