"""What became of mutants: verdicts that a cut run leaves behind, and the line about them."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.assurance.line import AssuranceLine
from scripts.assurance.mutants import Mutant
from scripts.solidity.sources import reached_sources

KILLED, CAUGHT, SURVIVED = "killed by a test", "killed by the campaign", "survived"
INVALID, SAME = "does not compile", "compiles to the same code"
TESTS, CAMPAIGN = "tests/contracts", "tests/assurance"
_SUPPORT = "tests/support/contracts"


@dataclass(frozen=True)
class MutantVerdict:
    """What became of a mutant, and the test that failed first or the invariant that broke."""

    mutant: Mutant
    outcome: str
    by: str = ""

    @property
    def counts(self) -> bool:
        """Whether the mutant is a contract that behaves otherwise, as far as a compiler knows."""
        return self.outcome not in (INVALID, SAME)


class KeptVerdicts:
    """Verdicts in a file, so that a run that was cut goes on where it ended.

    A verdict holds as long as all it rests on is the same: the mutant's own sources, and the test
    that failed; for a survivor, every test and the campaign.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self._root, self._path = root, path
        rows = path.read_text().splitlines() if path.exists() else []
        self._rows = {row["on"]: row for row in map(json.loads, rows)}

    def recall(self, mutant: Mutant, files: Sequence[str]) -> MutantVerdict | None:
        """Return the verdict on a mutant of these deployable files, None if there is none."""
        row = self._rows.get(self._ground(mutant, files))
        if row is None or row["tests"] != self._tests(row["outcome"], row["by"]):
            return None
        return MutantVerdict(mutant, row["outcome"], row["by"])

    def killers(self, source: str) -> list[str]:
        """Return the files of tests that killed mutants of a source, the most deadly first."""
        rows = [row for row in self._rows.values() if row["source"] == source]
        killers = Counter(row["by"].partition("::")[0] for row in rows if row["outcome"] == KILLED)
        return [name for name, _ in killers.most_common() if (self._root / name).is_file()]

    def keep(self, verdict: MutantVerdict, files: Sequence[str]) -> None:
        """Append a verdict to the file."""
        mutant = verdict.mutant
        row: dict[str, Any] = {
            "source": mutant.source,
            "operator": mutant.operator,
            "before": mutant.before,
            "after": mutant.after,
            "outcome": verdict.outcome,
            "by": verdict.by,
            "on": self._ground(mutant, files),
            "tests": self._tests(verdict.outcome, verdict.by),
        }
        self._rows[row["on"]] = row
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as kept:
            kept.write(json.dumps(row) + "\n")

    def _ground(self, mutant: Mutant, files: Sequence[str]) -> str:
        """Return a digest of the mutant and of all sources that its contracts are made from."""
        texts: dict[str, str] = {}
        for name in files:
            texts |= reached_sources(self._root, name)
        texts[mutant.source] = mutant.text
        return _digest(f"{name}\0{text}" for name, text in sorted(texts.items()))

    def _tests(self, outcome: str, by: str) -> str:
        """Return a digest of the tests that a verdict rests on."""
        if outcome in (INVALID, SAME):
            return ""
        named = self._root / by.partition("::")[0]
        if outcome == KILLED and named.is_file():
            return _digest([named.read_text()])
        folders = [CAMPAIGN] if outcome == CAUGHT else [TESTS, _SUPPORT, CAMPAIGN]
        paths = [path for name in folders for path in (self._root / name).rglob("*.*")]
        return _digest(path.read_text() for path in sorted(paths) if path.suffix in (".py", ".sol"))


def listed(reasons: str) -> dict[tuple[str, str, str], str]:
    """Return why survivors cannot be killed, by the keys of the mutants."""
    return {
        (row["source"], row["before"], row["after"]): row["reason"]
        for row in tomllib.loads(reasons)["survivor"]
    }


def summarise(verdicts: Sequence[MutantVerdict], reasons: str, least: int) -> AssuranceLine:
    """Return the line: survivors without a reason fail it, and so do too few mutants."""
    known = listed(reasons)
    judged = [verdict for verdict in verdicts if verdict.counts]
    survivors = [verdict.mutant for verdict in judged if verdict.outcome == SURVIVED]
    still_open = [mutant for mutant in survivors if not known.get(mutant.key)]
    value = (
        f"{len(judged) - len(survivors)} of {len(judged)} killed, "
        f"{len(survivors) - len(still_open)} survive with a reason, {len(still_open)} without"
    )
    notes = [f"{m.source}: {m.before!r} became {m.after!r}" for m in still_open]
    if len(judged) < least:
        notes.append(f"fewer than {least} mutants")
    return AssuranceLine(
        "mutants of the contracts", value, not notes, "\n".join([*notes, *_by_file(verdicts)])
    )


def _by_file(verdicts: Sequence[MutantVerdict]) -> list[str]:
    """Return one row per file, of what became of its mutants."""
    files: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        files.setdefault(verdict.mutant.source, Counter())[verdict.outcome] += 1
    return [
        f"{source}: {counts[KILLED]} killed by tests, {counts[CAUGHT]} by the campaign, "
        f"{counts[SURVIVED]} survived; {counts[SAME]} had the same code, "
        f"{counts[INVALID]} did not compile"
        for source, counts in files.items()
    ]


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]
