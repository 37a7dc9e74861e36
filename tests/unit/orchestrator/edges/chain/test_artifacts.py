"""The shipped artifacts: equal to what the compiler makes, and used only while nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.edges.chain import artifacts, compiler
from orchestrator.errors import Halt

ROOT = Path(__file__).resolve().parents[5]
TOKEN = "contracts/EuroToken.sol"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the sources as a fresh clone has them: no compiler and no libraries."""
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    shutil.copy(ROOT / "package-lock.json", tmp_path / "package-lock.json")
    return tmp_path


@pytest.fixture
def no_native_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_native", lambda: None)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.long
def test_shipped__compiled_again__are_equal_byte_for_byte():
    """Compile with py-solc-x; what .build holds for exactly these sources is not compiled twice."""
    compiled = {f"{r['name']}.json": artifacts.encode(r) for r in artifacts.compiled_records(ROOT)}
    shipped = {path.name: path.read_text() for path in artifacts.SHIPPED.iterdir()}
    assert shipped.keys() == compiled.keys(), "run `make artifacts` and commit the result"
    for name, text in compiled.items():
        assert shipped[name] == text, f"{name} is out of date: run `make artifacts` and commit it"


def test_shipped__canonical__one_text_for_one_content():
    for path in artifacts.SHIPPED.iterdir():
        assert path.read_text() == artifacts.encode(json.loads(path.read_bytes()))


def test_load__unchanged_sources__needs_no_compiler_and_no_libraries(checkout, monkeypatch):
    monkeypatch.setattr(compiler, "build_file", lambda *_: pytest.fail("compiled"))
    loaded = artifacts.load_artifacts(checkout)
    assert artifacts.changed_files(checkout) == []
    assert len(loaded) == len(list(artifacts.SHIPPED.iterdir()))
    assert loaded == artifacts.load_artifacts(ROOT)
    assert not (checkout / ".build").exists()


def test_load__no_sources_next_to_the_package__uses_what_is_shipped(tmp_path):
    assert artifacts.load_artifacts(tmp_path) == artifacts.load_artifacts(ROOT)


def test_load__one_byte_changed__compiles_that_file_alone(checkout, monkeypatch):
    change(checkout / TOKEN, "\n", "\n\n")
    compiled = []

    def build_file(root: Path, cache: Path, name: str) -> list:
        compiled.append(name)
        return []

    monkeypatch.setattr(compiler, "build_file", build_file)
    loaded = artifacts.load_artifacts(checkout)
    assert compiled == artifacts.changed_files(checkout) == [TOKEN]
    assert "EuroToken" not in loaded and "PaymentRail" in loaded


def test_load__changed_behaviour__returns_what_the_compiler_made(checkout, caplog):
    (checkout / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    change(checkout / TOKEN, "{\n", "{\n    uint256 public constant EDITION = 2;\n")
    loaded = artifacts.load_artifacts(checkout)
    assert "EDITION" in {entry.get("name") for entry in loaded["EuroToken"].abi}
    assert "compiling contracts/EuroToken.sol" in caplog.text
    assert loaded["PaymentRail"] == artifacts.load_artifacts(ROOT)["PaymentRail"]


def test_changed__imported_file__concerns_every_contract_that_reaches_it(checkout):
    change(checkout / "contracts/libraries/Claims.sol", "\n", "\n\n")
    changed = artifacts.changed_files(checkout)
    assert "contracts/PaymentRail.sol" in changed and TOKEN not in changed


def test_changed__new_contract__has_no_artifact_yet(checkout):
    (checkout / "contracts/New.sol").write_text("contract New {}\n")
    assert artifacts.changed_files(checkout) == ["contracts/New.sol"]


def test_load__contract_removed__is_not_returned(checkout):
    (checkout / TOKEN).unlink()
    assert "EuroToken" not in artifacts.load_artifacts(checkout)


def test_changed__other_library_release__concerns_what_imports_it(checkout):
    lock = json.loads((checkout / "package-lock.json").read_text())
    lock["packages"]["node_modules/@openzeppelin/contracts"]["version"] = "5.7.1"
    (checkout / "package-lock.json").write_text(json.dumps(lock))
    assert TOKEN in artifacts.changed_files(checkout)


@pytest.mark.parametrize("name, value", [("VERSION", "0.8.38"), ("SETTINGS", {"viaIR": False})])
def test_changed__other_compiler_or_settings__concerns_everything(
    checkout, monkeypatch, name, value
):
    monkeypatch.setattr(artifacts, name, value)
    changed = artifacts.changed_files(checkout)
    assert len(changed) == len(list(artifacts.SHIPPED.iterdir()))


def test_load__changed_and_no_library__halts_with_the_next_step(checkout):
    change(checkout / TOKEN, "\n", "\n\n")
    with pytest.raises(Halt, match=r"EuroToken\.sol(.|\n)*make setup-dev"):
        artifacts.load_artifacts(checkout)


def test_load__changed_and_no_compiler__halts_with_the_next_step(checkout, no_native_compiler):
    change(checkout / TOKEN, "\n", "\n\n")
    (checkout / "node_modules").mkdir()
    (checkout / "node_modules/@openzeppelin").symlink_to(ROOT / "node_modules/@openzeppelin")
    with pytest.raises(Halt, match=r"EuroToken\.sol.*No Solidity compiler.*make setup-dev"):
        artifacts.load_artifacts(checkout)


def test_write__out_of_date_folder__is_made_equal(checkout, tmp_path):
    (checkout / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    if (ROOT / ".build/contracts").exists():
        shutil.copytree(ROOT / ".build/contracts", checkout / ".build/contracts")
    shipped = shutil.copytree(artifacts.SHIPPED, tmp_path / "shipped")
    (shipped / "Gone.json").write_text("{}")
    (shipped / "EuroToken.json").write_text("{}")
    assert artifacts.write_shipped(checkout, shipped) == ["Gone.json", "EuroToken.json"]
    assert artifacts.write_shipped(checkout, shipped) == []


def test_load__from_a_wheel__finds_artifacts_and_migrations(tmp_path):
    source = tmp_path / "source"
    for folder in (
        "orchestrator",
        "oracles",
        "device_adapters",
        "services",
        "scripts",
        "requirements",
    ):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", source)
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    wheel = next(source.glob("*.whl"))
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    code = (
        "from pathlib import Path; from orchestrator.edges.chain.artifacts import load_artifacts\n"
        "from orchestrator.edges.store import Store\n"
        "Store(Path('database.sqlite3')).close(); print(*sorted(load_artifacts()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
    )
    names = sorted(path.stem for path in artifacts.SHIPPED.iterdir())
    assert ran.stdout.split() == names, ran.stderr
