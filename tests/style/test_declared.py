"""Every package that is imported is declared, pinned exactly and locked, and names no registry."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("device_adapters", "oracles", "orchestrator", "services")  # what the wheel holds
PRODUCT = (*PACKAGES, "scripts")
EXTRAS = ("base", "device", "oracle", "rail", "otel")
TOOLS_ONLY = {"ape", "ethpm_types"}  # scripts/deploy.py under Ape, tests/ape: tools.in
APART = {ROOT / "scripts" / "baseline_reference.py": "opendsm"}  # runs in .venv-opendsm
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z]+\])?==[0-9][0-9A-Za-z.]*")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(name: str) -> set[str]:
    """Distributions of requirements/NAME.in and of the files that it includes."""
    distributions = set()
    for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            distributions |= declared(line[3:].removesuffix(".in"))
        elif line and not line.startswith("#"):
            pin = _PIN.fullmatch(line)
            assert pin, f"requirements/{name}.in: {line!r} is not pinned exactly"
            distributions.add(normal(pin[1]))
    return distributions


def imported(folders: Iterable[str]) -> dict[str, str]:
    """Modules that the files of folders import, except files with an environment of their own."""
    files = {path for folder in folders for path in (ROOT / folder).rglob("*.py")}
    return imported_by(sorted(files - APART.keys()))


def imported_by(files: Iterable[Path]) -> dict[str, str]:
    """Top-level modules that are neither ours nor Python's, each with a file that imports it."""
    own_modules = {*PRODUCT, "tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    modules: dict[str, str] = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in (
                {name.split(".")[0] for name in names} - own_modules - sys.stdlib_module_names
            ):
                modules[top] = path.relative_to(ROOT).as_posix()
    return modules


def undeclared(folders: Iterable[str], requirements: set[str]) -> list[str]:
    owners = packages_distributions()
    return [
        f"{place} imports {module}"
        for module, place in imported(folders).items()
        if module not in TOOLS_ONLY
        and not {normal(owner) for owner in owners.get(module, ())} & requirements
    ]


def test_packages__every_module_they_import__is_declared_in_the_base_or_an_extra() -> None:
    assert {"web3", "pydantic", "starlette", "sqlalchemy"} <= set(imported(PACKAGES))
    assert undeclared(PACKAGES, set().union(*map(declared, EXTRAS))) == []


def test_product__every_module_it_imports__is_declared_in_runtime() -> None:
    assert "solcx" in imported(PRODUCT)
    assert undeclared(PRODUCT, declared("runtime") | declared("otel")) == []


def test_file_with_its_own_environment__every_module_it_imports__is_declared_for_it() -> None:
    for path, name in APART.items():
        modules = imported_by([path])
        assert name in modules and set(modules) <= declared(name)


def test_extras__their_files__name_each_distribution_in_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for name in EXTRAS:
        text = (ROOT / "requirements" / f"{name}.in").read_text()
        assert "\n-r" not in text, f"{name}.in: setuptools reads no -r lines"
        for line in re.findall(r"^[a-z].*$", text, re.MULTILINE):
            pins.setdefault(normal(re.split(r"[\[=]", line)[0]), set()).add(line)
    assert len(pins) > 30 and [found for found in pins.values() if len(found) > 1] == []


def test_tests__every_module_they_import__is_declared_in_dev() -> None:
    assert {"pytest", "ecdsa"} <= set(imported(["tests"]))
    assert undeclared(["tests"], declared("dev")) == []


def test_requirements__each_declared_package__is_locked_with_hashes() -> None:
    files = sorted((ROOT / "requirements").glob("*.in"))
    assert len(files) == 12
    for file in files:
        lock = file.with_suffix(".txt").read_text()
        locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
        assert declared(file.stem) <= locked, file.name
        entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
        assert all("--hash=sha256:" in entry for entry in entries if "==" in entry), file.name


def test_locks__every_file__names_no_registry() -> None:
    files = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "package-lock.json"]
    for file in files:
        if file == ROOT / "package-lock.json" and not file.exists():
            continue  # a copy of the project by tests/flow/test_flow_adding.py
        text = re.sub(r'"url": "[^"]*"', "", file.read_text())  # where a package asks for donations
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text), file.name
