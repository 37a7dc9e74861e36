"""Runs forge on the tests in tests/assurance, with the contracts as they ship."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.edges.chain.artifacts import SHIPPED, read_records
from scripts.assurance.programs import forge_binary
from scripts.solidity.compiler import build, ensure_compiler
from scripts.solidity.shipped import changed_files
from scripts.solidity.sources import CONTRACTS, ROOT

FORGE_FOLDER = ".build/forge"  # the only folder that the tests may write to
CAMPAIGN = "tests/assurance"
CONFIGURATION = f"{CAMPAIGN}/foundry.toml"
COUNTS = "counts.jsonl"

_FAILURE = re.compile(r"^\[FAIL: (.*?)\](?: .*)?$", re.MULTILINE)
_SIZE = re.compile(r"\(runs: (\d+), calls: (\d+)")
_CALL = re.compile(r"calldata=(\w+)\(.*?args=\[([^\]]*)")
_LAST_CALLS = 12  # of a failed sequence, that the note shows


@dataclass(frozen=True)
class ForgeRun:
    """What forge reported.

    Attributes:
        ok: Whether every test ran and passed.
        runs: Of a campaign.
        calls: Of a campaign, all runs together.
        failure: The reason and the last calls before it; empty where there is none.
        counts: The rows that the tests wrote.
    """

    ok: bool
    runs: int
    calls: int
    failure: str
    counts: tuple[str, ...] = ()


def run_forge(
    arguments: Sequence[str],
    settings: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    replaced: Mapping[str, str] | None = None,
    root: Path = ROOT,
) -> ForgeRun:
    """Run `forge test`, in a folder of its own for what the tests read and write.

    Args:
        arguments: Which tests, and how.
        settings: Environment variables of forge, such as FOUNDRY_INVARIANT_RUNS.
        files: Texts that the tests read, by file name.
        replaced: Bytecode (hex) to take instead of a contract's, by the contract's name.

    Raises:
        Halt: forge or the compiler is missing, or changed contracts do not compile.
    """
    home = root / FORGE_FOLDER
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=home))
    texts = {
        f"{name}.hex": code for name, code in (_bytecodes(root) | dict(replaced or {})).items()
    }
    for name, text in (texts | dict(files or {})).items():
        (folder / name).write_text(text)
    environment = {
        **os.environ,
        "FOUNDRY_SOLC": str(ensure_compiler(root).resolve()),
        "FOUNDRY_CONFIG": str((root / CONFIGURATION).resolve()),
        "ASSURANCE_FOLDER": folder.relative_to(root).as_posix(),
        # a sequence that failed once is not what this run is about
        "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": str(folder / "failures"),
        **settings,
    }
    try:
        return _tested(str(forge_binary(root)), arguments, root, environment, folder / COUNTS)
    finally:
        shutil.rmtree(folder)


def _bytecodes(root: Path) -> dict[str, str]:
    """Return shipped bytecode where it is current; else the contracts are compiled.

    So changed sources are what is tested.
    """
    if not changed_files(root):
        return {record["name"]: record["bytecode"] for record in read_records(SHIPPED)}
    made = build(root, root / ".build" / CONTRACTS)
    return {name: artifact.bytecode for name, artifact in made.items()}


def _tested(
    forge: str,
    arguments: Sequence[str],
    root: Path,
    environment: Mapping[str, str],
    counts: Path,
) -> ForgeRun:
    with _alone(root / FORGE_FOLDER):  # two at once would write the same files
        built = _run([forge, "build", "--root", str(root), CAMPAIGN], root, environment)
    if built.returncode:
        return read_run(built.stdout + built.stderr, built.returncode)
    done = _run([forge, "test", "--root", str(root), *arguments], root, environment)
    run = read_run(done.stdout + done.stderr, done.returncode)
    rows = tuple(counts.read_text().splitlines()) if counts.exists() else ()
    return replace(run, counts=rows)


def read_run(text: str, status: int) -> ForgeRun:
    """Read what `forge test` printed and exited with."""
    sizes = [(int(runs), int(calls)) for runs, calls in _SIZE.findall(text)]
    runs, calls = max(sizes, default=(0, 0))
    problem = _FAILURE.search(text)
    passed = status == 0 and "[PASS]" in text and problem is None
    if passed:
        return ForgeRun(True, runs, calls, "")
    reason = problem.group(1) if problem else text.strip()[-2000:]
    last = [f"{name}({seed.split(' ')[0]})" for name, seed in _CALL.findall(text)][-_LAST_CALLS:]
    trail = f"\nthe last calls: {', '.join(last)}" if last else ""
    return ForgeRun(False, runs, calls, f"{reason}{trail}")


def _run(
    command: Sequence[str], root: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block for the folder."""
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
