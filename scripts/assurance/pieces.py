"""The pieces of a long campaign that passed, kept: what was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.edges.chain.artifacts import SHIPPED, read_records
from scripts.assurance.forge import CAMPAIGN, ForgeRun
from scripts.solidity.sources import ROOT

FOLDER = ".build/campaign"


@dataclass(frozen=True)
class KeptPieces:
    """Runs by number and size, for one state of the contracts and of the campaign.

    Attributes:
        folder: Whose name changes with any of the files that a run depends on.
    """

    folder: Path

    @classmethod
    def of(cls, root: Path = ROOT) -> KeptPieces:
        """Return those of the shipped contracts and the campaign as they are now."""
        state = hashlib.sha256()
        for record in read_records(SHIPPED):
            state.update(f"{record['name']} {record['bytecode']}\n".encode())
        for path in sorted((root / CAMPAIGN).iterdir()):
            if path.suffix in (".sol", ".toml"):
                state.update(f"{path.name}\n".encode() + path.read_bytes())
        return cls(root / FOLDER / state.hexdigest()[:16])

    def get(self, number: int, calls: int) -> ForgeRun | None:
        """Return a piece that passed before, or None."""
        path = self._path(number, calls)
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        return ForgeRun(**kept | {"counts": tuple(kept["counts"])})

    def put(self, number: int, calls: int, run: ForgeRun) -> None:
        """Keep a piece that passed; one that did not is made again, with its finding in sight."""
        if not run.ok:
            return
        path = self._path(number, calls)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.write_text(json.dumps(asdict(run)))
        half.replace(path)

    def _path(self, number: int, calls: int) -> Path:
        return self.folder / f"{number}-of-{calls}-calls.json"
