"""docs/ADDING.md, carried out: a copy of the project takes a product that nobody listed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "ADDING.md"
FOLDERS = (
    "contracts",
    "device_adapters",
    "docs",
    "oracles",
    "orchestrator",
    "requirements",
    "scripts",
    "tests",
)
FILES = ("pyproject.toml", "ape-config.yaml", "Makefile", "README.md", "package.json")
_STEP = re.compile(r"^`([\w./]+)`\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 1_800  # also where contracts have to be compiled beside other tests


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project as it is here, with the page's files in it; returns its folder."""
    at = tmp_path_factory.mktemp("adding") / "project"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, at / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, at / file)
    if (ROOT / ".build").exists():
        with suppress(shutil.Error):  # what another test is just writing is compiled again
            shutil.copytree(ROOT / ".build", at / ".build")  # what is compiled already
    (at / "node_modules").symlink_to(ROOT / "node_modules")
    for path, text in steps():
        (at / path).parent.mkdir(parents=True, exist_ok=True)
        (at / path).write_text(text)
    return at


def steps() -> list[tuple[str, str]]:
    """(path, content) of every file that the page asks for, in its order."""
    return _STEP.findall(PAGE.read_text())


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        text=True,
        capture_output=True,
        timeout=SECONDS,
    )


def test_page__its_files__are_new_ones_only():
    paths = [path for path, _ in steps()]
    assert [Path(path).name for path in paths] == [
        "tally.py",
        "PayPerUse.sol",
        "__init__.py",
        "product.py",
        "cases.json",
        "README.md",
    ]
    assert not any((ROOT / path).exists() for path in paths)


def test_page__its_files_in_a_copy__pass_what_every_product_and_protocol_must(copy):
    done = run(
        copy,
        "-m",
        "pytest",
        "tests/every",
        "tests/style",
        "-k",
        "tally or pay_per_use or style",
        "-p",
        "no:cacheprovider",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert (
        "tally"
        in run(
            copy, "-c", "from device_adapters.registry import protocols; print(*protocols())"
        ).stdout.split()
    )


def test_page__its_files_in_a_copy__a_rail_settles_and_the_audit_holds(copy, standing, tmp_path):
    standing and standing.pop().stop()  # one rail at a time
    done = run(copy, "-m", "tests.support.laundry", str(tmp_path))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "outcomes": ["accepted", "accepted"],
        "amount_micro": 5_000_000,
        "verified": True,
        "breaks": [],
    }
