"""Judges mutants of the contracts: a test or an invariant must fail, or a reason says why not.

    python -m scripts.assurance.mutation --count 6 --seed 1
    python -m scripts.assurance.mutation --source contracts/Disputes.sol --count 20 --seed 2

A mutant is compiled in a copy of the project, and the contract tests run on it, those of its file
first, until one fails. Tests of gas are left out: they fail on any change. What the tests leave
alive goes through the campaign of invariants. Verdicts are kept in .build/mutants, so a run that
was cut goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.edges.chain.artifacts import SHIPPED
from orchestrator.errors import Halt
from scripts.assurance.invariants import measure_campaign
from scripts.assurance.line import AssuranceLine, AssuranceTask
from scripts.assurance.mutants import CORE, Mutant, in_turn, make_mutants
from scripts.assurance.verdicts import (
    CAUGHT,
    INVALID,
    KILLED,
    SAME,
    SURVIVED,
    TESTS,
    KeptVerdicts,
    MutantVerdict,
    summarise,
)
from scripts.solidity.compiler import build_file
from scripts.solidity.shipped import refresh
from scripts.solidity.sources import CONTRACTS, ROOT, deployable_files, reached_sources

PER_FILE, SEED = 6, 1
LEAST = 100
REASONS = ROOT / CONTRACTS / "mutants.toml"
VERDICTS = ".build/mutants/verdicts.jsonl"
TIMEOUT = 900  # seconds; a mutant that never ends is killed, too
CALLS = 10_000  # of the campaign, for what the tests leave alive
_LEFT_OUT = ("test_gas.py", "test_voucher_gas.py", "test_wycheproof.py")
_DELIVERY = ("delivery_cases", "delivery_rail", "delivery_attacks")
_ENERGY = ("energy_cases", "energy_attacks", "conservation")
_VOUCHER = ("voucher_taps", "voucher_limits", "voucher_cases", "voucher_attacks")
_FIRST = {
    "Assignments": ("gateways", "registry"),
    "Challenges": ("challenges", "challenge_pointing", "challenge_register", "disputes"),
    "Claims": ("settle", "agreements", "disputes"),
    "Consents": ("consents", "agreements"),
    "CounterGaps": ("energy_cases", "energy_attacks", "settle"),
    "DeviceKeys": ("registry", "precompile", "wycheproof"),
    "DeviceRegistry": ("registry", "device_life", "gateways", "precompile"),
    "Disputes": ("disputes", "debts"),
    "EnergyBytes": _ENERGY,
    "EnergyClaim": ("challenges", "challenge_register", "challenge_pointing"),
    "EnergyRules": _ENERGY,
    "EuroToken": ("token",),
    "JsonText": ("challenge_pointing", "challenge_sealed", "challenge_register"),
    "Merkle": ("payouts", "disputes"),
    "MeteredEnergy": _ENERGY,
    "OcmfFields": ("challenge_pointing", "challenge_register", "challenges"),
    "OcmfRecord": ("challenge_pointing", "challenge_register", "challenges"),
    "OcmfSignature": ("challenges", "challenge_pointing"),
    "OfficerRegistry": ("roles", "token"),
    "OracleCommittee": ("committee", "stolen_keys", "disputes"),
    "ProofOfDelivery": _DELIVERY,
    "RailAccess": ("access", "roles"),
    "RailAgreements": ("agreements", "consents", "settle", "conservation"),
    "RailDebts": ("debts", "conservation"),
    "RailPayouts": ("payouts", "disputes", "debts", "conservation"),
    "RailSettlement": ("settle", "stolen_keys", "conservation", "debts"),
    "RailState": ("access", "settle", "payouts", "agreements", "traits"),
    "RegistryAdoption": ("adoption", "registry"),
    "RegistryState": ("registry", "device_life", "gateways", "traits"),
    "Schedules": ("consents", "agreements"),
    "SealedRecord": ("challenge_sealed", "challenge_pointing"),
    "Spending": _VOUCHER,
    "Vouchers": _VOUCHER,
    "WearableVoucher": _VOUCHER,
}


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Judge mutants of the core and return the line about them."""
    judge = MutantJudge(task.root, task.folder, task.say)
    return [summarise(judge.judge_all(CORE, PER_FILE, SEED), REASONS.read_text(), LEAST)]


class MutantJudge:
    """Judges mutants one after the other, in one copy of the project.

    Args:
        root: The project's folder.
        folder: An empty folder for the copy and for logs.
        say: Shows one sentence of progress.
    """

    def __init__(self, root: Path, folder: Path, say: Callable[[str], None]) -> None:
        self._root, self._folder, self._say = root, folder, say
        self._home = copy_project(root, folder / "project")
        self._kept = KeptVerdicts(root, root / VERDICTS)

    def judge_all(self, sources: Sequence[str], per_file: int, seed: int) -> list[MutantVerdict]:
        """Judge so many mutants of each file that compile to other code, if it has so many."""
        self._say("the unchanged contracts: every test and the campaign must pass")
        self.check_unchanged()
        verdicts = []
        for source in sources:
            judged = 0
            queue = in_turn(make_mutants(self._root, self._folder, [source]), seed)
            while queue and judged < per_file:
                verdicts.append(self.judge(queue.pop(0)))
                judged += verdicts[-1].counts
        return verdicts

    def check_unchanged(self) -> None:
        """Raise RuntimeError unless the tests and the campaign pass on contracts as they are."""
        refresh(self._home, self._home / SHIPPED.relative_to(ROOT))
        failed = self._run_tests(_tests(self._home))
        campaign, *_ = measure_campaign(CALLS, SEED)
        if failed or not campaign.ok:
            raise RuntimeError(f"the unchanged contracts fail: {failed or campaign.note}")

    def judge(self, mutant: Mutant) -> MutantVerdict:
        """Return the verdict on a mutant, the one that is kept if it still holds."""
        files = [
            name
            for name in deployable_files(self._home)
            if mutant.source in reached_sources(self._home, name)
        ]
        kept = self._kept.recall(mutant, files)
        if kept:
            return kept
        begun = time.monotonic()
        verdict = self._judge(mutant, files)
        self._kept.keep(verdict, files)
        seconds = time.monotonic() - begun
        change = f"{mutant.source} {mutant.operator}: {mutant.before!r} => {mutant.after!r}"
        self._say(f"{verdict.outcome} in {seconds:.0f} s, {change} {verdict.by}")
        return verdict

    def _judge(self, mutant: Mutant, files: Sequence[str]) -> MutantVerdict:
        original = self._codes(files)
        path = self._home / mutant.source
        text = path.read_text()
        path.write_text(mutant.text)
        try:
            changed = self._codes(files)
            if changed == original:
                return MutantVerdict(mutant, SAME)
            refresh(self._home, self._home / SHIPPED.relative_to(ROOT))
            failed = self._run_tests(self._tests_for(mutant.source))
        except Halt:
            return MutantVerdict(mutant, INVALID)
        except subprocess.TimeoutExpired:
            return MutantVerdict(mutant, KILLED, "the tests did not end")
        finally:
            path.write_text(text)
        if failed:
            return MutantVerdict(mutant, KILLED, failed)
        campaign, *_ = measure_campaign(CALLS, SEED, changed)
        if campaign.ok:
            return MutantVerdict(mutant, SURVIVED)
        return MutantVerdict(mutant, CAUGHT, campaign.note.splitlines()[0])

    def _tests_for(self, source: str) -> list[str]:
        """Return the files of tests: what killed others of this source, what names it, the rest."""
        named = [f"{TESTS}/test_{name}.py" for name in _FIRST[Path(source).stem]]
        return _tests(self._home, [*self._kept.killers(source), *named])

    def _codes(self, files: Sequence[str]) -> dict[str, str]:
        """Return the bytecode of the contracts of these files, as they are in the copy."""
        cache = self._home / ".build" / CONTRACTS
        built = [artifact for name in files for artifact in build_file(self._home, cache, name)]
        return {artifact.name: artifact.bytecode for artifact in built}

    def _run_tests(self, files: Sequence[str]) -> str:
        """Run tests in the copy, and return the first that fails, "" if all pass."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        command += ["-m", "not extended", "--timeout", "600", *files]
        environment = {**os.environ, "PYTHONPATH": str(self._home)}
        with (self._folder / "pytest.log").open("w+") as log:
            run = subprocess.run(
                command,
                cwd=self._home,
                env=environment,
                timeout=TIMEOUT,
                check=False,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            log.seek(0)
            failed = [line for line in log if line.startswith(("FAILED", "ERROR"))]
        if run.returncode == 0:
            return ""
        if not failed:
            raise RuntimeError(f"the tests did not run; see {self._folder}/pytest.log")
        return failed[0].split()[1]


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


def _tests(home: Path, first: Sequence[str] = ()) -> list[str]:
    """Return the files of tests, these first."""
    files = sorted(path.relative_to(home).as_posix() for path in (home / TESTS).glob("test_*.py"))
    rest = [name for name in files if Path(name).name not in _LEFT_OUT]
    return list(dict.fromkeys([*first, *rest]))


def main() -> int:
    """Judge mutants and print the line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.assurance.mutation")
    parser.add_argument("--count", type=int, default=PER_FILE, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--source", action="append", help="mutants of this file alone")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="proofrail-mutants-"))
    print(f"verdicts: {ROOT / VERDICTS}, logs: {folder}", flush=True)
    judge = MutantJudge(ROOT, folder, lambda text: print(text, flush=True))
    verdicts = judge.judge_all(options.source or CORE, options.count, options.seed)
    line = summarise(verdicts, REASONS.read_text(), 1)
    print(f"{line.value}\n{line.note}")
    return 0 if line.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
