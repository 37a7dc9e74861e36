"""`proofrail backup` and `proofrail restore`: all of a rail in one archive, and back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, progress, when


def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(help="A new file, or a folder to put it in.")],
    without_keys: Annotated[
        bool,
        typer.Option("--without-keys", help="Leave out keys, passwords and tokens."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Save the whole rail to one archive while it runs, and check it.

    It holds database, keys, chain state, bank folders, oracles and configuration.
    """
    from orchestrator.operations.backup import archive_name, write_backup

    now = int(time.time())
    archive = target / archive_name(now) if target.is_dir() else target
    with progress() as report:
        saved = write_backup(
            home_of(context).settings, archive, now, with_keys=not without_keys, report=report
        )
    view = {**_view(saved), "archive": str(archive), "archive_bytes": archive.stat().st_size}
    output.show(view, as_json, lambda console: _print_backup(console, view))


def restore(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(help="An archive of `proofrail backup`.")],
    as_json: Json = False,
) -> None:
    """Check an archive and unpack it into an empty home.

    --home names the new home, which must be missing or empty.
    """
    from orchestrator.operations.archives import restore_backup

    folder = home_of(context).settings.home
    with progress() as report:
        saved = restore_backup(archive, folder, report)
    view = {**_view(saved), "home": str(folder)}
    output.show(view, as_json, lambda console: _print_restore(console, view))


def _view(saved: Any) -> dict[str, Any]:
    return {
        "created_at": saved.created_at,
        "schema": saved.revision,
        "rail": dict(saved.rail),
        "with_keys": saved.with_keys,
        "files": len(saved.files),
        "bytes": sum(stated["bytes"] for stated in saved.files.values()),
    }


def _print_backup(console: Any, view: dict[str, Any]) -> None:
    megabytes = view["archive_bytes"] / 1e6
    rows = [f"{view['archive']}: {view['files']} files, {megabytes:,.1f} MB, checked"]
    if view["with_keys"]:
        rows.append(
            "It holds the rail's keys with their passwords: who has it can send as the rail. Keep "
            "it encrypted, apart from this machine; or use --without-keys and keep keys/ apart."
        )
    else:
        rows.append(
            "It holds no keys. Keep a copy of keys/ and oracles/*/ elsewhere, or they are "
            "lost with this machine (docs/KEYS.md)."
        )
    for row in rows:
        console.print(plain(row), soft_wrap=True)


def _print_restore(console: Any, view: dict[str, Any]) -> None:
    rows = [f"{view['home']}: {view['files']} files of {when(view['created_at'])} UTC, all checked"]
    steps = [] if view["with_keys"] else ["Put keys/ and the keys of oracles/ back (docs/KEYS.md)."]
    steps += [
        "Make sure that the old rail does not run any more: two rails with one key pay twice.",
        "Ask the bank which orders it took since that time. If there are any, start with "
        "PROOFRAIL_FOUR_EYES_CENTS=0: then each payout waits for two officers, who compare it.",
        f"`proofrail --home {view['home']} upgrade --dry-run` says whether the schema is old.",
        f"`proofrail --home {view['home']} up`, then `rebuild`: both sides must be equal.",
        "Devices send again what they have no receipt for; move the bank's files of the time since "
        "into bank/from_bank.",
    ]
    rows += [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    for row in rows:
        console.print(plain(row), soft_wrap=True)
