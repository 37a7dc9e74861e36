"""Holds the credentials of a running broker, and reads the file again when it changes."""

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
        self._file_state: tuple[int, int, int] | None = None
        self.credentials: dict[str, Credential] = {}
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it has.

        An unreadable file changes nothing: it must neither lock a fleet out nor let anyone in.
        """
        try:
            status = credentials.path(self._home).stat()
            state = (status.st_mtime_ns, status.st_ino, status.st_size)
        except FileNotFoundError:
            state = (0, 0, 0)
        if state == self._file_state:
            return False
        try:
            self.credentials = credentials.load(self._home)
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            _log.error(
                "the credentials file cannot be read, the former credentials stay valid: %s", error
            )
        self._file_state = state
        return True

    def admit(self, name: str | None, password: str | None) -> Credential | None:
        """Return the credential for this name and password, or None; read a changed file first."""
        self.refresh()
        return (
            self.credentials[name] if credentials.verify(self.credentials, name, password) else None
        )
