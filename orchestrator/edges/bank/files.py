"""Writes files that are never half there, and checks their names and contents."""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestrator.errors import Halt

MAX_FILE_BYTES = 32 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is absent or complete, and on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Write the entries of a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_name(name: str) -> str:
    """Return a file name that every bank accepts; raises Halt for any other."""
    if not _NAME.fullmatch(name):
        raise Halt(
            f"{name!r} is not a file name for the bank. Use at most 120 letters, digits, '.', '_' "
            "and '-', beginning with a letter or digit."
        )
    return name


def must_equal(stored: bytes, data: bytes, name: str) -> None:
    """Raise Halt if a file of this name was sent with other content."""
    if stored != data:
        raise Halt(
            f"{name} was sent to the bank with other content: a second content under one name "
            "would order money twice. Nothing was sent. Compare both files, then send the new one "
            "under a new message id."
        )
