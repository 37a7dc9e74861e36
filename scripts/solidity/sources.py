"""What a compiled contract is made from: the compiler, its settings, the source files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from orchestrator.errors import Halt

ROOT = Path(__file__).resolve().parents[2]
VERSION = "0.8.37"
CONTRACTS = "contracts"
TREES = ".build/trees"  # where syntax trees are kept
SETTINGS: dict[str, Any] = {
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    "evmVersion": "osaka",
    "metadata": {"bytecodeHash": "none"},  # the code depends on the sources alone
}

_IMPORT = re.compile(r"""^\s*import\b[^;]*?["']([^"']+)["']\s*;""", re.MULTILINE)
_DEPLOYABLE = re.compile(r"^contract\s", re.MULTILINE)


def deployable_files(root: Path, folder: str = CONTRACTS) -> list[str]:
    """Return the files under root/folder that define a contract to deploy.

    Args:
        root: the project's folder.
        folder: where to look, relative to root.

    Returns:
        Paths relative to root, with forward slashes, sorted.
    """
    files = sorted((root / folder).rglob("*.sol"))
    return [
        path.relative_to(root).as_posix() for path in files if _DEPLOYABLE.search(path.read_text())
    ]


def reached_sources(root: Path, first: str) -> dict[str, str]:
    """Return a Solidity file and every file it imports, directly or not.

    Args:
        root: the project's folder, which holds `contracts/` and `node_modules/`.
        first: the file to start from, relative to root.

    Returns:
        The text of each file, by the path that imports resolve to.

    Raises:
        Halt: an imported file is missing.
    """
    waiting = [first]
    sources: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        sources[name] = _read(root, name)
        waiting += [_resolve(name, target) for target in _IMPORT.findall(sources[name])]
    return sources


def _read(root: Path, name: str) -> str:
    for base in (root, root / "node_modules"):
        if (base / name).is_file():
            return (base / name).read_text()
    raise Halt(
        f"The Solidity file {name} is missing, so the contracts cannot be compiled. "
        "Run `make setup-dev` if it belongs to a library; else correct the import."
    )


def _resolve(importer: str, target: str) -> str:
    if not target.startswith("."):
        return target
    return os.path.normpath(f"{os.path.dirname(importer)}/{target}").replace(os.sep, "/")
