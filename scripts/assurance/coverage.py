"""Branches of the contracts that the contract tests take, per file; each other one is named."""

from __future__ import annotations

import json
import os
import tomllib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from scripts.assurance.branches import PROBE, PROBE_FILE, Branch, find_and_mark
from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.mutation import copy_project
from scripts.assurance.pytest_run import run_pytest
from scripts.solidity.compiler import syntax_trees
from scripts.solidity.sources import CONTRACTS, ROOT, TREES

REASONS = ROOT / CONTRACTS / "branches.toml"
PLUGIN = "tests.support.contracts.branch_trace"
# what compares gas or code with figures of the contracts as they ship
LEFT_OUT = (
    *("test_gas.py", "test_gas_index.py", "test_gas_scenarios.py", "test_voucher_gas.py"),
    *("test_deployment.py", "test_wycheproof.py"),
)


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Run the contract tests on contracts that report their branches."""
    home = copy_project(task.root, task.folder / "project")
    task.say("compiling to syntax trees")
    branches = mark_all(task.root, home)
    task.say(f"running the contract tests on contracts with {len(branches)} branches marked")
    folder = task.folder / "taken"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(home), "BRANCHES_FOLDER": str(folder)}
    options = ["-p", PLUGIN, "-m", "not extended", "-p", "no:cacheprovider", "tests/contracts"]
    ignored = [f"--ignore=tests/contracts/{name}" for name in LEFT_OUT]
    results = run_pytest([*options, *ignored], task.folder, environment, home)
    taken = {number for path in folder.iterdir() for number in json.loads(path.read_text())}
    failed = results.counts["failed"]
    lines = summarise(branches, taken, REASONS.read_text())
    if failed * 20 > sum(results.counts.values()):
        note = "\n".join(results.failures[:5])
        lines.append(AssuranceLine("tests on marked contracts", f"{failed} failed", False, note))
    return lines


def mark_all(root: Path, home: Path) -> list[Branch]:
    """Rewrite the contracts of the copy so that they report branches, and return the branches."""
    files = [p.relative_to(root).as_posix() for p in sorted((root / CONTRACTS).rglob("*.sol"))]
    trees = syntax_trees(root, root / TREES)["sources"]
    branches: list[Branch] = []
    for name in files:
        text = (root / name).read_text()
        changed, added = find_and_mark(name, text, trees[name]["ast"], len(branches))
        (home / name).write_text(changed)
        branches += added
    (home / PROBE_FILE).write_text(PROBE)
    return branches


def summarise(
    branches: Sequence[Branch], taken: Collection[int], reasons: str
) -> list[AssuranceLine]:
    """Return the line of all branches, with one note per file and per branch not taken, and one
    of reasons that no branch needs any more."""
    known = {
        (row["source"], row["text"], row["taken"])
        for row in tomllib.loads(reasons)["branch"]
        if row["reason"]
    }
    missing = [branch for branch in branches if branch.number not in taken]
    excused = [b for b in missing if (b.source, b.text, b.taken) in known]
    still_open = [branch for branch in missing if branch not in excused]
    idle = sorted(known - {(b.source, b.text, b.taken) for b in missing})
    total, short = Counter(b.source for b in branches), Counter(b.source for b in missing)
    notes = [
        f"{b.source}:{b.line} never {'true' if b.taken else 'false'}: {b.text}" for b in still_open
    ]
    notes += [f"{name}: {total[name] - short[name]} of {total[name]}" for name in sorted(total)]
    value = f"{len(branches) - len(missing)} of {len(branches)}, {len(excused)} more with a reason"
    wrong = [f"{source} is {str(taken).lower()} in a test: {text}" for source, text, taken in idle]
    return [
        AssuranceLine("branches of the contracts", value, not still_open, "\n".join(notes)),
        AssuranceLine(
            "branches: reasons without a branch", str(len(wrong)), not wrong, "\n".join(wrong)
        ),
    ]
