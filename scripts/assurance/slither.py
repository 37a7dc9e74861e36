"""Findings of slither: each of high or medium impact is fixed, or has a reason in a table.

Slither wants a compiler. It gets one that repeats what ours answered, without code, since slither
reads syntax trees and making code takes minutes.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.programs import tool
from scripts.solidity.compiler import syntax_trees
from scripts.solidity.sources import CONTRACTS, ROOT, TREES, VERSION

TRIAGE = ROOT / CONTRACTS / "slither.toml"
IMPACTS = ("High", "Medium")
_NO_CODE = {"object": "", "sourceMap": ""}
_ANSWERS = """\
#!/bin/sh
case "$*" in
  *--version*) echo "Version: {version}+commit.0" ;;
  *) cat >/dev/null; cat "{answer}" ;;
esac
"""


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Run slither over every contract and compare its findings with the table."""
    task.say("compiling to syntax trees")
    project, compiler = _project(task.root, task.folder)
    task.say("analysing")
    report = task.folder / "report.json"
    command = [
        *(str(tool("slither")), str(project), "--json", str(report)),
        *("--compile-force-framework", "Solc-json", "--solc", str(compiler)),
        *("--filter-paths", "openzeppelin", "--exclude-informational", "--exclude-low"),
        "--exclude-optimization",
    ]
    with (task.folder / "slither.log").open("w") as log:
        subprocess.run(command, cwd=task.root, stdout=log, stderr=log, check=False)
    answer = json.loads(report.read_text())
    if not answer.get("success"):
        raise RuntimeError(f"slither failed: {answer.get('error')}; see {task.folder}/slither.log")
    return compare(answer["results"].get("detectors", []), TRIAGE.read_text())


def compare(findings: list[dict[str, Any]], triage: str) -> list[AssuranceLine]:
    """Return a line for each impact, and one for rows of the table that no finding needs.

    Args:
        findings: As slither reports them.
        triage: The table's text: rows with detector, where (a place as often as it has findings)
            and reason.
    """
    rows = tomllib.loads(triage)["justified"]
    unjustified = [place for row in rows if not row["reason"] for place in row["where"]]
    left = Counter((row["detector"], place) for row in rows for place in row["where"])
    lines = []
    for impact in IMPACTS:
        still_open, justified = [], 0
        for finding in (f for f in findings if f["impact"] == impact):
            key = (finding["check"], place_of(finding["elements"][0]))
            if left[key] > 0:
                left[key] -= 1
                justified += 1
            else:
                still_open.append(f"{key[0]} in {key[1]}: {_where(finding)}")
        value = f"{len(still_open)} open, {justified} justified"
        lines.append(
            AssuranceLine(
                f"slither: {impact.lower()}", value, not still_open, "\n".join(still_open)
            )
        )
    idle = [f"{detector} in {place}" for (detector, place), count in left.items() if count > 0]
    wrong = idle + [f"no reason: {place}" for place in unjustified]
    lines.append(
        AssuranceLine(
            "slither: reasons without a finding", str(len(wrong)), not wrong, "\n".join(wrong)
        )
    )
    return lines


def place_of(element: dict[str, Any]) -> str:
    """Return where a finding is, for example `RailState.sweep` or `Merkle.root.level`."""
    names = [element["name"]]
    while (parent := element.get("type_specific_fields", {}).get("parent")) is not None:
        element = parent
        names.insert(0, element["name"])
    return ".".join(names)


def _where(finding: dict[str, Any]) -> str:
    place = finding["elements"][-1]["source_mapping"]
    lines = place["lines"]
    return f"{place['filename_relative']}:{lines[0] if lines else '?'}"


def _project(root: Path, folder: Path) -> tuple[Path, Path]:
    """Write what slither is given: the list of sources, and a compiler that knows the answer."""
    answer = syntax_trees(root, root / TREES)
    for contracts in answer["contracts"].values():
        for contract in contracts.values():
            contract["evm"] = {"bytecode": _NO_CODE, "deployedBytecode": _NO_CODE}
    stored = folder / "answer.json"
    stored.write_text(json.dumps(answer))
    project = folder / "project.json"
    sources = {name: {"urls": [name]} for name in answer["sources"]}
    project.write_text(json.dumps({"language": "Solidity", "sources": sources, "settings": {}}))
    compiler = folder / "solc"
    compiler.write_text(_ANSWERS.format(version=VERSION, answer=stored))
    compiler.chmod(0o755)
    return project, compiler
