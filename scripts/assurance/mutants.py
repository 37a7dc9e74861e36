"""Mutants of the contracts: slither-mutate writes them, and a fixed choice of them is judged.

One kind is our own: an edge, where `<` becomes `<=` or the other way round. It is what a test
misses most easily, so each file's first mutant is one.

slither-mutate wants to compile each mutant and to run tests on it. Here it only writes them: its
compiler repeats one answer, and its test command is `true`. What does not compile is found later.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import zip_longest
from pathlib import Path

from scripts.assurance.programs import tool
from scripts.solidity.compiler import syntax_trees
from scripts.solidity.sources import CONTRACTS, TREES, VERSION, reached_sources

# nothing to change: a list of parts, numbers with names, a struct
WITHOUT_CODE = (
    "contracts/PaymentRail.sol",
    "contracts/libraries/Traits.sol",
    "contracts/products/delivery/DeliveryState.sol",
)
# left out: RR (a revert in place of a line, which any call of the line finds), SBR (sizes of types)
# and FHR (visibility), which mostly do not compile, and MVIV, which repeats MVIE
OPERATORS = "AOR,ASOR,BOR,CR,LIR,LOR,MIA,MVIE,MWA,ROR,UOR"
EDGE = "EDGE"
TEXTS = ".build/mutants/texts"  # what slither-mutate made, by the sources
_CONTRACT = re.compile(r"^(?:abstract )?(?:contract|library) (\w+)", re.MULTILINE)
_COMPARISON = re.compile(r"(?<= )[<>]=?(?= )")
_LOOP = re.compile(r"\s*for \(")
_CASTS = re.compile(r"(?:u?int\d+\(|[() ])+")
_CHOICE = re.compile(
    r" (\S+) [<>]=? (\S+) (\1 = \2|\2 = \1) ?;"
    r"|(?:=|return) (.+) [<>]=? (\S+) \? (\4 : \5|\5 : \4|\4 - \5 : 0) ?;"
)
_COMMENT = re.compile(r"//.*")
_STEP = re.compile(r"(?:(?<=^)|(?<=; ))(\+\+|--)(\w+)(?=;|\) )")
_BROKEN = re.compile(
    r"[=&|?(] *(return|if|for|while|bool [a-z]\w* =)|return +return"  # a statement in itself
    r"|\w-[);]"  # half an operator
    r"|\(\w+ \w+ ?= |^\((\w+ \w+, )+\w+ \w+\);$"  # several declarations as if they were one
)
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


def core_files(root: Path) -> list[str]:
    """Return every file of the project with a contract or library that has code."""
    paths = sorted((root / CONTRACTS).rglob("*.sol"))
    named = {path.relative_to(root).as_posix(): path.read_text() for path in paths}
    return [
        name for name, text in named.items() if _CONTRACT.search(text) and name not in WITHOUT_CODE
    ]


def make_mutants(root: Path, folder: Path, sources: Sequence[str]) -> list[Mutant]:
    """Return every mutant of the sources, without duplicates, those of a source together."""
    mutants = [mutant for source in sources for mutant in _mutants_of(root, folder, source)]
    # the first of equal ones stays, which is the edge: slither-mutate moves comparisons too
    return list({mutant.key: mutant for mutant in reversed(mutants)}.values())[::-1]


def in_turn(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """Return the mutants of one file in the order in which they are judged.

    Kinds of change take turns, edges first. The order follows from the seed and from the mutants'
    own lines, so a change of one line moves no other mutant, and what was judged once is judged
    again.
    """
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in sorted(mutants, key=lambda mutant: _rank(seed, *mutant.key)):
        kinds[mutant.operator].append(mutant)
    order = sorted(kinds, key=lambda kind: (kind != EDGE, _rank(seed, kind, kinds[kind][0].source)))
    rounds = zip_longest(*(kinds[kind] for kind in order))
    return [mutant for chosen in rounds for mutant in chosen if mutant]


def _rank(seed: int, *texts: str) -> bytes:
    return hashlib.sha256("\0".join([str(seed), *texts]).encode()).digest()


def mutant_of(source: str, operator: str, original: str, text: str) -> Mutant:
    """Return a mutant with the lines that differ, without indentation."""
    lines = list(unified_diff(original.splitlines(), text.splitlines(), n=0, lineterm=""))[2:]
    before, after = (
        "\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return Mutant(source, operator, text, before, after)


def _mutants_of(root: Path, folder: Path, source: str) -> list[Mutant]:
    original = (root / source).read_text()
    made = _changed_texts(root, folder, source)
    mutants = [mutant_of(source, operator, original, text) for operator, text in made]
    edges = [mutant_of(source, EDGE, original, text) for text in moved_edges(original)]
    return [mutant for mutant in [*edges, *mutants] if may_compile(mutant)]


def _changed_texts(root: Path, folder: Path, source: str) -> list[tuple[str, str]]:
    """Return what slither-mutate makes of a file: (operator, text), kept for equal sources."""
    texts = sorted(reached_sources(root, source).items())
    digest = hashlib.sha256(json.dumps([OPERATORS, source, texts]).encode()).hexdigest()[:24]
    stored = root / TEXTS / f"{Path(source).stem}-{digest}.json.gz"
    if not stored.exists():
        changed = _run_slither_mutate(root, folder, source)
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(gzip.compress(json.dumps(changed).encode(), 6))
    return [(operator, text) for operator, text in json.loads(gzip.decompress(stored.read_bytes()))]


def _run_slither_mutate(root: Path, folder: Path, source: str) -> list[tuple[str, str]]:
    home = folder / Path(source).stem
    copy = home / source
    shutil.copytree(root / "contracts", home / "contracts")
    copy_packages(root, home, source)
    environment = dict(os.environ)
    environment["PATH"] = f"{_compiler(root, source, home)}{os.pathsep}{environment['PATH']}"
    command = [
        *(str(tool("slither-mutate")), source, "--test-cmd", "true", "--timeout", "60"),
        *("--comprehensive", "--mutators-to-run", OPERATORS, "--output-dir", str(home / "out")),
        # by default it takes a contract with the file's name, or none
        *("--contract-names", contract_of((root / source).read_text())),
    ]
    with (home / "log").open("w") as log:
        subprocess.run(command, cwd=home, env=environment, stdout=log, stderr=log, check=False)
    if copy.read_text() != (root / source).read_text():
        raise RuntimeError(f"slither-mutate left a mutant behind in {copy}")
    made = sorted((home / "out").rglob("*_*_*.sol"))
    if not made:
        raise RuntimeError(f"slither-mutate made no mutant of {source}; see {home}/log")
    return [(path.stem.split("_")[-2], path.read_text()) for path in made]


def moved_edges(text: str) -> Iterator[str]:
    """Yield a source text with each of its comparisons moved by one, one after the other.

    Loops are left out, since an index that is too high reverts in any test, and so is the choice of
    the smaller or larger of two: what is equal is chosen either way.
    """
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        code = line.partition("//")[0]
        if _LOOP.match(code) or _CHOICE.search(_CASTS.sub(" ", code)):
            continue
        for sign in _COMPARISON.finditer(code):
            moved = sign[0][0] if sign[0].endswith("=") else f"{sign[0]}="
            changed = line[: sign.start()] + moved + line[sign.end() :]
            yield "".join([*lines[:number], changed, *lines[number + 1 :]])


def may_compile(mutant: Mutant) -> bool:
    """Return whether the changed lines may be code, and other code than the lines before.

    slither-mutate comments out parts of statements, and writes statements and operators in part.
    A step by itself, such as `++i`, is the same code either way.
    """
    before, after = (_COMMENT.sub("", text) for text in (mutant.before, mutant.after))
    if _STEP.sub(r"\2\1", before) == after:
        return False
    even = all(before.count(sign) == after.count(sign) for sign in "{}") and all(
        before.count(a) - before.count(b) == after.count(a) - after.count(b)
        for a, b in ("()", "[]")
    )
    return even and not _BROKEN.search(after)


def contract_of(text: str) -> str:
    """Return the name of the first contract or library that a source text defines."""
    named = _CONTRACT.search(text)
    if named is None:
        raise ValueError("the file defines no contract. Next: take it off the list of files.")
    return named[1]


def copy_packages(root: Path, home: Path, source: str) -> None:
    """Copy the files of packages that a source imports: slither-mutate rewrites these as well."""
    for name, text in reached_sources(root, source).items():
        if not (root / name).is_file():
            path = home / "node_modules" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


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
