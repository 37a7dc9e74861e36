"""Writes files that are never half there, and checks their names and contents."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

from orchestrator.errors import Halt

MAX_FILE_BYTES = 32 * 1024 * 1024
_HEAD_BYTES = 4_096  # the prolog and the first element's name
_ROOT = re.compile(rb"<([A-Za-z_][A-Za-z0-9_.:-]*)[\s/>]")  # not <?xml, <!DOCTYPE or <!--
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


def shows_its_end(data: bytes) -> bool:
    """Return whether a file is complete by its own content: its first XML element is closed at
    its end, or it is a whole ZIP archive. Other formats do not show their end."""
    if data.startswith(b"PK"):
        return zipfile.is_zipfile(io.BytesIO(data))
    root = _ROOT.search(data[:_HEAD_BYTES])
    return bool(root) and data.rstrip().endswith(b"</" + root[1] + b">")


def must_equal(stored: bytes, data: bytes, name: str) -> None:
    """Raise Halt if a file of this name was sent with other content."""
    if stored != data:
        raise Halt(
            f"{name} was sent to the bank with other content: a second content under one name "
            "would order money twice. Nothing was sent. Compare both files, then send the new one "
            "under a new message id."
        )
