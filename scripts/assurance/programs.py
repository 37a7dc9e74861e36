"""Where the programs are that the parts start."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.errors import Halt
from scripts.bootstrap import HALMOS, ROOT, TOOLS


def tool(name: str) -> Path:
    """Return a program of the environments of tools, for example slither or halmos.

    Raises:
        Halt: The environment lacks it.
    """
    home = HALMOS if name == "halmos" else TOOLS
    program = home / Path(sys.executable).parent.name / name
    if not program.exists():
        raise Halt(f"{name} is not installed: {program} is missing. Run `make setup-tools`.")
    return program


def forge_binary(root: Path = ROOT) -> Path:
    """Return forge itself; npm's wrapper exits with 0 even when tests fail.

    Raises:
        Halt: It is not installed.
    """
    binaries = sorted((root / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge*"))
    if not binaries:
        raise Halt("forge is not installed: npm did not bring it. Run `make setup-dev`.")
    return binaries[0].resolve()
