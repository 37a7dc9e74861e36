"""Judges mutants of the contracts: a test or an invariant must fail, or a reason says why not.

    python -m scripts.assurance.mutation --count 6 --seed 1
    python -m scripts.assurance.mutation --source contracts/Disputes.sol --count 20 --seed 2

A mutant is compiled in a copy of the project, and the tests that touch its contract run on it until
one fails, then all other tests of contracts. Tests of gas are left out: they fail on any change.
What the tests leave alive goes through the campaign of invariants, unless a reason says that
nothing can kill it. Verdicts are kept in .build/mutants, so a run that was cut goes on.
"""

from __future__ import annotations

import argparse
import json
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
from scripts.assurance.mutants import Mutant, core_files, in_turn, make_mutants
from scripts.assurance.verdicts import (
    CAUGHT,
    INVALID,
    KILLED,
    SAME,
    SURVIVED,
    TESTS,
    KeptVerdicts,
    MutantVerdict,
    listed,
    summarise,
)
from scripts.solidity.compiler import build_file
from scripts.solidity.shipped import refresh
from scripts.solidity.sources import CONTRACTS, ROOT, deployable_files, reached_sources

PER_FILE, SEED = 5, 1
LEAST = 100
REASONS = ROOT / CONTRACTS / "mutants.toml"
VERDICTS = ".build/mutants/verdicts.jsonl"
TIMEOUT = 900  # seconds; a mutant that never ends is killed, too
CALLS = 5_000  # of the campaign, for what the tests leave alive
LEFT_OUT = ("gas", "gas_index", "gas_scenarios", "voucher_gas")  # they fail on any change
_ALWAYS = ("rarely_taken", "roles", "traits")
_ENERGY = (
    *("energy_cases", "energy_attacks", "energy_daily"),
    *("settle", "counters", "steady", "conservation"),
)
_FLEET = ("fleet_cases", "fleet_attacks")
_VOUCHER = ("voucher_taps", "voucher_limits", "voucher_cases", "voucher_attacks")
_EVIDENCE = (
    "challenge_pointing",
    "challenge_register",
    "challenge_sealed",
    "challenge_spelling",
    "challenges",
)
_INDEX = ("index_stories", "index_attacks", "index_products", "index_seal", "index_cases")
_DELIVERY = ("delivery_cases", "delivery_rail", "delivery_attacks")
# libraries that a small contract of the tests calls by itself: that contract, and its test
_FIELDS = ("tests/contracts/sources/FieldReader.sol", "mutants_fields")
_LISTS = ("tests/contracts/sources/ListKeeper.sol", "mutants_lists")
_ALONE = {
    "Assignments": _LISTS,
    "CounterGaps": _LISTS,
    "JsonText": _FIELDS,
    "OcmfFields": _FIELDS,
    "Schedules": _LISTS,
}
# the tests that touch the contract of a file; without any, its mutants meet the others at once
_TOUCHING = {
    "ClaimBytes": ("claim_bytes", "settle", "agreements", "conservation"),
    "Quotes": ("rows", "settle", "energy_cases", "conservation"),
    "Rows": ("rows", "row_limits", "counters", "steady", "settle", "agreements", "conservation"),
    "SignerList": ("signers", "committee", "stolen_keys"),
    "Assignments": ("gateways", "registry", "adoption", "device_life"),
    "Challenges": (
        "challenges",
        "mutants_challenges",
        "challenge_pointing",
        "challenge_register",
        "challenge_sealed",
        "challenge_endings",
        "disputes",
    ),
    "Claims": ("settle", "agreements", "disputes", "debts", "payouts", "challenges", "committee"),
    "Consents": ("mutants_edges", "consents", "agreements", "settle"),
    "CounterGaps": _ENERGY,
    "DeviceKeys": ("mutants_keys", "registry", "precompile", "challenges", "wycheproof"),
    "DeviceRegistry": (
        "mutants_edges",
        "registry",
        "device_life",
        "gateways",
        "adoption",
        "precompile",
        "access",
        "steady",
        "deployment_watchers",
        "delivery_attacks",
    ),
    "Disputes": (
        "mutants_edges",
        "disputes",
        "debts",
        "device_life",
        "payouts",
        "challenges",
        "conservation",
    ),
    "EnergyBytes": _ENERGY,
    "EnergyClaim": _EVIDENCE,
    "EnergyRules": _ENERGY,
    "EnergyTerms": _ENERGY,
    "EuroToken": ("token", "access", "conservation"),
    "Code": _INDEX,
    "Index": _INDEX,
    "IndexFacts": _INDEX,
    "IndexSeal": ("index_seal", "index_stories"),
    "IndexTerms": _INDEX,
    "FleetBytes": _FLEET,
    "FleetRules": _FLEET,
    "JsonText": _EVIDENCE,
    "Lists": ("claim_bytes", "settle", "agreements", "conservation"),
    "Merkle": ("disputes", "payouts", "challenges"),
    "MeteredEnergy": _ENERGY,
    "MeteredFleet": _FLEET,
    "OcmfFields": _EVIDENCE,
    "OcmfRecord": _EVIDENCE,
    "OcmfSignature": _EVIDENCE,
    "OfficerRegistry": ("access", "token"),
    "OracleCommittee": ("committee", "signers", "stolen_keys", "disputes", "access"),
    "ProofOfDelivery": _DELIVERY,
    "RailAccess": ("access", "deployment_watchers"),
    "RailAgreements": (
        *("agreements", "row_limits", "counters", "steady", "consents"),
        *("settle", "debts", "conservation", "access"),
    ),
    "RailDebts": ("debts", "row_limits", "payouts", "disputes", "conservation"),
    "RailGroups": ("settle", "mutants_edges", "row_limits", "claim_bytes", "conservation"),
    "RailPayouts": ("payouts", "disputes", "debts", "row_limits", "conservation", "device_life"),
    "RailSettlement": (
        *("settle", "row_limits", "rows", "claim_bytes", "steady", "stolen_keys"),
        *("conservation", "debts", "agreements", "consents", "energy_cases", "payouts"),
    ),
    "RailState": (
        *("settle", "payouts", "agreements", "access", "debts"),
        *("disputes", "row_limits", "steady", "conservation"),
    ),
    "Roles": ("access", "committee", "token"),
    "RegistryAdoption": ("adoption", "registry"),
    "RegistryState": (
        *("mutants_edges", "registry", "device_life", "gateways", "adoption", "steady"),
    ),
    "Schedules": ("consents", "agreements", "settle"),
    "Scratch": _EVIDENCE,
    "SealedRecord": _EVIDENCE,
    "Spending": _VOUCHER,
    "Vouchers": _VOUCHER,
    "WearableVoucher": _VOUCHER,
    "Waterfall": ("waterfall", "waterfall_attacks"),
    "Waterfalls": ("waterfall",),
}


def measure(task: AssuranceTask) -> list[AssuranceLine]:
    """Judge mutants of the core and return the line about them."""
    judge = MutantJudge(task.root, task.folder, task.say)
    verdicts = judge.judge_all(core_files(task.root), PER_FILE, SEED)
    return [summarise(verdicts, REASONS.read_text(), LEAST)]


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
        self._shipped = self._home / SHIPPED.relative_to(ROOT)
        refresh(self._home, self._shipped)
        self._unchanged = {path: path.read_text() for path in self._shipped.glob("*.json")}
        self._kept = KeptVerdicts(self._home, root / VERDICTS)

    def judge_all(self, sources: Sequence[str], per_file: int, seed: int) -> list[MutantVerdict]:
        """Judge so many mutants of each file that compile to other code, if it has so many."""
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
        unchanged, files = Mutant("", "", "", "", ""), deployable_files(self._home)
        if self._kept.recall(unchanged, files):
            return
        self._say("the unchanged contracts: every test and the campaign must pass")
        failed = self._run_tests(other_tests(self._home, []))
        campaign, *_ = measure_campaign(CALLS, SEED)
        if failed or not campaign.ok:
            raise RuntimeError(f"the unchanged contracts fail: {failed or campaign.note}")
        self._kept.keep(MutantVerdict(unchanged, SURVIVED), files)

    def judge(self, mutant: Mutant) -> MutantVerdict:
        """Return the verdict on a mutant, the one that is kept if it still holds."""
        files = [
            name
            for name in deployable_files(self._home)
            if mutant.source in reached_sources(self._home, name)
        ]
        alone = _ALONE.get(Path(mutant.source).stem)
        kept = self._kept.recall(mutant, files)
        if alone and not kept:
            kept = self._kept.recall(mutant, alone[:1])
        if kept:
            return kept
        begun = time.monotonic()
        failed = self._fails_alone(mutant, *alone) if alone else ""
        verdict = MutantVerdict(mutant, KILLED, failed) if failed else self._judge(mutant, files)
        self._kept.keep(verdict, alone[:1] if failed else files)
        seconds = time.monotonic() - begun
        change = f"{mutant.source} {mutant.operator}: {mutant.before!r} => {mutant.after!r}"
        self._say(f"{verdict.outcome} in {seconds:.0f} s, {change} {verdict.by}")
        return verdict

    def _judge(self, mutant: Mutant, files: Sequence[str]) -> MutantVerdict:
        shipped = [json.loads(text) for text in self._unchanged.values()]
        known = mutant.key in listed(REASONS.read_text())
        original = {record["name"]: record["bytecode"] for record in shipped}
        path = self._home / mutant.source
        text = path.read_text()
        path.write_text(mutant.text)
        try:
            changed = self._codes(files)
            if all(original[name] == code for name, code in changed.items()):
                return MutantVerdict(mutant, SAME)
            refresh(self._home, self._shipped)
            touching = self._tests_of(mutant.source)
            failed = self._run_tests(touching)
            if not failed and not known:
                failed = self._run_tests(other_tests(self._home, touching))
        except Halt:
            return MutantVerdict(mutant, INVALID)
        except subprocess.TimeoutExpired:
            return MutantVerdict(mutant, KILLED, "the tests did not end")
        finally:
            path.write_text(text)
            self._restore()
        if failed:
            return MutantVerdict(mutant, KILLED, failed)
        if known:
            return MutantVerdict(mutant, SURVIVED)
        campaign, *_ = measure_campaign(CALLS, SEED, changed)
        if campaign.ok:
            return MutantVerdict(mutant, SURVIVED)
        return MutantVerdict(mutant, CAUGHT, campaign.note.splitlines()[0])

    def _fails_alone(self, mutant: Mutant, caller: str, name: str) -> str:
        """Return the first test that fails on a library by itself, "" if there is none."""
        path = self._home / mutant.source
        text = path.read_text()
        path.write_text(mutant.text)
        try:
            self._codes([caller])  # what does not compile is not killed by a test
            return self._run_tests([f"{TESTS}/test_{name}.py"])
        except Halt:
            return ""
        finally:
            path.write_text(text)

    def _restore(self) -> None:
        """Write the artifacts of the unchanged contracts, so that nothing is compiled again."""
        for path, text in self._unchanged.items():
            if path.read_text() != text:
                path.write_text(text)

    def _tests_of(self, source: str) -> list[str]:
        """Return the files of tests that touch a source, first those that killed its mutants."""
        files = _files(_TOUCHING.get(Path(source).stem, ()))
        return list(dict.fromkeys([*self._kept.killers(source), *files]))

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
            ended = f"pytest ended with {run.returncode} and no failed test"
            raise RuntimeError(f"{ended}; see {self._folder}/pytest.log")
        return failed[0].split()[1]


def other_tests(home: Path, files: Sequence[str]) -> list[str]:
    """Return the files of tests of contracts that are not among these, without tests of gas."""
    left_out = {*files, *(f"{TESTS}/test_{name}.py" for name in LEFT_OUT)}
    paths = sorted((home / TESTS).glob("test_*.py"))
    names = [path.relative_to(home).as_posix() for path in paths]
    return [name for name in names if name not in left_out]


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


def _files(names: Sequence[str]) -> list[str]:
    """Return the files of tests of these names, and of those that touch every contract."""
    return list(dict.fromkeys(f"{TESTS}/test_{name}.py" for name in [*names, *_ALWAYS]))


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
    sources = options.source or core_files(ROOT)
    verdicts = judge.judge_all(sources, options.count, options.seed)
    line = summarise(verdicts, REASONS.read_text(), 1)
    print(f"{line.value}\n{line.note}")
    return 0 if line.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
