"""Faults planted in copies of the contracts: the campaign must find each of them.

    python -m scripts.assurance.planted                    # every fault of the table
    python -m scripts.assurance.planted --only "frozen twice"

A campaign that finds nothing in faulty contracts says nothing about good ones. The table is
tests/assurance/faults.toml.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
import tomllib
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.assurance.forge import CAMPAIGN
from scripts.assurance.invariants import measure_campaign
from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.solidity.compiler import build_file
from scripts.solidity.sources import CONTRACTS, ROOT

TABLE = f"{CAMPAIGN}/faults.toml"
CACHE = ".build/planted"  # compiled faulty contracts, by content
CALLS = 20_000  # the most; a campaign ends with its first finding


@dataclass(frozen=True)
class PlantedFault:
    """One row of the table.

    Attributes:
        name: What is wrong, in words.
        contract: Whose bytecode it changes.
        source: The file that is changed, relative to the project.
        before: Text that the file has once.
        after: What takes its place.
        finding: What the campaign says of it.
    """

    name: str
    contract: str
    source: str
    before: str
    after: str
    finding: str


def read_faults(root: Path = ROOT) -> list[PlantedFault]:
    """Return the rows of the table."""
    rows = tomllib.loads((root / TABLE).read_text())["fault"]
    return [PlantedFault(**row) for row in rows]


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Plant each fault and return a line that says how many of them the campaign found."""
    faults, verdicts = read_faults(task.root), []
    for number, fault in enumerate(faults, 1):
        task.say(f"{number} of {len(faults)}: {fault.name}")
        verdicts.append(look_for(fault, task.folder))
    lost = [line for line in verdicts if not line.ok]
    value = f"{len(faults) - len(lost)} of {len(faults)} found by the campaign"
    notes = [f"{line.name}: {line.value}" for line in lost or verdicts]
    return [AssuranceLine("planted faults", value, bool(faults) and not lost, "\n".join(notes))]


def look_for(fault: PlantedFault, folder: Path, calls: int = CALLS) -> AssuranceLine:
    """Run a campaign on contracts with one fault; the line is ok if it says what is wrong.

    Args:
        folder: Takes the copy of the contracts.
        calls: The most calls.

    Raises:
        ValueError: The source has the text not once.
        Halt: The changed contracts do not compile.
    """
    replaced = {fault.contract: bytecode_of(fault, folder)}
    begun = time.monotonic()
    campaign, *_ = measure_campaign(calls, replaced=replaced)
    seconds = time.monotonic() - begun
    reason = campaign.note.splitlines()[0] if campaign.note else "nothing"
    caught = not campaign.ok and fault.finding in reason
    value = f"found {reason!r} in {seconds:.0f} s: {campaign.value}"
    return AssuranceLine(fault.name, value, caught, campaign.note)


def bytecode_of(fault: PlantedFault, folder: Path, root: Path = ROOT) -> str:
    """Compile a contract with the fault, in a copy; what was compiled before is kept."""
    home = Path(tempfile.mkdtemp(prefix="planted-", dir=folder))
    shutil.copytree(root / CONTRACTS, home / CONTRACTS)
    (home / "node_modules").symlink_to((root / "node_modules").resolve())
    plant(fault, home)
    made = build_file(home, root / CACHE, _main_source(home, fault.contract))
    return next(artifact.bytecode for artifact in made if artifact.name == fault.contract)


def plant(fault: PlantedFault, home: Path) -> None:
    """Change the source of a copy.

    Raises:
        ValueError: The source has the text not once.
    """
    source = home / fault.source
    text = source.read_text()
    if (count := text.count(fault.before)) != 1:
        raise ValueError(
            f"{fault.source} has the text of the fault {fault.name!r} {count} times, not once. "
            f"Next: correct its row in {TABLE}."
        )
    source.write_text(text.replace(fault.before, fault.after))


def _main_source(home: Path, contract: str) -> str:
    """Return the file that defines a contract, relative to the copy."""
    defines = re.compile(rf"^contract {contract}\b", re.MULTILINE)
    files = sorted((home / CONTRACTS).rglob("*.sol"))
    return next(p for p in files if defines.search(p.read_text())).relative_to(home).as_posix()


def main(arguments: Sequence[str] | None = None) -> int:
    """Look for faults and print a line for each; exit with 1 if one is not found."""
    parser = ArgumentParser(description="Faults that the campaign must find.")
    parser.add_argument("--only", default="", help="faults whose name has this text")
    parser.add_argument("--calls", type=int, default=CALLS, help="the most calls of a campaign")
    chosen = parser.parse_args(arguments)
    lost = False
    with tempfile.TemporaryDirectory(prefix="proofrail-planted-") as folder:
        for fault in (row for row in read_faults() if chosen.only in row.name):
            line = look_for(fault, Path(folder), chosen.calls)
            print(f"{'✓' if line.ok else '✗'} {line.name}: {line.value}", flush=True)
            lost = lost or not line.ok
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
