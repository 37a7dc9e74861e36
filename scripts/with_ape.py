"""Run Ape with our compiler, our chain and a state folder of its own.

Ape has an environment of its own (.venv-tools), which is set up at its first use.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path

from scripts.bootstrap import ROOT, TOOLS
from scripts.solidity.compiler import ensure_compiler
from services.testnet import Testnet, anvil_binary

CHAIN_HOST = "APE_FOUNDRY_HOST"
_WITHOUT_CHAIN = {"compile", "plugins", "--version", "--help", "cache"}


def prepare(environment: MutableMapping[str, str]) -> None:
    """Point Ape at compiler and anvil, and keep its state in .build, not in the home folder."""
    environment["SOLCX_BINARY_PATH"] = str(ensure_compiler(ROOT).parent)
    environment["APE_DATA_FOLDER"] = str(ROOT / ".build" / "ape")
    environment["PATH"] = f"{anvil_binary().parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{environment.get('PYTHONPATH', '')}"


def chain_for_ape() -> Testnet:
    """Return a chain that takes Ape's free transactions and stops with this process."""
    return Testnet(extra=["--block-base-fee-per-gas", "0", "--gas-price", "0"])


def main() -> int:
    """Run `ape test tests/ape` for `python -m scripts.with_ape test tests/ape`."""
    arguments = sys.argv[1:]
    environment = dict(os.environ)
    for group in ("dev", "tools"):  # the compiler comes with the first, Ape with the second
        bootstrap = [sys.executable, str(ROOT / "scripts" / "bootstrap.py"), group]
        if subprocess.run(bootstrap, check=False).returncode:
            return 1
    prepare(environment)
    command = [str(TOOLS / Path(sys.executable).parent.name / "ape"), *arguments]
    if not arguments or arguments[0] in _WITHOUT_CHAIN or CHAIN_HOST in environment:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    with chain_for_ape() as chain:
        environment[CHAIN_HOST] = chain.url
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
