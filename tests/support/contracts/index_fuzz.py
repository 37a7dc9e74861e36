"""Random agreements of an Index product, lived through by a contract and by its Python."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

from eth_abi import decode
from web3 import Web3

from tests.support.contracts.contract_rail import DEVICE, ContractRail
from tests.support.contracts.index_stories import (
    Story,
    StoryAnswers,
    counted,
    expected_answers,
    random_story,
    read_answers,
)

AT_ONCE = 250  # agreements of one call
EVERY = 20  # seconds between two lines of progress
GAS = 20_000_000_000


class IndexFuzz:
    """A leaf of Index whose rail lets it live through random agreements."""

    def __init__(self, contracts: ContractRail) -> None:
        self.contracts = contracts
        self.rail = contracts.deploy("IndexStories")
        self.product = contracts.deploy("UsagePremium", self.rail, contracts.registry)
        self.since = _first_active(contracts)

    def answers(self, stories: Sequence[Story]) -> list[StoryAnswers]:
        """Return what the contract says of stories."""
        encoded = b"".join(story.encoded() for story in stories)
        data = self.rail.follow.encode_input(self.product, DEVICE, encoded)
        call = {"to": self.rail.address, "gas": hex(GAS), "data": Web3.to_hex(data)}
        answer = self.contracts.node.rpc("eth_call", call, "latest")
        return read_answers(decode(["bytes"], bytes.fromhex(answer[2:]))[0], stories)


def compare(
    fuzz: IndexFuzz, cases: int, seed: int, say: Callable[[str], None] = lambda text: None
) -> tuple[Counter[str], list[str]]:
    """Compare so many claims; return what was reached, and the differences."""
    chance, seen = random.Random(seed), Counter[str]()
    begun = shown = time.monotonic()
    differences: list[str] = []
    while seen["cases"] < cases and not differences:
        stories = [random_story(chance, fuzz.contracts.key, fuzz.since) for _ in range(AT_ONCE)]
        expected = [expected_answers(story, fuzz.since) for story in stories]
        for story, mine, other in zip(stories, expected, fuzz.answers(stories), strict=True):
            seen["cases"] += len(mine.answers)
            seen.update(counted(story, mine))
            if mine != other:
                differences.append(f"{story}\n  Python {mine}\n  contract {other}")
        if time.monotonic() - shown > EVERY:
            shown = time.monotonic()
            say(f"{seen['cases']:,} cases in {shown - begun:,.0f} s")
    return seen, differences


def _first_active(contracts: ContractRail) -> int:
    """Return the first second in which the device was active."""
    low, high = 0, contracts.now
    while low < high:
        middle = (low + high) // 2
        if contracts.registry.activeAt(DEVICE, middle):
            high = middle
        else:
            low = middle + 1
    return low
