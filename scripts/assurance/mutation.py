"""Judges mutants of the contracts: a test must fail, or a reason must say why none can.

    python -m scripts.assurance.mutation --count 40 --seed 1

Each mutant is compiled in a copy of the project, and the contract tests run on it, those of its
file first. Tests of gas are left out: they fail on any change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.mutants import CORE, Mutant, choose, make_mutants
from scripts.solidity.sources import CONTRACTS, ROOT

COUNT, SEED = 120, 1
LEAST = 100
REASONS = ROOT / CONTRACTS / "mutants.toml"
TESTS = "tests/contracts"
TIMEOUT = 1_800  # seconds; a mutant that never ends is killed, too
KILLED, SURVIVED, INVALID = "killed", "survived", "does not compile"
_LEFT_OUT = ("test_gas.py", "test_voucher_gas.py", "test_wycheproof.py")
_FIRST = {
    "Challenges": ("challenges", "challenge_pointing", "disputes"),
    "EnergyClaim": ("challenges", "challenge_pointing"),
    "OcmfFields": ("challenge_pointing", "challenges"),
    "OcmfRecord": ("challenge_pointing", "challenges"),
    "OcmfSignature": ("challenges", "challenge_pointing"),
    "RegistryAdoption": ("adoption", "registry"),
    "Consents": ("consents", "agreements"),
    "DeviceRegistry": ("registry", "device_life", "gateways", "precompile"),
    "Disputes": ("disputes",),
    "OracleCommittee": ("committee", "signers", "stolen_keys", "disputes"),
    "Claims": ("settle", "agreements", "disputes"),
    "RailAgreements": ("agreements", "consents", "settle", "conservation"),
    "RailDebts": ("debts", "conservation"),
    "RailPayouts": ("payouts", "disputes", "debts", "conservation"),
    "RailSettlement": ("settle", "stolen_keys", "conservation", "debts"),
    "RailState": ("access", "settle", "payouts", "agreements", "traits"),
    "RegistryState": ("registry", "device_life", "gateways", "traits"),
}


@dataclass(frozen=True)
class MutantVerdict:
    """What became of a mutant, and the test that failed first."""

    mutant: Mutant
    outcome: str
    by: str = ""


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Judge mutants of the core and return the line about them."""
    task.say("writing mutants")
    mutants = make_mutants(task.root, task.folder)
    chosen = choose(mutants, COUNT, SEED)
    task.say(f"{len(mutants)} mutants, of which {len(chosen)} are judged")
    verdicts = judge_all(task.root, task.folder, chosen, task.say)
    return [summarise(verdicts, REASONS.read_text(), LEAST)]


def judge_all(
    root: Path, folder: Path, mutants: Sequence[Mutant], say: Callable[[str], None]
) -> list[MutantVerdict]:
    """Judge mutants one after the other and keep each verdict in folder/verdicts.jsonl."""
    home = copy_project(root, folder / "project")
    verdicts = []
    with (folder / "verdicts.jsonl").open("a") as kept:
        for number, mutant in enumerate(mutants, 1):
            verdicts.append(judge(home, mutant, folder))
            row = asdict(verdicts[-1])
            row["mutant"].pop("text")
            kept.write(json.dumps(row) + "\n")
            kept.flush()
            verdict = verdicts[-1]
            say(f"{number} of {len(mutants)}: {mutant.source} {mutant.operator} {verdict.outcome}")
    return verdicts


def judge(home: Path, mutant: Mutant, folder: Path) -> MutantVerdict:
    """Compile a mutant in the copy of the project and run the tests on it."""
    path = home / mutant.source
    original = path.read_text()
    path.write_text(mutant.text)
    environment = {**os.environ, "PYTHONPATH": str(home)}
    try:
        compiled = subprocess.run(
            [sys.executable, "-m", "scripts.compile_contracts"],
            **{"cwd": home, "env": environment, "capture_output": True, "check": False},
        )
        if compiled.returncode:
            return MutantVerdict(mutant, INVALID)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        command += ["-m", "not extended", "--timeout", "600", *_tests(home, mutant.source)]
        with (folder / "pytest.log").open("w+") as log:
            outputs = {"stdout": log, "stderr": subprocess.STDOUT}
            run = subprocess.run(
                command, cwd=home, env=environment, timeout=TIMEOUT, check=False, **outputs
            )
            log.seek(0)
            failed = [line for line in log if line.startswith(("FAILED", "ERROR"))]
    except subprocess.TimeoutExpired:
        return MutantVerdict(mutant, KILLED, "the tests did not end")
    finally:
        path.write_text(original)
    if run.returncode == 0:
        return MutantVerdict(mutant, SURVIVED)
    if not failed:
        raise RuntimeError(f"the tests did not run on a mutant; see {folder}/pytest.log")
    return MutantVerdict(mutant, KILLED, failed[0].split()[1])


def summarise(verdicts: Sequence[MutantVerdict], reasons: str, least: int) -> AssuranceLine:
    """Return the line: survivors without a reason fail it, and so do too few mutants."""
    known = {
        (row["source"], row["before"], row["after"]): row["reason"]
        for row in tomllib.loads(reasons)["survivor"]
    }
    judged = [verdict for verdict in verdicts if verdict.outcome != INVALID]
    survivors = [verdict.mutant for verdict in judged if verdict.outcome == SURVIVED]
    still_open = [mutant for mutant in survivors if not known.get(mutant.key)]
    value = (
        f"{len(judged) - len(survivors)} of {len(judged)} killed, "
        f"{len(survivors) - len(still_open)} survive with a reason, {len(still_open)} without"
    )
    notes = [f"{m.source}: {m.before!r} became {m.after!r}" for m in still_open]
    if len(judged) < least:
        notes.append(f"fewer than {least} mutants")
    return AssuranceLine("mutants of the contracts", value, not notes, "\n".join(notes))


def copy_project(root: Path, home: Path) -> Path:
    """Copy what git knows, or would add, with the compiler's cache; packages are linked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        **{"cwd": root, "capture_output": True, "text": True, "check": True},
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, home / name)
    for name in ("node_modules", ".venv"):
        (home / name).unlink(missing_ok=True)
        (home / name).symlink_to((root / name).resolve())
    shutil.copytree(root / ".build" / CONTRACTS, home / ".build" / CONTRACTS)
    return home


def _tests(home: Path, source: str) -> list[str]:
    """Return the files of tests, those of the source first."""
    first = [f"{TESTS}/test_{name}.py" for name in _FIRST[Path(source).stem]]
    files = sorted(path.relative_to(home).as_posix() for path in (home / TESTS).glob("test_*.py"))
    rest = [name for name in files if name not in first and Path(name).name not in _LEFT_OUT]
    return first + rest


def main() -> int:
    """Judge a sample and print the line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.assurance.mutation")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--source", action="append", help="mutants of this file alone")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="proofrail-mutants-"))
    print(f"verdicts: {folder}/verdicts.jsonl", flush=True)
    chosen = choose(make_mutants(ROOT, folder, options.source or CORE), options.count, options.seed)
    verdicts = judge_all(ROOT, folder, chosen, lambda text: print(text, flush=True))
    line = summarise(verdicts, REASONS.read_text(), 1)
    print(f"{line.value}\n{line.note}")
    return 0 if line.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
