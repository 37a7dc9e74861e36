"""Promises that Ape works here: it finds our compiler, our anvil and a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from orchestrator.edges.chain.compiler import ensure_compiler
from scripts.testnet import ROOT, anvil_binary


def prepare(environment: MutableMapping[str, str]) -> None:
    """Names compiler and anvil; Ape keeps its own state in .build, not in the home folder."""
    environment["SOLCX_BINARY_PATH"] = str(ensure_compiler(ROOT).parent)
    environment["APE_DATA_FOLDER"] = str(ROOT / ".build" / "ape")
    environment["PATH"] = f"{anvil_binary().parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{environment.get('PYTHONPATH', '')}"


def main() -> None:
    """`python -m scripts.with_ape test tests/contracts` is `ape test tests/contracts`."""
    prepare(os.environ)
    ape = Path(sys.executable).with_name("ape")
    os.chdir(ROOT)
    os.execv(ape, [str(ape), *sys.argv[1:]])


if __name__ == "__main__":
    main()
