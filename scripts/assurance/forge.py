"""Runs forge on the tests in tests/assurance, with the contracts as they ship."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.edges.chain.artifacts import SHIPPED, read_records
from scripts.assurance.programs import forge_binary
from scripts.solidity.compiler import build, ensure_compiler
from scripts.solidity.shipped import changed_files
from scripts.solidity.sources import CONTRACTS, ROOT

FORGE_FOLDER = ".build/forge"  # the only folder that the tests may write to
CONFIGURATION = "tests/assurance/foundry.toml"

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
    """

    ok: bool
    runs: int
    calls: int
    failure: str


def write_code(folder: Path, root: Path = ROOT) -> None:
    """Write the bytecode of each contract to folder/code, one NAME.hex each.

    Shipped artifacts are taken where they are current; else the contracts are compiled, so that
    changed sources are what is tested.

    Raises:
        Halt: The sources changed and cannot be compiled.
    """
    if changed_files(root):
        made = build(root, root / ".build" / CONTRACTS)
        bytecodes = {name: artifact.bytecode for name, artifact in made.items()}
    else:
        bytecodes = {record["name"]: record["bytecode"] for record in read_records(SHIPPED)}
    code = folder / "code"
    with _alone(folder):
        code.mkdir(exist_ok=True)
        for name, bytecode in bytecodes.items():
            (code / f"{name}.hex").write_text(bytecode)


def run_forge(arguments: Sequence[str], settings: Mapping[str, str], root: Path = ROOT) -> ForgeRun:
    """Run `forge test`.

    Args:
        arguments: Which tests, and how.
        settings: Environment variables of forge, such as FOUNDRY_INVARIANT_RUNS.

    Raises:
        Halt: forge or the compiler is missing.
    """
    folder = root / FORGE_FOLDER
    environment = {
        **os.environ,
        "FOUNDRY_SOLC": str(ensure_compiler(root).resolve()),
        "FOUNDRY_CONFIG": str((root / CONFIGURATION).resolve()),
        "ASSURANCE_CODE": f"{FORGE_FOLDER}/code",
        **settings,
    }
    forge = str(forge_binary(root))
    with _alone(folder):  # two at once would write the same files
        built = _run([forge, "build", "--root", str(root), "tests/assurance"], root, environment)
    if built.returncode:
        return read_run(built.stdout + built.stderr, built.returncode)
    done = _run([forge, "test", "--root", str(root), *arguments], root, environment)
    return read_run(done.stdout + done.stderr, done.returncode)


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
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
