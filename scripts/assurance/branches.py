"""Branches of the contracts: where they are in the sources, and sources that report each one taken.

A branch is each outcome of a condition (`if`, `?:`, loops) and each clause of a `try`. In the
changed sources every condition is passed through a function that makes a static call to an address
without code; the call's data says which branch it is. A node's trace of calls shows them, also of
calls that revert.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PROBE_FILE = "contracts/libraries/BranchProbe.sol"
PROBE_ADDRESS = "0x" + "c0".zfill(4) + "be" * 18
PROBE = f"""\
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

function branchProbe(uint256 branch) view {{
    assembly ("memory-safe") {{
        mstore(0, branch)
        pop(staticcall(gas(), {PROBE_ADDRESS}, 0, 32, 0, 0))
    }}
}}

function clauseTaken(uint256 branch) pure {{
    function(uint256) view looking = branchProbe;
    function(uint256) pure silent;
    assembly ("memory-safe") {{
        silent := looking
    }}
    silent(branch);
}}

function branchTaken(uint256 branch, bool condition) pure returns (bool) {{
    clauseTaken(condition ? branch : branch + 1);
    return condition;
}}
"""
_IMPORT = 'import {{branchTaken, clauseTaken}} from "{path}";\n'
_CONDITIONS = {
    "IfStatement": "condition",
    "Conditional": "condition",
    "WhileStatement": "condition",
    "DoWhileStatement": "condition",
    "ForStatement": "condition",
}


@dataclass(frozen=True)
class Branch:
    """One outcome of a condition, or one clause of a `try`.

    Attributes:
        number: What its probe says.
        source: The file, relative to the project.
        line: The line, from 1.
        text: The condition's text, or the clause's first line.
        taken: Whether it is the true outcome; a clause is always true.
    """

    number: int
    source: str
    line: int
    text: str
    taken: bool


def find_and_mark(
    source: str, text: str, tree: dict[str, Any], first: int
) -> tuple[str, list[Branch]]:
    """Return the changed text of a source file and its branches.

    Args:
        tree: The file's syntax tree, whose places are offsets in bytes.
        first: The number of the first branch.
    """
    raw = text.encode()
    branches: list[Branch] = []
    marks: list[tuple[int, int, int, str]] = []  # place, kind, order among its kind, text
    for kind, start, end in _places(tree):
        number = first + len(branches)
        line = raw[:start].count(b"\n") + 1
        words = " ".join(raw[start:end].decode().split())[:80]
        if kind == "clause":
            branches.append(Branch(number, source, line, words, True))
            marks.append((start + 1, 2, 0, f" clauseTaken({number});"))
        else:
            branches += [Branch(number + n, source, line, words, not n) for n in (0, 1)]
            marks.append((start, 1, start - end, f"branchTaken({number}, "))
            marks.append((end, 0, -start, ")"))
    if not branches:
        return text, []
    for place, _, _, mark in sorted(marks, reverse=True):
        raw = raw[:place] + mark.encode() + raw[place:]
    changed, up = raw.decode(), "../" * (source.count("/") - 1)
    path = f"{up or './'}{PROBE_FILE.removeprefix('contracts/')}"
    at = changed.index("\n", changed.index("pragma solidity")) + 1
    return changed[:at] + _IMPORT.format(path=path) + changed[at:], branches


def _places(node: Any) -> Iterator[tuple[str, int, int]]:
    """Yield (kind, start, end) of every condition and every clause below a syntax node."""
    if isinstance(node, list):
        for part in node:
            yield from _places(part)
    if not isinstance(node, dict):
        return
    kind = node.get("nodeType", "")
    condition = node.get(_CONDITIONS.get(kind, ""))
    if condition:
        yield ("condition", *_span(condition))
    if kind == "TryCatchClause":
        yield ("clause", *_span(node["block"]))
    for part in node.values():
        yield from _places(part)


def _span(node: dict[str, Any]) -> tuple[int, int]:
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length
