"""The journal of a sandbox's set-up: what its second run must find again (sandbox/set-up.json)."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.edges.bank.files import write_atomically
from orchestrator.errors import Halt
from orchestrator.settings import Settings

JOURNAL_VERSION = 1
_YEAR_S = 365 * 86_400


@dataclass
class SetUpJournal:
    """What was chosen for a sandbox, and how far its set-up came.

    Attributes:
        genesis: the chain for which it was made, 0x-hex.
        salt: of the mandate, hex; it makes the agreement's id.
        expiry: of the mandate, Unix seconds.
        agreement: the agreement's id once it is open, else "".
        done: whether everything is there.
    """

    genesis: str
    salt: str
    expiry: int
    agreement: str = ""
    done: bool = False
    version: int = JOURNAL_VERSION

    def save(self, settings: Settings) -> None:
        """Write it in place of its earlier state."""
        file = _file(settings)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(file, json.dumps(asdict(self), indent=1).encode())


def read_journal(settings: Settings) -> SetUpJournal | None:
    """Return the journal of the sandbox; None before the first set-up.

    Raises:
        Halt: another version of this program wrote it.
    """
    try:
        content = json.loads(_file(settings).read_bytes())
    except FileNotFoundError:
        return None
    if content.get("version") != JOURNAL_VERSION:
        raise Halt(
            f"{_file(settings)} has version {content.get('version')}, and this program "
            f"reads version {JOURNAL_VERSION}. Use the version of proofrail that wrote it."
        )
    return SetUpJournal(**content)


def begin(settings: Settings, genesis: str) -> SetUpJournal:
    """Return the journal, which the first call creates.

    Raises:
        Halt: the sandbox was made on another chain.
    """
    journal = read_journal(settings)
    if journal is None:
        journal = SetUpJournal(genesis, secrets.token_hex(32), int(time.time()) + _YEAR_S)
        journal.save(settings)
    if journal.genesis != genesis:
        raise Halt(
            f"The sandbox of {settings.home} was set up on the chain with genesis "
            f"{journal.genesis}, and the rail is on {genesis}. Nothing was sent. Next: start the "
            "rail with its own chain, or make a new home with `proofrail init`."
        )
    return journal


def _file(settings: Settings) -> Path:
    return settings.home / "sandbox" / "set-up.json"
