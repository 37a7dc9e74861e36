"""Measure what an auditor asks for and print one table: `make assurance`, `make assurance-long`.

    python -m scripts.assurance                    # the parts that end within 25 minutes
    python -m scripts.assurance --long             # and mutants, proofs, 10 million calls
    python -m scripts.assurance slither roles      # these parts alone
    python -m scripts.assurance --list

The exit code is 0 if every line is ok, 1 if one is not, 2 for a wrong command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from scripts.assurance.page import commit_name, write_page
from scripts.assurance.parts import PARTS
from scripts.assurance.run import run_parts
from scripts.assurance.table import as_json, as_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts and print the table."""
    options = _parser().parse_args(arguments)
    if options.list:
        for part in PARTS:
            print(f"{part.name:<12} {part.about}{' (long)' if part.long_only else ''}")
        return 0
    unknown = sorted(set(options.parts) - {part.name for part in PARTS})
    if unknown:
        names = ", ".join(part.name for part in PARTS)
        print(f"No part is called {', '.join(unknown)}. Parts: {names}.", file=sys.stderr)
        return 2
    chosen = [
        part
        for part in PARTS
        if part.name in options.parts
        or (not options.parts and (options.long or not part.long_only))
    ]
    results = run_parts(chosen, options.long, say=_say)
    commit = commit_name()
    print(as_json(results, commit) if options.json else as_text(results, commit))
    if options.long and not options.parts:
        print(f"written: {write_page(results, commit)}", file=sys.stderr)
    return 0 if all(line.ok for result in results for line in result.lines) else 1


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # one write: parts speak at the same time
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.assurance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("parts", nargs="*", metavar="part", help="these alone; see --list")
    parser.add_argument("--long", action="store_true", help="also what takes hours")
    parser.add_argument("--json", action="store_true", help="the lines as JSON on stdout")
    parser.add_argument("--list", action="store_true", help="list the parts")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
