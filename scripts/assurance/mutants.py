"""Mutants of the contracts: slither-mutate writes them, and a fixed choice of them is judged.

slither-mutate wants to compile each mutant and to run tests on it. Here it only writes them: its
compiler repeats one answer, and its test command is `true`. What does not compile is found later.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from scripts.assurance.programs import tool
from scripts.solidity.compiler import syntax_trees
from scripts.solidity.sources import TREES, VERSION, reached_sources

CORE = (
    "contracts/Challenges.sol",
    "contracts/Consents.sol",
    "contracts/DeviceRegistry.sol",
    "contracts/Disputes.sol",
    "contracts/OracleCommittee.sol",
    "contracts/challenge/EnergyClaim.sol",
    "contracts/challenge/OcmfFields.sol",
    "contracts/challenge/OcmfRecord.sol",
    "contracts/challenge/OcmfSignature.sol",
    "contracts/libraries/Claims.sol",
    "contracts/rail/RailAgreements.sol",
    "contracts/rail/RailDebts.sol",
    "contracts/rail/RailPayouts.sol",
    "contracts/rail/RailSettlement.sol",
    "contracts/rail/RailState.sol",
    "contracts/registry/RegistryAdoption.sol",
    "contracts/registry/RegistryState.sol",
)
# left out: RR (a revert in place of a line, which any call of the line finds), SBR (sizes of types)
# and FHR (visibility), which mostly do not compile, and MVIV, which repeats MVIE
OPERATORS = "AOR,ASOR,BOR,CR,LIR,LOR,MIA,MVIE,MWA,ROR,UOR"
_FIRST_ANSWER_ONLY = """\
#!/bin/sh
case "$*" in
  *--version*) echo "Version: {version}+commit.0" ;;
  *) if mkdir "{mark}" 2>/dev/null; then cat "{answer}"; else echo '{none}'; fi ;;
esac
"""
_NO_CODE = {"bin": "", "bin-runtime": "", "srcmap": "", "srcmap-runtime": "", "hashes": {}}
_NO_ANSWER = {"contracts": {}, "sources": {}, "sourceList": [], "version": VERSION}


@dataclass(frozen=True)
class Mutant:
    """One changed source file.

    Attributes:
        source: The file, relative to the project.
        operator: How it was changed, in slither-mutate's short names.
        text: The whole changed file.
        before: The lines that are gone.
        after: The lines in their place.
    """

    source: str
    operator: str
    text: str
    before: str
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What a reason in the table names: file, lines before and lines after."""
        return self.source, self.before, self.after


def make_mutants(root: Path, folder: Path, sources: Sequence[str] = CORE) -> list[Mutant]:
    """Return every mutant of the sources, without duplicates, in the order of the sources."""
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda source: _mutants_of(root, folder, source), sources)
        mutants = [mutant for mutants_of_one in made for mutant in mutants_of_one]
    return list({mutant.key: mutant for mutant in mutants}.values())


def choose(mutants: Iterable[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return at most `count` mutants, the same for a seed, of every file and operator in turn."""
    groups: dict[tuple[str, str], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        groups[mutant.source, mutant.operator].append(mutant)
    shuffle = random.Random(seed)
    for group in groups.values():
        shuffle.shuffle(group)
    order = list(groups.values())
    shuffle.shuffle(order)
    chosen: list[Mutant] = []
    while len(chosen) < count and any(order):
        chosen += [group.pop() for group in order if group]
    return chosen[:count]


def mutant_of(source: str, operator: str, original: str, text: str) -> Mutant:
    """Return a mutant with the lines that differ, without indentation."""
    lines = list(unified_diff(original.splitlines(), text.splitlines(), n=0, lineterm=""))[2:]
    before, after = (
        "\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return Mutant(source, operator, text, before, after)


def _mutants_of(root: Path, folder: Path, source: str) -> list[Mutant]:
    home = folder / Path(source).stem
    copy = home / source
    shutil.copytree(root / "contracts", home / "contracts")
    (home / "node_modules").symlink_to((root / "node_modules").resolve())
    environment = dict(os.environ)
    environment["PATH"] = f"{_compiler(root, source, home)}{os.pathsep}{environment['PATH']}"
    command = [
        *(str(tool("slither-mutate")), source, "--test-cmd", "true", "--timeout", "60"),
        *("--comprehensive", "--mutators-to-run", OPERATORS, "--output-dir", str(home / "out")),
    ]
    with (home / "log").open("w") as log:
        subprocess.run(command, cwd=home, env=environment, stdout=log, stderr=log, check=False)
    original = (root / source).read_text()
    if copy.read_text() != original:
        raise RuntimeError(f"slither-mutate left a mutant behind in {copy}")
    made = sorted((home / "out").rglob("*_*_*.sol"))
    if not made:
        raise RuntimeError(f"slither-mutate made no mutant of {source}; see {home}/log")
    return [
        mutant_of(source, path.stem.split("_")[-2], original, path.read_text()) for path in made
    ]


def _compiler(root: Path, source: str, home: Path) -> Path:
    """Write a `solc` that gives the syntax trees at its first call and nothing at the others."""
    answer, reached = syntax_trees(root, root / TREES), reached_sources(root, source)
    contracts = {
        f"{name}:{contract}": {"abi": output["abi"], "userdoc": {}, "devdoc": {}, **_NO_CODE}
        for name, outputs in answer["contracts"].items()
        if name in reached
        for contract, output in outputs.items()
    }
    trees = {name: {"AST": answer["sources"][name]["ast"]} for name in reached}
    combined = {**_NO_ANSWER, "contracts": contracts, "sources": trees, "sourceList": list(trees)}
    stored = home / "answer.json"
    stored.write_text(json.dumps(combined))
    programs = home / "bin"
    programs.mkdir()
    compiler = programs / "solc"
    compiler.write_text(
        _FIRST_ANSWER_ONLY.format(
            version=VERSION, answer=stored, mark=home / "first", none=json.dumps(_NO_ANSWER)
        )
    )
    compiler.chmod(0o755)
    return programs
