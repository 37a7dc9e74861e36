"""Keeps the keys of locked devices, one file of the home each, and makes tokens with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from device_adapters.types import device_id
from orchestrator.core.effect import UnlockMode
from orchestrator.core.unlock import (
    KEY_BYTES,
    MAX_CODE,
    MAX_COUNT,
    UnlockKey,
    UnlockToken,
    token_of,
)
from orchestrator.edges.chain.keystore import write_private
from orchestrator.errors import Halt

VERSION = 1  # of a file
_KEY = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"[A-Za-z0-9._-]{1,100}")


class UnlockKeys:
    """The keys in a folder.

    Args:
        folder: keys/unlock of a home.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of the devices that have a key."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def add(self, name: str, typed: str, count: int, starting_code: int | None) -> None:
        """Keep the key of a device; a key that is there is never replaced.

        Args:
            name: The device's name.
            typed: 32 hex digits.
            count: The device's count now.
            starting_code: Nine digits; None: made from the key.

        Raises:
            Halt: The key is not one, or the device has one already; the text shows no key.
        """
        path, text = self._path(name), typed.strip().lower()
        if not _KEY.fullmatch(text) or len(set(text)) == 1:
            raise Halt(
                f"The key is not one: {2 * KEY_BYTES} hex digits that are not all the same are "
                "needed. Nothing was stored."
            )
        is_code = starting_code is None or 1 <= starting_code <= MAX_CODE
        if not 0 <= count <= MAX_COUNT or not is_code:
            raise Halt(
                f"A count is 0 to {MAX_COUNT}, a starting code at most nine digits. Nothing was "
                "stored."
            )
        if path.exists():
            raise Halt(
                f"{name} has a key already. Nothing was stored: with another key or count the "
                "tokens that it was given would have other digits."
            )
        view = {"version": VERSION, "key": text, "count": count, "starting_code": starting_code}
        write_private(path, json.dumps(view).encode())

    def key_of(self, device: str) -> tuple[str, UnlockKey] | None:
        """Return (name, key) of a device by its id (0x-hex); None if it has no key here.

        Raises:
            Halt: Its file is damaged, or others can read it.
        """
        name = next((n for n in self.names() if "0x" + device_id(n).hex() == device), None)
        return None if name is None else (name, self._load(name))

    def token(self, device: str, number: int, mode: UnlockMode, days: int) -> UnlockToken | None:
        """Return a device's n-th token; None if its key is not here.

        Raises:
            Halt: Its file is damaged, or others can read it.
        """
        match = self.key_of(device)
        return None if match is None else token_of(match[1], number, mode, days)

    def _load(self, name: str) -> UnlockKey:
        path = self._path(name)
        if path.stat().st_mode & 0o077:
            raise Halt(f"{path} can be read by others, who could unlock {name}; chmod 600 {path}")
        try:
            view = json.loads(path.read_text())
            key = UnlockKey(bytes.fromhex(view["key"]), view["count"], view["starting_code"])
            if view["version"] != VERSION or len(key.key) != KEY_BYTES:
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            raise Halt(
                f"The key of {name} in {path} is damaged. No token was made. Restore the file from "
                "a backup."
            ) from None  # the cause could show the key
        return key

    def _path(self, name: str) -> Path:
        if not _FILE.fullmatch(name) or name.startswith("."):
            raise Halt(f"{name!r} cannot be the name of a key's file. Nothing was stored.")
        return self._folder / f"{name}.json"
