"""Holds the credentials a running broker goes by, and notices when the file has changed."""

from __future__ import annotations

import logging
from pathlib import Path

from orchestrator.edges.broker import credentials
from orchestrator.edges.broker.credentials import Credential

_log = logging.getLogger(__name__)


class Guard:
    """The current credentials of one home."""

    def __init__(self, home: Path) -> None:
        self._home = Path(home)
        self._seen: tuple[int, int, int] | None = None
        self.known: dict[str, Credential] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Reads the file again where it changed; True if it did.

        An unreadable file changes nothing: neither may it lock a fleet out, nor let anyone in.
        """
        try:
            found = credentials.path(self._home).stat()
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        except FileNotFoundError:
            mark = (0, 0, 0)
        if mark == self._seen:
            return False
        try:
            self.known = credentials.load(self._home)
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            _log.error("the credentials file cannot be read, the former ones stay: %s", error)
        self._seen = mark
        return True

    def admit(self, name: str | None, password: str | None) -> Credential | None:
        """The credential that this name and password open; reads the file first if it changed."""
        self.refresh()
        return self.known[name] if credentials.verify(self.known, name, password) else None
