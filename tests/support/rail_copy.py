"""A copy of the shared small rail, with a database of its own to tamper with."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.edges.store import Store
from orchestrator.steps.reconcile import reconcile_store
from tests.support.small_rail import lived


class RailCopy:
    """A copy that `sql` tampers with; `reconcile` and `json_of` read it."""

    def __init__(self, home: Path) -> None:
        self.home, self.rail = home, lived()
        home.mkdir(parents=True, exist_ok=True)
        self.database = home / self.rail.settings.database.name
        with closing(sqlite3.connect(self.rail.settings.database)) as original:
            original.execute("VACUUM INTO ?", (str(self.database),))
        for name in ("rail.json", "deployment.json"):
            shutil.copy(self.rail.home / name, home / name)

    def sql(self, *statements: str) -> None:
        """Run statements as an attacker with full access: protective triggers are dropped first."""
        with closing(sqlite3.connect(self.database)) as base, base:
            triggers = base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                base.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                base.execute(statement)

    def value(self, query: str) -> Any:
        with closing(sqlite3.connect(self.database)) as base:
            return base.execute(query).fetchone()[0]

    def store(self) -> Store:
        return Store(self.database)

    def reconcile(self):
        store = self.store()
        try:
            with store.read() as session:
                return reconcile_store(session, self.rail.iban)
        finally:
            store.close()

    def json_of(self, *arguments: str, code: int = 0) -> Any:
        """Run a command and return its JSON output."""
        result = CliRunner().invoke(cli.app, ["--home", str(self.home), *arguments, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)
