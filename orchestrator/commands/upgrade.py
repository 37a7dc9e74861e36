"""`proofrail upgrade`: brings a home of an older release to the formats of this one."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, progress


def upgrade(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Migrate the database and configuration of a stopped rail.

    A backup is made first. A migration is not undone: to go back, restore the backup with the
    older release.
    """
    from orchestrator.operations.upgrade import CONFIGURATION, upgrade_home

    settings = home_of(context).settings
    with progress() as report:
        plan = upgrade_home(settings, int(time.time()), dry_run=dry_run, report=report)
    view = {
        "home": str(settings.home),
        "done": not dry_run and not plan.empty,
        "schema": plan.revision,
        "migrations": list(plan.migrations),
        "configuration": None if plan.configuration is None else CONFIGURATION,
        "backup": None if plan.empty else str(plan.backup),
        "bytes_needed": plan.bytes_needed,
    }
    output.show(view, as_json, lambda console: _print(console, view, dry_run))


def _print(console: Any, view: dict[str, Any], dry_run: bool) -> None:
    if view["backup"] is None:
        console.print(plain(f"{view['home']} is up to date: schema {view['schema']}."))
        return
    console.print(plain("Would do:" if dry_run else "Done:"))
    rows = [f"backup {view['backup']}"]
    rows += [f"migrate the database to schema {name}" for name in view["migrations"]]
    rows += [f"write {view['configuration']} from rail.json"] if view["configuration"] else []
    for number, row in enumerate(rows, 1):
        console.print(plain(f"{number}. {row}"), soft_wrap=True)
    if dry_run:
        megabytes = view["bytes_needed"] / 1e6
        console.print(plain(f"It may need {megabytes:,.1f} MB of disk space. Nothing was changed."))
    else:
        console.print(
            plain("Next: read proofrail.toml, `proofrail up`, then `proofrail ledger check`."),
            soft_wrap=True,
        )
