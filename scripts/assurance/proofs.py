"""Proofs of arithmetic by halmos: for every input of a type, not for examples."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.programs import forge_binary, tool
from scripts.solidity.compiler import ensure_compiler

FOLDER, OUT = "tests/proofs", ".build/proofs/out"
LEAST = 2
TIMEOUT_MS = 1_800_000  # of one query to the solver
LOOP = 5  # how often a loop may turn; more than any loop of what is proved


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Prove what tests/proofs states and return a line about it."""
    answer = task.folder / "halmos.json"
    environment = {
        **os.environ,
        "FOUNDRY_CONFIG": str(task.root / FOLDER / "foundry.toml"),
        "FOUNDRY_SOLC": str(ensure_compiler(task.root).resolve()),
        # halmos starts `forge build`; npm's wrapper of that name answers 0 when it fails
        "PATH": f"{forge_binary(task.root).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        *(str(tool("halmos")), "--root", str(task.root), "--forge-build-out", OUT),
        *("--contract", "Proofs", "--loop", str(LOOP), "--json-output", str(answer)),
        *("--solver-timeout-assertion", str(TIMEOUT_MS)),
    ]
    with (task.folder / "halmos.log").open("w") as log:
        subprocess.run(command, cwd=task.root, env=environment, stdout=log, stderr=log, check=False)
    if not answer.exists():
        raise RuntimeError(f"halmos ended without results; its output is in {log.name}")
    return [summarise(json.loads(answer.read_text()))]


def summarise(answer: Mapping[str, Any]) -> AssuranceLine:
    """Return the line; a proof that ran out of time is none."""
    tests = [test for tests in answer["test_results"].values() for test in tests]
    proved = [test["name"] for test in tests if test["exitcode"] == 0]
    bounded = [test["name"] for test in tests if test.get("num_bounded_loops")]
    missing = [test["name"] for test in tests if test["exitcode"] != 0]
    notes = [f"not proved: {name}" for name in missing]
    notes += [f"a loop may turn more often than {LOOP} times: {name}" for name in bounded]
    if len(tests) < LEAST:
        notes.append(f"fewer than {LEAST} proofs")
    names = ", ".join(name.partition("(")[0].removeprefix("check_") for name in proved)
    return AssuranceLine(
        "proofs of arithmetic",
        f"{len(proved)} of {len(tests)}",
        not notes,
        "\n".join(notes) or names,
    )
