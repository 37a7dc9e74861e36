"""Recompile the contracts and rewrite the shipped artifacts: `make artifacts`."""

from __future__ import annotations

import sys

from orchestrator.errors import Halt
from scripts.solidity.shipped import refresh


def main() -> int:
    """Exit with 0 when the artifacts are up to date, with 1 where the contracts do not compile."""
    try:
        written = refresh()
    except Halt as reason:
        print(reason, file=sys.stderr)
        return 1
    for name in written:
        print(f"renewed {name}")
    if not written:
        print("the shipped artifacts are up to date")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
