"""Sends files to the bank once each and receives its files, through folders or SFTP (sftp.py).

After a crash at any point, calling the same function again repairs it. If the bank takes a file
before its sending is noted, it is sent again with the same name and MsgId; the bank refuses that
as a duplicate.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from orchestrator.edges.bank.files import (
    MAX_FILE_BYTES,
    file_name,
    must_equal,
    shows_its_end,
    sync_folder,
    write_atomically,
)
from orchestrator.errors import Halt, Retry
from orchestrator.settings import Settings


class Channel(Protocol):
    """Files to and from the bank; every call may be repeated after a crash."""

    def send(self, name: str, data: bytes) -> bool:
        """Send a complete file once.

        Returns:
            Whether it is new; False if it was sent before.

        Raises:
            Halt: a file of this name was sent with other content.
            Retry: the other side does not accept it now.
        """

    def placed(self, name: str) -> bool:
        """Return whether `send` has sent a file of this name. Called often, so it must be cheap."""

    def receive(self) -> list[tuple[str, bytes]]:
        """Return the complete waiting files (name, content); call `done` or `reject` for each."""

    def done(self, name: str) -> None:
        """Archive a stored file; a second call changes nothing."""

    def reject(self, name: str) -> None:
        """Archive a refused file, apart from the others."""


def open_channel(settings: Settings) -> Channel:
    """Return the channel of PROOFRAIL_BANK_CHANNEL: an SFTP server, or by default folders."""
    if not settings.bank_channel:
        return Folder(settings.to_bank, settings.from_bank, settings.bank_rest_s)
    from orchestrator.edges.bank.sftp import Sftp  # imported late: paramiko is slow to load

    return Sftp(settings.bank_channel, settings.keys / "bank-sftp", settings.bank_sftp)


@dataclass(frozen=True)
class Folder:
    """A channel of two folders.

    Attributes:
        outbox: The bank fetches files here, and may move them to outbox/archive. Our notes are in
            outbox/sent.
        inbox: The bank delivers files here. We move them to inbox/archive and inbox/rejected.

        rest_s: Seconds without a change after which a file that shows no end counts as complete.
    """

    outbox: Path
    inbox: Path
    rest_s: int = 0

    def send(self, name: str, data: bytes) -> bool:
        """Send a file as `Channel.send`; raises Retry if it cannot be written."""
        noted = self.outbox / "sent" / file_name(name)
        try:
            for place in (noted, self.outbox / name, self.outbox / "archive" / name):
                if place.exists():
                    must_equal(place.read_bytes(), data, name)
                    if place != noted:
                        write_atomically(noted, data)
                    return False
            write_atomically(self.outbox / name, data)
            write_atomically(noted, data)
        except OSError as error:
            raise Retry(f"{name} cannot be written to the bank's outbox: {error}") from error
        return True

    def placed(self, name: str) -> bool:
        """Return whether `send` has sent a file of this name."""
        return (self.outbox / "sent" / name).exists()

    def receive(self) -> list[tuple[str, bytes]]:
        """Return the files in the inbox as `Channel.receive`.

        What is not a readable file of at most MAX_FILE_BYTES is moved to rejected/. A file that
        the bank may still be writing waits.
        """
        files = []
        for path in sorted(self.inbox.iterdir()) if self.inbox.is_dir() else ():
            if path.name.startswith(".") or path.name in ("archive", "rejected"):
                continue
            try:
                path.name.encode()  # a name that is not text cannot be stored
                if path.is_symlink() or not path.is_file():
                    raise OSError("not a plain file")
                if path.stat().st_size > MAX_FILE_BYTES:
                    raise OSError(f"more than {MAX_FILE_BYTES} bytes")
                rested_ns = time.time_ns() - path.stat().st_mtime_ns
                data = path.read_bytes()
                if rested_ns >= self.rest_s * 10**9 or shows_its_end(data):
                    files.append((path.name, data))
            except FileNotFoundError:
                continue  # the bank took it back between listing and reading
            except (OSError, UnicodeEncodeError):
                self._move(path, "rejected")
        return files

    def done(self, name: str) -> None:
        """Move a stored file to archive/; a second call changes nothing."""
        self._move(self.inbox / _plain(name), "archive")

    def reject(self, name: str) -> None:
        """Move a refused file to rejected/, for inspection."""
        self._move(self.inbox / _plain(name), "rejected")

    def _move(self, path: Path, folder: str) -> None:
        target = self.inbox / folder / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            return
        if target.exists() and path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if target.read_bytes() != data:  # another file with a used name: keep both
                target = target.with_name(f"{sha256(data).hexdigest()[:16]}-{path.name}")
        elif os.path.lexists(target):
            target = _free(target)
        os.replace(path, target)
        sync_folder(target.parent)


def _free(path: Path) -> Path:
    number = 1
    while os.path.lexists(path.with_name(f"{number}-{path.name}")):
        number += 1
    return path.with_name(f"{number}-{path.name}")


def _plain(name: str) -> str:
    if Path(name).name != name:
        raise Halt(f"{name!r} is not the name of a received file")
    return name
