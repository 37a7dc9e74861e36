"""The artifacts that ship with the package: which are out of date, and their renewal.

Each artifact names what it was made from: the compiler, its settings, the hash of each of our own
source files, and the pinned release of each library. So a checkout without compiler and libraries
can decide that nothing changed. This file imports nothing outside the standard library, because
`scripts/bootstrap.py` asks it before there is an environment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.edges.chain.artifacts import SHIPPED, Artifact, load_artifacts, read_records
from orchestrator.errors import Halt
from scripts.solidity.compiler import OUTPUTS, build_file, build_files
from scripts.solidity.sources import (
    CONTRACTS,
    ROOT,
    SETTINGS,
    VERSION,
    deployable_files,
    reached_sources,
)


def changed_files(root: Path = ROOT, shipped: Path = SHIPPED) -> list[str]:
    """Return the deployable files (relative to root) whose shipped artifacts are out of date."""
    made_from = {record["source"]: record["madeFrom"] for record in read_records(shipped)}
    return [
        name
        for name in deployable_files(root)
        if name not in made_from or not _is_current(root, made_from[name])
    ]


def current_artifacts(
    files: Sequence[str], cache: Path, root: Path = ROOT, shipped: Path = SHIPPED
) -> dict[str, Artifact]:
    """Return the artifacts of files by contract: as they ship, or compiled where that is out of
    date.

    Args:
        files: Relative to root.
        cache: As `compiler.build` takes it.
    """
    stale = {*changed_files(root, shipped)}
    ships = {record["name"]: record["source"] for record in read_records(shipped)}
    current = {name for name, source in ships.items() if source in files and source not in stale}
    compiled = [name for name in files if name in stale or name not in ships.values()]
    known = load_artifacts()
    return build_files(root, cache, compiled) | {name: known[name] for name in current}


def refresh(
    root: Path = ROOT,
    shipped: Path = SHIPPED,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Compile the files that changed, and rewrite their artifacts.

    Args:
        root: The project's folder.
        shipped: The folder of the artifacts.
        watch: Called with (compiled files, files to compile) as it goes.

    Returns:
        The names of the artifact files that were written or removed.

    Raises:
        Halt: The sources changed and cannot be compiled here.
    """
    files, changed = deployable_files(root), changed_files(root, shipped)
    stale = [
        shipped / f"{record['name']}.json"
        for record in read_records(shipped)
        if record["source"] not in files or record["source"] in changed
    ]
    try:
        wanted = {f"{r['name']}.json": encode(r) for r in compiled_records(root, changed, watch)}
    except Halt as reason:
        raise Halt(
            f"These contracts differ from the shipped artifacts: {', '.join(changed)}. {reason}"
        ) from reason
    for path in stale:
        path.unlink()
    for name, text in wanted.items():
        (shipped / name).write_text(text)
    return sorted({path.name for path in stale} | set(wanted))


def compiled_records(
    root: Path,
    files: Sequence[str],
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Compile files (relative to root) and return the content of their artifacts."""
    cache = root / ".build" / CONTRACTS
    build_files(root, cache, files, watch)  # in parallel; below each file comes from the cache
    return [
        {
            "name": artifact.name,
            "abi": artifact.abi,
            "bytecode": artifact.bytecode,
            "deployedSize": artifact.deployed_size,
            "codeHash": artifact.code_hash,
            "immutables": artifact.immutables,
            "source": source,
            "madeFrom": _made_from(root, source),
        }
        for source in files
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
        "settings": _settings_digest(),
        "sources": {
            name: _digest(text) for name, text in names.items() if not name.startswith("@")
        },
        "libraries": {name: _pinned(root, name) for name in libraries},
    }


def _is_current(root: Path, made_from: dict[str, Any]) -> bool:
    """Return whether everything that an artifact was made from is still the same.

    Which files are reached follows from the texts of our own files, so equal hashes mean an equal
    set of files.
    """
    return (
        made_from["compiler"] == VERSION
        and made_from["settings"] == _settings_digest()
        and all(_hash(root / name) == digest for name, digest in made_from["sources"].items())
        and all(_pinned(root, name) == pin for name, pin in made_from["libraries"].items())
    )


def _settings_digest() -> str:
    """Return a digest of what the compiler is asked for: how it compiles, and its outputs."""
    return _digest(json.dumps([SETTINGS, OUTPUTS], sort_keys=True))


def _pinned(root: Path, library: str) -> str:
    """Return the release of a library that package-lock.json pins, with its content hash."""
    lock = root / "package-lock.json"
    packages = json.loads(lock.read_bytes())["packages"] if lock.is_file() else {}
    entry = packages.get(f"node_modules/{library}", {})
    return f"{entry.get('version')} {entry.get('integrity')}"


def _hash(path: Path) -> str | None:
    return _digest(path.read_text()) if path.is_file() else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
