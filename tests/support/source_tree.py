"""What the style tests read: the project's own files, their syntax trees and their imports."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("device_adapters", "oracles", "orchestrator", "services", "scripts")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project: those that git knows, or all of a copy without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        return tuple(path for name in listed.stdout.split("\n") if (path := ROOT / name).is_file())
    apart = (".venv-tools", ".venv-halmos", ".venv-opendsm")
    hidden = (".venv", *apart, "node_modules", ".build", "site", "__pycache__")
    return tuple(
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not set(path.relative_to(ROOT).parts) & {*hidden}
    )


def files(*suffixes: str) -> list[Path]:
    """The project's files with these suffixes, without samples under tests/data."""
    return sorted(
        path
        for path in tracked()
        if path.suffix in suffixes and not short(path).startswith("tests/data/")
    )


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(), str(path))


def short(path: Path) -> str:
    """A path as the project names it."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name of a Python file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def sources() -> list[Path]:
    """The Python files of the packages that ship."""
    return [path for path in files(".py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def below(folder: str) -> list[Path]:
    """The shipped Python files whose path begins so."""
    return [path for path in sources() if short(path).startswith(folder)]


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports; relative imports are made absolute."""
    names = set()
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += [node.module] if node.module else []
            names |= {".".join(base), *(".".join([*base, alias.name]) for alias in node.names)}
    return names


def offenders(paths: list[Path], why: Callable[[Path], object]) -> list[str]:
    """Every file for which `why` returns something, with what it returns."""
    checked = [(short(path), why(path)) for path in paths]
    return [f"{name}: {reason}" for name, reason in checked if reason]


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected groups of more than one node (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return groups


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """Every class that a file defines, also inside functions."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))
