"""`make fuzz`: Index contracts against their Python, on a million random terms and facts.

    python -m tests.fuzz --cases 1000000 --seed 7

Each case is a claim under random terms; their openings are compared as well. The exit code is 1
where an answer differs, or where a refusal or another thing to see was never reached.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from eth_abi import decode
from web3 import Web3

from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT, deployable_files
from services.testnet import Testnet
from tests.support.contracts.contract_rail import DEVICE, ContractRail
from tests.support.contracts.index_stories import (
    Story,
    Told,
    counted,
    missing,
    random_story,
    read_answers,
    told,
)
from tests.support.contracts.onchain import Node

CASES, AT_ONCE = 1_000_000, 250  # claims in all; agreements of one call
EVERY = 20  # seconds between two lines of progress
GAS = 20_000_000_000


class IndexFuzz:
    """A leaf of Index whose rail lets it live through random agreements."""

    def __init__(self, contracts: ContractRail) -> None:
        self.contracts = contracts
        self.rail = contracts.deploy("IndexStories")
        self.product = contracts.deploy("UsagePremium", self.rail, contracts.registry)
        self.since = _first_active(contracts)

    def answers(self, stories: Sequence[Story]) -> list[Told]:
        """Return what the contract says of stories."""
        encoded = b"".join(story.encoded() for story in stories)
        data = self.rail.follow.encode_input(self.product, DEVICE, encoded)
        call = {"to": self.rail.address, "gas": hex(GAS), "data": Web3.to_hex(data)}
        answer = self.contracts.node.rpc("eth_call", call, "latest")
        return read_answers(decode(["bytes"], bytes.fromhex(answer[2:]))[0], stories)


def compare(fuzz: IndexFuzz, cases: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Compare so many claims; return what was reached, and the differences."""
    chance, seen = random.Random(seed), Counter[str]()
    begun = shown = time.monotonic()
    differences: list[str] = []
    while seen["cases"] < cases and not differences:
        stories = [random_story(chance, fuzz.contracts.key, fuzz.since) for _ in range(AT_ONCE)]
        expected = [told(story, fuzz.since) for story in stories]
        for story, mine, other in zip(stories, expected, fuzz.answers(stories), strict=True):
            seen["cases"] += len(mine.answers)
            seen.update(counted(story, mine))
            if mine != other:
                differences.append(f"{story}\n  Python {mine}\n  contract {other}")
        if time.monotonic() - shown > EVERY:
            shown = time.monotonic()
            print(f"{seen['cases']:,} cases in {shown - begun:,.0f} s", flush=True)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    files = [*deployable_files(ROOT), *deployable_files(ROOT, "tests/contracts/sources")]
    artifacts = current_artifacts(files, ROOT / ".build" / "contracts")
    with Testnet() as chain:
        fuzz = IndexFuzz(ContractRail(artifacts, Node(chain.url)))
        seen, differences = compare(fuzz, options.cases, options.seed)
    for name, number in sorted(seen.items()):
        print(f"{number:>10,} {name}")
    print("\n".join(differences[:3]), end="")
    print(f"{seen['cases']:,} claims compared, {len(differences)} differences")
    for name in missing(seen):
        print(f"never reached: {name}")
    return 1 if differences or missing(seen) else 0


if __name__ == "__main__":
    sys.exit(main())
