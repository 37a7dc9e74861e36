"""The command starts quickly: each command loads the libraries that it needs, and no others.

No time is measured here, since a test runs on a busy machine too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.released import migrated_database

ROOT = Path(__file__).resolve().parents[4]
HEAVY = ("web3", "eth_account", "sqlmodel", "sqlalchemy", "fastapi", "alembic", "requests")
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


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the home of a rail that an earlier release began."""
    home = tmp_path / "home"
    home.mkdir()
    migrated_database(home / "proofrail.sqlite3")
    return home


def test_start__help__imports_no_command(tmp_path: Path) -> None:
    code = SAY.replace(repr(HEAVY), "sys.modules if '.commands.' in name or '.edges' in name")
    code = code.replace(" if name in sys.modules]", "]")
    ended = run(tmp_path, "--help", code=code)
    assert "['orchestrator.commands.output', 'orchestrator.commands.home']" in ended.stderr


def test_start__status__reads_totals_without_the_mapper(home: Path) -> None:
    ended = run(home.parent, "status", "--home", str(home))
    assert "reconciled" in ended.stdout, ended.stderr
    assert "LOADED []" in ended.stderr


def test_start__trace__loads_no_chain_no_server_and_only_its_own_protocol(home: Path) -> None:
    listed = run(home.parent, "payments", "--home", str(home), "--json").stdout
    payment = next(p for p in json.loads(listed)["payments"] if p["device"].startswith("cp-"))
    code = SAY.replace(repr(HEAVY), repr((*HEAVY, "biip", "pyocmf")))
    ended = run(home.parent, "trace", payment["payment_id"], "--home", str(home), code=code)
    assert payment["payment_id"] in ended.stdout, ended.stderr
    assert "LOADED ['sqlmodel', 'sqlalchemy', 'pyocmf']" in ended.stderr


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
