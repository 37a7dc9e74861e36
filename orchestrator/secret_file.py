"""Reads the one-line secrets of a home: tokens and passwords."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import Halt


def read_secret(path: Path) -> str:
    """Return the line that a file of secrets holds.

    Raises:
        Halt: the file is missing, not readable, or holds something else; its content is not shown.
    """
    try:
        secret = path.read_text("ascii").strip()
    except OSError as error:
        raise Halt(
            f"The secret {path} cannot be read: {error.strerror}. Nothing was started. Restore it "
            "from a backup (docs/OPERATING.md)."
        ) from error
    except UnicodeDecodeError:
        secret = ""
    if not secret or not secret.isprintable():
        raise Halt(
            f"The secret {path} is damaged: it holds no line of text. Nothing was started. Restore "
            "it from a backup (docs/OPERATING.md)."
        )
    return secret
