"""The command starts quickly: what checks files offline loads no chain, database or web library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
HEAVY = ("web3", "sqlmodel", "sqlalchemy", "fastapi", "alembic")
SAY = f"""
import sys
sys.argv = ["proofrail", *sys.argv[1:]]
from orchestrator.cli import main
try:
    main()
finally:
    print("LOADED", [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def run(folder: Path, *arguments: str, code: str = SAY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        timeout=300,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("evidence", "--help"),
        ("evidence", "check", "record"),
        ("audit", "verify", "bundle.json"),
        ("trace", "--help"),
    ],
)
def test_start__offline_commands__load_nothing_heavy(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    from device_adapters.protocols.ocmf.examples import SESSION

    (tmp_path / "record").write_bytes(SESSION)
    (tmp_path / "bundle.json").write_text("{}")
    ended = run(tmp_path, *arguments)
    assert "LOADED []" in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr


def test_start__offline_commands__create_nothing(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    run(tmp_path, "audit", "verify", "bundle.json")
    run(tmp_path, "trace", "anything")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.json"]


def test_entry_point__module__answers_with_usage_and_two() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "no-such-command"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
