"""The database of an earlier release, as `proofrail upgrade` leaves it."""

from __future__ import annotations

import gzip
from pathlib import Path

from sqlalchemy import create_engine

from orchestrator.edges.store import schema

FOLDER = Path(__file__).resolve().parents[1] / "data" / "released"


def migrated_database(path: Path, release: str = "0.3.0") -> Path:
    """Write a release's database to a path, with the newest schema; return the path."""
    path.write_bytes(gzip.decompress((FOLDER / release / "proofrail.sqlite3.gz").read_bytes()))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        schema.migrate(connection)
    engine.dispose()
    return path
