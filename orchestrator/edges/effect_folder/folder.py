"""Writes effects as files that are absent or complete; the same effect is always the same file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.effect_delivery import DELIVERED, DeliveryVerdict, TargetAnswer
from orchestrator.edges.bank.files import write_atomically


@dataclass(frozen=True)
class FolderTarget:
    """A folder that its receiver empties."""

    folder: Path

    def deliver(self, identity: str, name: str, body: bytes, now: int) -> TargetAnswer:
        """Write one message; a second time writes the same file with the same content.

        A folder that is missing is not made: it may be a share that is not mounted.

        Args:
            identity: Id of the effect, 0x-hex.
            name: What kind of effect it is, for people who look into the folder.
            body: The content.
            now: Not used: a file has no time of its own.
        """
        if not self.folder.is_dir():
            return TargetAnswer(DeliveryVerdict.UNREACHABLE, f"there is no folder {self.folder}")
        file = f"{name}-{identity.removeprefix('0x')}.json"
        try:
            write_atomically(self.folder / file, body)
        except OSError as error:
            return TargetAnswer(
                DeliveryVerdict.UNREACHABLE, f"{file} cannot be written: {error.strerror}"
            )
        return DELIVERED
