"""`make fuzz`: Index contracts against their Python, on a million random terms and facts.

    python -m tests.fuzz --cases 1000000 --seed 7

Each case is a claim under random terms; their openings are compared as well. The exit code is 1
where an answer differs, or where a refusal or another thing to see was never reached.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from functools import partial

from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT, deployable_files
from services.testnet import Testnet
from tests.support.contracts.contract_rail import ContractRail
from tests.support.contracts.index_fuzz import IndexFuzz, compare
from tests.support.contracts.index_stories import missing
from tests.support.contracts.onchain import Node

CASES = 1_000_000  # claims in all


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
        say = partial(print, flush=True)
        seen, differences = compare(fuzz, options.cases, options.seed, say)
    for name, number in sorted(seen.items()):
        print(f"{number:>10,} {name}")
    print("\n".join(differences[:3]), end="")
    print(f"{seen['cases']:,} claims compared, {len(differences)} differences")
    for name in missing(seen):
        print(f"never reached: {name}")
    return 1 if differences or missing(seen) else 0


if __name__ == "__main__":
    sys.exit(main())
