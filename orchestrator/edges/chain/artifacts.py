"""Load the contracts: shipped artifacts while the sources are unchanged, else compiled ones.

Each artifact names what it was made from: the compiler, its settings, the hash of each of our own
source files, and the pinned release of each library. So a checkout without compiler and libraries
can decide that nothing changed. This file imports nothing outside the standard library, because
`scripts/bootstrap.py` asks it before there is an environment.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.edges.chain.compiler import build, build_file, build_files
from orchestrator.edges.chain.solidity import (
    CONTRACTS,
    SETTINGS,
    VERSION,
    Artifact,
    deployable_files,
    reached_sources,
)
from orchestrator.errors import Halt

PROJECT = Path(__file__).resolve().parents[3]
SHIPPED = Path(__file__).resolve().with_name("artifacts")
_log = logging.getLogger(__name__)


def load_artifacts(
    root: Path = PROJECT,
    watch: Callable[[int, int], None] = lambda done, total: None,
    shipped: Path = SHIPPED,
) -> dict[str, Artifact]:
    """Return every deployable contract.

    An installed package has no sources next to it: it uses what is shipped. A checkout compiles
    the files that changed since (cached under `.build`) and logs that it does.

    Args:
        root: the project's folder.
        watch: called with (compiled files, files to compile) as it goes.
        shipped: the folder of shipped artifacts.

    Returns:
        The artifacts by contract name.

    Raises:
        Halt: the sources changed and cannot be compiled here.
    """
    records = _records(shipped)
    if not any((root / CONTRACTS).glob("*.sol")):
        return {record["name"]: _artifact(record) for record in records}
    files = deployable_files(root)
    changed = _changed(root, files, records)
    artifacts = {
        record["name"]: _artifact(record)
        for record in records
        if record["source"] in files and record["source"] not in changed
    }
    if changed:
        _log.info("the sources of %s changed; compiling", ", ".join(changed))
        try:
            artifacts |= build_files(root, root / ".build" / CONTRACTS, changed, watch)
        except Halt as reason:
            raise Halt(
                f"These contracts differ from the shipped artifacts: {', '.join(changed)}. {reason}"
            ) from reason
    return artifacts


def changed_files(root: Path = PROJECT, shipped: Path = SHIPPED) -> list[str]:
    """Return the deployable files (relative to root) whose shipped artifacts are out of date."""
    return _changed(root, deployable_files(root), _records(shipped))


def write_shipped(root: Path = PROJECT, shipped: Path = SHIPPED) -> list[str]:
    """Compile all contracts and rewrite the shipped artifacts.

    Returns:
        The names of the files that were written or removed.
    """
    wanted = {f"{record['name']}.json": encode(record) for record in compiled_records(root)}
    shipped.mkdir(exist_ok=True)
    stale = [path for path in sorted(shipped.glob("*.json")) if path.name not in wanted]
    for path in stale:
        path.unlink()
    written = [path.name for path in stale]
    for name, text in wanted.items():
        path = shipped / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            written.append(name)
    return written


def compiled_records(root: Path = PROJECT) -> list[dict[str, Any]]:
    """Compile all contracts and return the content of each shipped file."""
    cache = root / ".build" / CONTRACTS
    build(root, cache)  # in parallel; below each file comes from the cache
    return [
        {
            "name": artifact.name,
            "abi": artifact.abi,
            "bytecode": artifact.bytecode,
            "deployedSize": artifact.deployed_size,
            "source": source,
            "madeFrom": _made_from(root, source),
        }
        for source in deployable_files(root)
        for artifact in build_file(root, cache, source)
    ]


def encode(record: dict[str, Any]) -> str:
    """Return the one text of a shipped file: sorted keys, one line per value, a line end."""
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def _made_from(root: Path, source: str) -> dict[str, Any]:
    """Return what an artifact depends on; `sources` are ours, `libraries` are pinned releases."""
    names = reached_sources(root, source)
    libraries = sorted({"/".join(name.split("/")[:2]) for name in names if name.startswith("@")})
    return {
        "compiler": VERSION,
        "settings": _digest(json.dumps(SETTINGS, sort_keys=True)),
        "sources": {
            name: _digest(text) for name, text in names.items() if not name.startswith("@")
        },
        "libraries": {name: _pinned(root, name) for name in libraries},
    }


def _changed(root: Path, files: list[str], records: list[dict[str, Any]]) -> list[str]:
    """Return the files that have no shipped artifact, or one that was made from something else."""
    made_from = {record["source"]: record["madeFrom"] for record in records}
    return [
        name for name in files if name not in made_from or not _is_current(root, made_from[name])
    ]


def _is_current(root: Path, made_from: dict[str, Any]) -> bool:
    """Return whether everything that an artifact was made from is still the same.

    Which files are reached follows from the texts of our own files, so equal hashes mean an equal
    set of files.
    """
    return (
        made_from["compiler"] == VERSION
        and made_from["settings"] == _digest(json.dumps(SETTINGS, sort_keys=True))
        and all(_hash(root / name) == digest for name, digest in made_from["sources"].items())
        and all(_pinned(root, name) == pin for name, pin in made_from["libraries"].items())
    )


def _pinned(root: Path, library: str) -> str:
    """Return the release of a library that package-lock.json pins, with its content hash."""
    lock = root / "package-lock.json"
    packages = json.loads(lock.read_bytes())["packages"] if lock.is_file() else {}
    entry = packages.get(f"node_modules/{library}", {})
    return f"{entry.get('version')} {entry.get('integrity')}"


def _records(shipped: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(shipped.glob("*.json"))]


def _artifact(record: dict[str, Any]) -> Artifact:
    return Artifact(record["name"], record["abi"], record["bytecode"], record["deployedSize"])


def _hash(path: Path) -> str | None:
    return _digest(path.read_text()) if path.is_file() else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
