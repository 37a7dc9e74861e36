"""Somebody with full access to a rail's database: a copy of it, without its triggers, to change."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.core.ledger import GENESIS, Entry, Posting, chain_hash
from tests.support.small_rail import SmallRail

Change = Callable[[sqlite3.Connection], object]


def copied(rail: SmallRail, folder: Path, change: Change | None = None) -> Path:
    """A home like the rail's, on the same chain, with its database changed behind everybody."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (rail.settings.deployment.name, "rail.json"):
        shutil.copy(rail.home / name, folder / name)
    database = folder / rail.settings.database.name
    with closing(sqlite3.connect(rail.settings.database)) as whole:
        whole.execute("VACUUM INTO ?", (str(database),))
    with closing(sqlite3.connect(database)) as base, base:
        triggers = base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            base.execute(f"DROP TRIGGER {name}")
        if change is not None:
            change(base)
    return folder


def rebuilt(home: Path, *arguments: str) -> tuple[int, Any]:
    """(exit code, what `proofrail rebuild --json` says)."""
    answer = CliRunner().invoke(cli.app, ["--home", str(home), "rebuild", "--json", *arguments])
    assert "bug in proofrail" not in answer.output, answer.output
    return answer.exit_code, json.loads(answer.stdout)


def rechain(base: sqlite3.Connection) -> None:
    """Gives every entry the hash that follows from what is there now."""
    previous = GENESIS
    rows = base.execute(
        "SELECT number, entry_id, kind, ref, at, source FROM ledgerentry ORDER BY number"
    ).fetchall()
    for number, entry_id, kind, ref, at, source in rows:
        postings = tuple(
            Posting(*values)
            for values in base.execute(
                "SELECT account, asset, amount_minor FROM ledgerposting WHERE entry_id = ? "
                "ORDER BY id",
                (entry_id,),
            )
        )
        previous = chain_hash(previous, Entry(entry_id, kind, ref, postings, at, source))
        base.execute("UPDATE ledgerentry SET hash = ? WHERE number = ?", (previous, number))
