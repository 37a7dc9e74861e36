"""Reads the files that a rail cannot start without, and names the damaged ones."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from orchestrator.secret_file import read_secret
from orchestrator.settings import Settings

_RESTORE = (
    "copy the damaged file away, then put it back from a backup: `proofrail restore ARCHIVE "
    "--home NEW` unpacks one next to this home"
)


def damaged_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with each damaged file and the next step; missing ones are not damaged.

    Nothing is changed. Databases are opened for reading only.
    """
    for path, read in _readers(settings):
        if not path.exists():
            continue
        try:
            read(path)
        except Exception as error:  # each reader has errors of its own; all mean damage
            yield f"{path} is damaged: {error}", _RESTORE


def _readers(settings: Settings) -> list[tuple[Path, Callable[[Path], object]]]:
    keys, oracles = settings.keys, settings.home / "oracles"
    return [
        (settings.deployment, _read_deployment),
        (settings.home / "broker" / "credentials.json", _read_json),
        (keys / "receipt.pem", _read_receipt_key),
        *((path, read_secret) for path in sorted(keys.glob("*.token"))),
        (keys / "broker.password", read_secret),
        (settings.database, _read_database),
        *((path, _read_database) for path in sorted(oracles.glob("*/oracle.sqlite3"))),
    ]


def _read_deployment(path: Path) -> None:
    from orchestrator.edges.chain.deployment import finished

    finished(path)


def _read_json(path: Path) -> None:
    json.loads(path.read_bytes())


def _read_receipt_key(path: Path) -> None:
    from orchestrator.core.receipt import Receipts

    Receipts(path.read_bytes())


def _read_database(path: Path) -> None:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=1)) as database:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
