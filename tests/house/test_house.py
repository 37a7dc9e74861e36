"""The house rules as tests: imports go one way, one door per system, small pieces, no float."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable
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
    "eth_account": "orchestrator/edges/chain/ethereum.py",
    "solcx": "orchestrator/edges/chain/",
    "sqlmodel": "orchestrator/edges/store/",
    "sqlalchemy": "orchestrator/edges/store/",
    "alembic": "orchestrator/edges/store/",
    "fastapi": "orchestrator/edges/api/",
    "pyiso20022": "orchestrator/edges/bank/",
    "xsdata": "orchestrator/edges/bank/",
    "paramiko": "orchestrator/edges/bank/",
    "schwifty": "orchestrator/edges/bank/",
    "holidays": "orchestrator/edges/bank/",
    "amqtt": "orchestrator/edges/broker/",
    "paho": "device_adapters/inlets.py",
    "pyocmf": "device_adapters/",
}
# Ape costs seconds; the one place is the script that it runs itself
APE = {"scripts/deploy.py", "scripts/with_ape.py"}
MONEY = (
    "orchestrator/core",
    "orchestrator/steps",
    "orchestrator/products",
    "orchestrator/edges/bank",
    "orchestrator/edges/store",
    "scripts/simulated_bank",
)
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "models", "misc", "shared"}
MAX_FUNCTION, MAX_FILE, MAX_COLUMNS = 70, 400, 100

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
            base += [node.module] if node.module else []
            found |= {".".join(base), *(".".join([*base, alias.name]) for alias in node.names)}
    return found


def offenders(paths: list[Path], why: Callable[[Path], object]) -> list[str]:
    """Every file for which `why` says something, with what it says."""
    found = [(short(path), why(path)) for path in paths]
    return [f"{name}: {said}" for name, said in found if said]


def below(folder: str) -> list[Path]:
    return [path for path in FILES if short(path).startswith(folder)]


def test_house__everything_is_there__is_read() -> None:
    assert len(FILES) > 60 and len(SOLIDITY) > 8 and len(OWN) > 120


def test_imports__any_module__point_only_downwards() -> None:
    def upward(path: Path) -> set[str]:
        home = path.relative_to(ROOT).parts[0]
        tops = {name.split(".")[0] for name in imports(path)}
        return tops & ({*PACKAGES, "tests"} - BELOW[home])

    assert not offenders(FILES, upward)


def test_imports__inside_the_orchestrator__core_knows_no_edge_and_edges_no_step() -> None:
    def strangers(path: Path, *allowed: str) -> list[str]:
        own = [name for name in imports(path) if name.startswith("orchestrator.")]
        return [name for name in own if not name.startswith(allowed)]

    core = ("orchestrator.core", "orchestrator.errors")
    edge = (*core, "orchestrator.edges", "orchestrator.settings")
    api = (
        *edge,
        "orchestrator.intake",
        "orchestrator.trace",
        "orchestrator.products",
        "orchestrator.steps.outcomes",
    )
    assert not offenders(below("orchestrator/core/"), lambda p: strangers(p, *core))
    products = (*core, "orchestrator.products")
    assert not offenders(below("orchestrator/products/"), lambda p: strangers(p, *products))
    doors = [p for p in below("orchestrator/edges/") if "edges/api/" not in short(p)]
    assert not offenders(doors, lambda p: strangers(p, *edge))
    assert not offenders(below("orchestrator/edges/api/"), lambda p: strangers(p, *api))


def test_imports__files_behind_a_protocol__never_import_the_protocol_file() -> None:
    folder = below("device_adapters/protocols/")
    behind = [path for path in folder if path.name.startswith("_")]
    fronts = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in folder
        if path not in behind
    }
    assert len(fronts) > 2 and len(behind) > 9
    assert not offenders(behind, lambda path: imports(path) & fronts)


def test_doors__one_per_outside_system__nobody_else_imports_it() -> None:
    def trespass(path: Path) -> list[str]:
        tops = {name.split(".")[0] for name in imports(path)}
        found = [
            system
            for system, door in DOORS.items()
            if system in tops and not short(path).startswith(door)
        ]
        return found + (["ape"] if "ape" in tops and short(path) not in APE else [])

    assert not offenders(FILES, trespass)


def test_core__is_pure__no_clock_network_database_or_environment() -> None:
    impure = {
        "os",
        "time",
        "socket",
        "requests",
        "sqlite3",
        "random",
        "secrets",
        "subprocess",
        "threading",
        "pathlib",
        "urllib",
        "asyncio",
    }

    def reach(path: Path) -> set[str]:
        tops = {name.split(".")[0] for name in imports(path)}
        clock = {word for word in ("datetime.now", "date.today") if word in path.read_text()}
        return (tops & impure) | clock

    assert not offenders(below("orchestrator/core/"), reach)


def test_environment__is_read__only_by_settings_and_by_what_starts_processes() -> None:
    # the compiler's own wrapper hands its environment to the compiler it starts
    free = {"orchestrator/settings.py", "orchestrator/edges/chain/compiler.py"}

    def reads(path: Path) -> list[int]:
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)]
        return [node.lineno for node in nodes if node.attr in ("environ", "getenv")]

    paths = [p for p in FILES if short(p) not in free and not short(p).startswith("scripts/")]
    assert not offenders(paths, reads)


def test_money__no_float__anywhere_near_it() -> None:
    def floats(path: Path) -> list[str]:
        found = []
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                found.append(f"{node.lineno}: {node.value}")
            if isinstance(node, ast.Name) and node.id == "float":
                found.append(f"{node.lineno}: float")
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        return [said for said in found if not _joins_paths(said)]

    assert not offenders([p for folder in MONEY for p in below(folder)], floats)


def _joins_paths(said: str) -> bool:
    """Paths are joined by the sign of division; both operands then say so."""
    return bool(re.search(r"['\"]|name|folder|parent|outbox|inbox|root|MIGRATIONS", said))


def test_sizes__functions_files_and_lines__stay_small() -> None:
    def large(path: Path) -> list[str]:
        lines = path.read_text().splitlines()
        found = [f"{len(lines)} lines"] if len(lines) > MAX_FILE else []
        found += [f"line {n}" for n, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS]
        return found + [
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno - node.lineno >= MAX_FUNCTION
        ]

    assert not offenders(OWN, large)


def test_sizes__solidity__stays_small() -> None:
    def large(path: Path) -> list[str]:
        lines = path.read_text().splitlines()
        found = [f"{len(lines)} lines"] if len(lines) > MAX_FILE else []
        return found + [f"line {n}" for n, line in enumerate(lines, 1) if len(line) > 120]

    assert not offenders(SOLIDITY, large)


def test_modules__each__opens_with_a_sentence() -> None:
    def silent(path: Path) -> bool:
        said = (ast.get_docstring(tree(path)) or "").strip()
        return not said or not said.split("\n\n")[0].rstrip().endswith((".", ":"))

    assert not offenders(OWN, silent)


def test_names__no_bucket__for_what_has_no_home() -> None:
    def bucket(path: Path) -> set[str]:
        return {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} & BANNED_NAMES

    assert not offenders(FILES, bucket)


def test_exceptions__bad_input_slow_world_our_fault__no_other_families() -> None:
    allowed = {"Rejected", "Retry", "Halt", "Problem"}  # Problem: the API's RFC 9457 answer

    def families(path: Path) -> list[str]:
        return [
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef)
            and node.name not in allowed
            and {ast.unparse(base) for base in node.bases}
            & {"Exception", "ValueError", "RuntimeError", "BaseException", "Rejected"}
        ]

    assert not offenders(FILES, families)


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
