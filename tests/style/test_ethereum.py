"""Importing eth-account must not raise the recursion limit of a process (edges/chain/ethereum.py).

tests/unit/orchestrator/test_deep_nesting.py shows what would happen.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("device_adapters", "oracles", "orchestrator", "services", "scripts")
SAFE = "orchestrator.edges.chain.ethereum"
RAISING = {"eth_account", "web3"}

FILES = [path for folder in (*PRODUCT, "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, each with its packages."""
    names: set[str] = set()
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def reaches_safe(path: Path, seen: set[Path]) -> bool:
    """Whether the file imports the safe module, itself or through modules of the project."""
    names = imports(path)
    if SAFE in names:
        return True
    below = {NAMES[name] for name in names if name in NAMES} - seen
    seen |= below
    return any(reaches_safe(other, seen) for other in below)


def raising(folders: tuple[str, ...]) -> list[Path]:
    return [
        path
        for path in FILES
        if path.relative_to(ROOT).parts[0] in folders
        and {name.split(".")[0] for name in imports(path)} & RAISING
    ]


def test_product__each_file_with_web3__imports_the_safe_module_itself() -> None:
    files = raising(PRODUCT)
    assert len(files) > 3
    safe = NAMES[SAFE]
    assert [path for path in files if path != safe and SAFE not in imports(path)] == []


def test_tests__each_file_with_web3__reaches_the_safe_module() -> None:
    files = raising(("tests",))
    assert len(files) > 10
    assert [path for path in files if not reaches_safe(path, {path})] == []


def test_chain_adapter__imported_after_eth_account_or_before__leaves_the_limit_at_1000() -> None:
    for first in ("orchestrator.edges.chain.client", "eth_account", "web3"):
        code = (
            f"import sys, {first}, orchestrator.edges.chain.client, services.orchestrator; "
            "import eth_account, web3, py_ecc; print(sys.getrecursionlimit())"
        )
        answer = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == "1000", first
