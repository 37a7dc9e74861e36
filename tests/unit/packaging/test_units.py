"""Units and containers: systemd accepts the units, and what all of them name exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGING = ROOT / "packaging"
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def verify(folder: Path, name: str, text: str) -> str:
    """Return what systemd finds wrong in a unit; "" for nothing."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # the program is not installed at /opt here, and systemd looks for it
    program = re.sub(r"/opt/proofrail/bin/[a-z-]+", "/bin/true", text)
    file = folder / name.replace("@.", "@north.")
    file.write_text(program)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(file)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stderr if done.returncode or file.name in done.stderr else ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit__as_shipped__is_accepted_by_systemd(unit: Path, tmp_path: Path) -> None:
    assert verify(tmp_path, unit.name, unit.read_text()) == ""


def test_unit__with_a_misspelt_setting__is_not(tmp_path: Path) -> None:
    text = UNITS[-1].read_text().replace("ProtectSystem=strict", "ProtectSystem=strictly")
    assert "protect system" in verify(tmp_path, UNITS[-1].name, text)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit__its_program__is_one_that_the_wheel_installs(unit: Path) -> None:
    (program,) = re.findall(r"^ExecStart=/opt/proofrail/bin/(\S+) up\b", unit.read_text(), re.M)
    assert program in SCRIPTS and len(UNITS) == 2


def test_container__what_it_copies__exists_and_is_not_ignored() -> None:
    text = (PACKAGING / "Containerfile").read_text()
    copied = re.findall(r"^COPY (\S+) ", text, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied == ["requirements/rail.txt", "dist/*.whl"]
    assert all(f"!{name}" in ignored for name in copied) and (ROOT / copied[0]).is_file()
    assert "dockerfile: packaging/Containerfile" in (PACKAGING / "compose.yaml").read_text()
