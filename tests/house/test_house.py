"""The house rules as tests: imports go one way, one door per system, small pieces, no float."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("device_adapters", "oracles", "orchestrator", "scripts")
# who may import whom; everything may import the standard library and packages
BELOW = {
    "device_adapters": {"device_adapters"},
    "oracles": {"oracles", "device_adapters"},
    "orchestrator": {"orchestrator", "oracles", "device_adapters"},
    "scripts": {"scripts", "orchestrator", "oracles", "device_adapters"},
}
DOORS = {
    "web3": "orchestrator/edges/chain/",
    "solcx": "orchestrator/edges/chain/",
    "sqlmodel": "orchestrator/edges/store/",
    "sqlalchemy": "orchestrator/edges/store/",
    "alembic": "orchestrator/edges/store/",
    "fastapi": "orchestrator/edges/api/",
    "pyiso20022": "orchestrator/edges/bank/",
    "xsdata": "orchestrator/edges/bank/",
    "amqtt": "orchestrator/edges/broker/",
    "paho": "device_adapters/inlets.py",
    "pyocmf": "device_adapters/",
}
# Ape costs seconds; the one place is the script that it runs itself
APE = {"scripts/deploy.py", "scripts/with_ape.py"}
MONEY = ("orchestrator/core", "orchestrator/steps", "orchestrator/products",
         "orchestrator/edges/bank", "orchestrator/edges/store", "scripts/simulated_bank")  # fmt: skip
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "models", "misc", "shared"}
MAX_FUNCTION, MAX_FILE, MAX_COLUMNS = 70, 300, 100

FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
OWN = [*FILES, *sorted((ROOT / "tests").rglob("*.py"))]
SOLIDITY = sorted((ROOT / "contracts").rglob("*.sol"))


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports; relative imports are made absolute."""
    found = set()
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            found.add(".".join([*base, node.module or ""]).strip("."))
            found |= {".".join([*base, node.module or "", alias.name]).strip(".")
                      for alias in node.names}  # fmt: skip
    return found


def parametrised(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=short)


def test_house__everything_is_there__is_read() -> None:
    assert len(FILES) > 60 and len(SOLIDITY) > 8


@parametrised(FILES)
def test_imports__any_module__point_only_downwards(path: Path) -> None:
    home = path.relative_to(ROOT).parts[0]
    tops = {name.split(".")[0] for name in imports(path)}
    assert not tops & set(PACKAGES) - BELOW[home]
    assert "tests" not in tops


@parametrised([p for p in FILES if short(p).startswith("orchestrator/")])
def test_imports__inside_the_orchestrator__core_knows_no_edge(path: Path) -> None:
    names = imports(path)
    upper = ("orchestrator.steps", "orchestrator.worker", "orchestrator.cli",
             "orchestrator.commands")  # fmt: skip
    if short(path).startswith("orchestrator/core/"):
        allowed = ("orchestrator.core", "orchestrator.errors")
        assert not [n for n in names if n.startswith("orchestrator.") and not n.startswith(allowed)]
    if short(path).startswith("orchestrator/edges/"):
        assert not [n for n in names if n.startswith(upper)]
    if short(path).startswith("orchestrator/products/"):
        allowed = ("orchestrator.core", "orchestrator.products")
        assert not [n for n in names if n.startswith("orchestrator.") and not n.startswith(allowed)]


@parametrised(FILES)
def test_doors__one_package_per_outside_system__nobody_else_imports_it(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    for system, door in DOORS.items():
        assert system not in tops or short(path).startswith(door), f"{system} has its own door"
    assert "ape" not in tops or short(path) in APE


@parametrised([p for p in FILES if short(p).startswith("orchestrator/core/")])
def test_core__is_pure__no_clock_network_database_or_environment(path: Path) -> None:
    impure = {"os", "time", "socket", "requests", "sqlite3", "random", "secrets", "subprocess",
              "threading", "pathlib", "urllib", "asyncio"}  # fmt: skip
    assert not {name.split(".")[0] for name in imports(path)} & impure
    source = path.read_text()
    assert "datetime.now" not in source and "date.today" not in source


@parametrised(FILES)
def test_environment__is_read__only_by_settings_and_by_what_starts_processes(path: Path) -> None:
    if short(path) == "orchestrator/settings.py" or short(path).startswith("scripts/"):
        return
    reads = [
        node for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]  # fmt: skip
    allowed = 1 if short(path) == "orchestrator/edges/chain/compiler.py" else 0  # for the compiler
    assert len(reads) <= allowed


@parametrised([p for p in FILES if short(p).startswith(MONEY)])
def test_money__no_float__anywhere_near_it(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), node.lineno
        assert not (isinstance(node, ast.Name) and node.id == "float"), node.lineno
        true_division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if true_division:  # paths are joined by the same sign
            sides = ast.unparse(node)
            assert '"' in sides or "'" in sides or "name" in sides, f"{node.lineno}: {sides}"


@parametrised(OWN)
def test_sizes__functions_files_and_lines__stay_small(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= MAX_FILE
    assert not [n for n, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= MAX_FUNCTION, node.name


@parametrised(SOLIDITY)
def test_sizes__solidity__stays_small(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 555 and not [line for line in lines if len(line) > 120]


@parametrised(OWN)
def test_modules__each__opens_with_a_sentence(path: Path) -> None:
    said = ast.get_docstring(tree(path))
    assert (said and said.strip().splitlines()[0].rstrip().endswith((".", ":", ",", ";"))) or (
        said and len(said.splitlines()) > 1
    )


@parametrised(FILES)
def test_names__no_bucket__for_what_has_no_home(path: Path) -> None:
    parts = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    assert not parts & BANNED_NAMES


@parametrised(FILES)
def test_exceptions__two_families_and_bad_input__no_others(path: Path) -> None:
    allowed = {"Rejected", "Retry", "Halt", "Problem"}  # Problem: the API's RFC 9457 answer
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            if bases & {"Exception", "ValueError", "RuntimeError", "BaseException"}:
                assert node.name in allowed, node.name


def test_repository__tracked_files__name_no_machine_and_no_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    forbidden = re.compile(
        "/ro" + r"ot/|/wo" + r"rk/|registry\.np" + r"mjs|files\.python" + r"hosted|pypi\.o" + "rg"
    )
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".png", ".svg") or not path.is_file():
            continue
        found = forbidden.search(path.read_text(errors="replace"))
        assert found is None, f"{name}: {found.group() if found else ''}"
