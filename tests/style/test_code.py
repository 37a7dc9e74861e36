"""Small pieces, no float near money, no state in modules, three answers to failure."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.source_tree import ROOT, below, classes, files, offenders, short, sources, tree

MAX_FUNCTION, MAX_FILE, MAX_COLUMNS, MAX_SOLIDITY_COLUMNS = 70, 400, 100, 120
MONEY = (
    "orchestrator/core",
    "orchestrator/steps",
    "orchestrator/products",
    "orchestrator/edges/bank",
    "orchestrator/edges/store",
    "services/simulated_bank",
)
EXCEPTIONS = {"Rejected", "Retry", "Halt", "Problem"}  # Problem: the API's RFC 9457 answer
# calls that make a container which a module could change; a constant is made of literals
MUTABLE_CALLS = {
    "dict",
    "list",
    "set",
    "defaultdict",
    "deque",
    "WeakKeyDictionary",
    "Counter",
    "OrderedDict",
    "count",
}
# what a module may hold and change, each with its reason
MODULE_STATE = {
    "orchestrator/edges/api/": "FastAPI routers collect routes at import",
    "orchestrator/commands/": "Typer applications collect commands at import",
}


def test_project__its_files__are_read() -> None:
    assert len(sources()) > 250 and len(files(".sol")) > 20 and len(files(".py")) > 500


def test_sizes__functions_files_and_lines__stay_small() -> None:
    def large(path: Path) -> list[str]:
        lines = path.read_text().splitlines()
        reasons = [f"{len(lines)} lines"] if len(lines) > MAX_FILE else []
        reasons += [f"line {n}" for n, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS]
        return reasons + [
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno - node.lineno >= MAX_FUNCTION
        ]

    assert not offenders(files(".py"), large)


def test_sizes__solidity__stays_small() -> None:
    def large(path: Path) -> list[str]:
        lines = path.read_text().splitlines()
        reasons = [f"{len(lines)} lines"] if len(lines) > MAX_FILE else []
        long = [n for n, line in enumerate(lines, 1) if len(line) > MAX_SOLIDITY_COLUMNS]
        return reasons + [f"line {n}" for n in long]

    assert not offenders(files(".sol"), large)


def test_modules__each__opens_with_a_sentence() -> None:
    def silent(path: Path) -> bool:
        text = (ast.get_docstring(tree(path)) or "").strip()
        return not text or not text.split("\n\n")[0].rstrip().endswith((".", ":"))

    assert not offenders(files(".py"), silent)


def test_modules__each__hold_no_state() -> None:
    def state(path: Path) -> list[str]:
        changed = {
            name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Global)
            for name in node.names
        }
        return [*sorted(changed), *_mutable(tree(path))]

    paths = [path for path in sources() if not short(path).startswith(tuple(MODULE_STATE))]
    assert not offenders(paths, state)


def _mutable(module: ast.Module) -> list[str]:
    """Names of empty or called-for containers that a module binds at its top."""
    names = []
    for node in module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        value = node.value
        empty = isinstance(value, ast.Dict | ast.List | ast.Set) and not ast.unparse(value)[1:-1]
        called = (
            isinstance(value, ast.Call)
            and ast.unparse(value.func).split(".")[-1] in MUTABLE_CALLS
            and not value.args
            and not value.keywords
        )
        if empty or called:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [ast.unparse(target) for target in targets]
    return names


def test_money__no_float__anywhere_near_it() -> None:
    def floats(path: Path) -> list[str]:
        reasons = []
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                reasons.append(f"{node.lineno}: {node.value}")
            if isinstance(node, ast.Name) and node.id == "float":
                reasons.append(f"{node.lineno}: float")
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                reasons.append(f"{node.lineno}: {ast.unparse(node)}")
        return [reason for reason in reasons if not _joins_paths(reason)]

    assert not offenders([path for folder in MONEY for path in below(folder)], floats)


def _joins_paths(reason: str) -> bool:
    """Paths are joined by the sign of division; both operands then say so."""
    return bool(re.search(r"['\"]|name|folder|parent|outbox|inbox|root|MIGRATIONS", reason))


def test_exceptions__bad_input_slow_world_our_fault__no_other_families() -> None:
    bases = {"Exception", "ValueError", "RuntimeError", "BaseException", "Rejected"}

    def families(path: Path) -> list[str]:
        return [
            node.name
            for node in classes(path)
            if node.name not in EXCEPTIONS and {ast.unparse(base) for base in node.bases} & bases
        ]

    assert not offenders(sources(), families)


def test_repository__tracked_files__name_no_machine_and_no_registry() -> None:
    forbidden = re.compile(
        "/ro" + r"ot/|/wo" + r"rk/|registry\.np" + r"mjs|files\.python" + r"hosted|pypi\.o" + "rg"
    )

    def names(path: Path) -> str:
        match = forbidden.search(path.read_text(errors="replace"))
        return match.group() if match else ""

    text = [p for p in files(*{p.suffix for p in ROOT.rglob("*.*")}) if p.suffix not in BINARY]
    assert len(text) > 500
    assert not offenders(text, names)


BINARY = {".png", ".svg", ".gz", ".sqlite3", ".zip"}
