"""The file of a deployment: its journal while it is made, then where the contracts are.

Version 1 has none written in it: files of releases up to 0.5.0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.edges.chain.keystore import write_private
from orchestrator.errors import Halt

FILE_VERSION = 2


def read_journal(path: Path) -> dict[str, Any]:
    """Return the content of a deployment's file; {} if there is none.

    Raises:
        Halt: It is no such file, or one of a later release.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
        version = content.get("version", 1)
    except (ValueError, AttributeError) as error:
        raise Halt(f"{path} is not a deployment journal: {error}") from error
    if version not in (1, FILE_VERSION):
        raise Halt(
            f"{path} has version {version}, and this release reads up to {FILE_VERSION}. Nothing "
            "was changed. Next: use the release that wrote it, or a later one."
        )
    return content


def write_journal(path: Path, content: dict[str, Any]) -> None:
    """Write the file as a whole, for its owner only."""
    write_private(path, json.dumps({**content, "version": FILE_VERSION}, indent=1).encode())
