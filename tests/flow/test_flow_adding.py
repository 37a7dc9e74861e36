"""Follow docs/ADDING.md in a copy of the project: a running rail gets the product, and settles."""

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
    "packaging",
    "requirements",
    "services",
    "scripts",
    "tests",
)
FILES = (
    "pyproject.toml",
    "ape-config.yaml",
    "Makefile",
    "README.md",
    "package.json",
    "package-lock.json",
)
_STEP = re.compile(r"^`([\w./]+)`\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# what the documentation's own tests read
DOCUMENTATION = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "mkdocs.yml")
SECONDS = 1_800  # enough to compile the contracts while other tests run


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """Copy the project, add the page's files, and return the folder."""
    project = tmp_path_factory.mktemp("adding") / "project"
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in (*FILES, *DOCUMENTATION):
        shutil.copy(ROOT / file, project / file)
    if (ROOT / ".build").exists():
        with suppress(shutil.Error):  # a file that another test just writes is compiled again
            shutil.copytree(ROOT / ".build", project / ".build")  # compiled contracts
    (project / "node_modules").symlink_to(ROOT / "node_modules")
    for path, text in steps():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    done = run(project, "-m", "scripts.compile_contracts")  # what `make artifacts` runs
    assert done.stdout.split() == ["renewed", "PayPerUse.json"], done.stdout + done.stderr
    return project


def steps() -> list[tuple[str, str]]:
    """Return (path, content) of every file that the page adds, in its order."""
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
        "uses.py",
        "cases.json",
        "README.md",
    ]
    assert not any((ROOT / path).exists() for path in paths)


@pytest.mark.extended
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


def test_page__its_commands_on_a_running_rail__the_new_product_settles(copy, standing, tmp_path):
    """The rail was deployed without the product, and has payments when it is added."""
    standing and standing.pop().stop()  # only one rail runs at a time
    done = run(copy, "-m", "tests.support.adding_example", str(tmp_path))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "added": ["deploy deployed", "add done"],
        "outcomes": ["accepted", "accepted"],
        "amounts_micro": [2_500_000, 2_500_000],
        "verified": True,
        "breaks": [],
    }
