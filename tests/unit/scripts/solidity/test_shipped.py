"""The shipped artifacts: equal to what the compiler makes, and renewed where a source changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.edges.chain.artifacts import SHIPPED, load_artifacts, product_contracts
from orchestrator.errors import Halt
from scripts.solidity import compiler, shipped
from scripts.solidity.sources import ROOT

TOKEN = "contracts/EuroToken.sol"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the sources as a fresh clone has them: no compiler and no libraries."""
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    shutil.copy(ROOT / "package-lock.json", tmp_path / "package-lock.json")
    shutil.copytree(SHIPPED, tmp_path / "artifacts")
    return tmp_path


@pytest.fixture
def no_native_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_native", lambda: None)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refresh(checkout: Path) -> list[str]:
    return shipped.refresh(checkout, checkout / "artifacts")


def changed(checkout: Path) -> list[str]:
    return shipped.changed_files(checkout, checkout / "artifacts")


@pytest.mark.long
@pytest.mark.timeout(3_600)  # minutes of both cores where nothing is compiled yet
def test_shipped__compiled_again__are_equal_byte_for_byte():
    """Compile with py-solc-x; what .build holds for exactly these sources is not compiled twice."""
    records = shipped.compiled_records(ROOT, shipped.deployable_files(ROOT))
    compiled = {f"{record['name']}.json": shipped.encode(record) for record in records}
    texts = {path.name: path.read_text() for path in SHIPPED.glob("*.json")}
    assert texts.keys() == compiled.keys(), "run `make artifacts` and commit the result"
    for name, text in compiled.items():
        assert texts[name] == text, f"{name} is out of date: run `make artifacts` and commit it"


def test_shipped__canonical__one_text_for_one_content():
    for path in SHIPPED.glob("*.json"):
        assert path.read_text() == shipped.encode(json.loads(path.read_bytes()))


def test_products__one_for_each_file_of_the_folder():
    files = sorted(path.stem for path in (ROOT / "contracts/products").glob("*.sol"))
    assert sorted(product_contracts()) == files and set(files) < set(load_artifacts())


def test_refresh__unchanged_sources__needs_no_compiler_and_no_libraries(checkout, monkeypatch):
    monkeypatch.setattr(compiler, "build_file", lambda *_: pytest.fail("compiled"))
    assert changed(checkout) == [] == refresh(checkout)
    assert not (checkout / ".build").exists()


def test_refresh__one_byte_changed__compiles_that_file_alone(checkout, monkeypatch):
    change(checkout / TOKEN, "\n", "\n\n")
    compiled = []

    def build_file(root: Path, cache: Path, name: str) -> list:
        compiled.append(name)
        return []

    monkeypatch.setattr(compiler, "build_file", build_file)
    monkeypatch.setattr(shipped, "build_file", lambda *_: [])
    assert changed(checkout) == [TOKEN]
    assert refresh(checkout) == ["EuroToken.json"]
    assert compiled == [TOKEN] and not (checkout / "artifacts/EuroToken.json").exists()


def test_current__one_file_changed__compiles_it_and_takes_the_others_as_they_ship(
    checkout, monkeypatch
):
    change(checkout / TOKEN, "\n", "\n\n")
    compiled = []
    monkeypatch.setattr(compiler, "build_file", lambda *args: compiled.append(args[2]) or [])
    files = (TOKEN, "contracts/Disputes.sol")
    known = shipped.current_artifacts(files, checkout / ".build", checkout, checkout / "artifacts")
    assert compiled == [TOKEN]
    assert known == {"Disputes": load_artifacts()["Disputes"]}


def test_refresh__changed_behaviour__writes_what_the_compiler_made(checkout, caplog):
    (checkout / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    change(checkout / TOKEN, "{\n", "{\n    uint256 public constant EDITION = 2;\n")
    assert refresh(checkout) == ["EuroToken.json"]
    record = json.loads((checkout / "artifacts/EuroToken.json").read_bytes())
    assert "EDITION" in {entry.get("name") for entry in record["abi"]}
    assert "compiling contracts/EuroToken.sol" in caplog.text
    rail = (checkout / "artifacts/PaymentRail.json").read_text()
    assert rail == (SHIPPED / "PaymentRail.json").read_text()
    assert refresh(checkout) == []


def test_changed__imported_file__concerns_every_contract_that_reaches_it(checkout):
    change(checkout / "contracts/libraries/Claims.sol", "\n", "\n\n")
    files = changed(checkout)
    assert "contracts/PaymentRail.sol" in files and TOKEN not in files


def test_changed__new_contract__has_no_artifact_yet(checkout):
    (checkout / "contracts/New.sol").write_text("contract New {}\n")
    assert changed(checkout) == ["contracts/New.sol"]


def test_refresh__contract_removed__removes_its_artifact(checkout):
    (checkout / TOKEN).unlink()
    assert refresh(checkout) == ["EuroToken.json"]
    assert not (checkout / "artifacts/EuroToken.json").exists()


def test_changed__other_library_release__concerns_what_imports_it(checkout):
    lock = json.loads((checkout / "package-lock.json").read_text())
    lock["packages"]["node_modules/@openzeppelin/contracts"]["version"] = "5.7.1"
    (checkout / "package-lock.json").write_text(json.dumps(lock))
    assert TOKEN in changed(checkout)


@pytest.mark.parametrize("name, value", [("VERSION", "0.8.38"), ("SETTINGS", {"viaIR": False})])
def test_changed__other_compiler_or_settings__concerns_everything(
    checkout, monkeypatch, name, value
):
    monkeypatch.setattr(shipped, name, value)
    files = changed(checkout)
    assert len(files) == len(list(SHIPPED.glob("*.json")))


def test_refresh__changed_and_no_library__halts_with_the_next_step(checkout):
    change(checkout / TOKEN, "\n", "\n\n")
    with pytest.raises(Halt, match=r"EuroToken\.sol(.|\n)*make setup-dev"):
        refresh(checkout)


def test_refresh__changed_and_no_compiler__halts_with_the_next_step(checkout, no_native_compiler):
    change(checkout / TOKEN, "\n", "\n\n")
    (checkout / "node_modules").mkdir()
    (checkout / "node_modules/@openzeppelin").symlink_to(ROOT / "node_modules/@openzeppelin")
    with pytest.raises(Halt, match=r"EuroToken\.sol.*No Solidity compiler.*make setup-dev"):
        refresh(checkout)
