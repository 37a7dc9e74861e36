"""Upgrades of a home: a backup, then the migrations of its database, then its configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.edges.chain.keystore import write_private
from orchestrator.edges.store import copies, schema
from orchestrator.errors import Halt
from orchestrator.home_lock import HomeInUse, hold
from orchestrator.operations.archives import Report, require_space
from orchestrator.operations.backup import BACKUPS, archive_name, bytes_needed, write_backup
from orchestrator.settings import Settings

CONFIGURATION = "proofrail.toml"


@dataclass(frozen=True)
class UpgradePlan:
    """What an upgrade does.

    Attributes:
        revision: The schema of the database now; None where it is empty.
        migrations: The revisions that it is brought through, oldest first.
        configuration: The text of the proofrail.toml that is written; None: there is one, or
            nothing to make it from.
        backup: The archive that is made first.
        bytes_needed: The free disk space that it may take.
    """

    revision: str | None
    migrations: tuple[str, ...]
    configuration: str | None
    backup: Path
    bytes_needed: int

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.migrations and self.configuration is None


def upgrade_home(
    settings: Settings,
    now: int,
    *,
    dry_run: bool = False,
    report: Report = lambda what, done, total: None,
) -> UpgradePlan:
    """Bring a home to the formats of this program; return what was done, or would be done.

    Args:
        settings: The settings of the home.
        now: Unix seconds.
        dry_run: Change nothing.
        report: Called as the work proceeds.

    Raises:
        Halt: A process of the rail runs, the schema is not known, or the disk is too full.
    """
    if not settings.database.is_file():
        raise Halt(
            f"There is no rail at {settings.home}: {settings.database.name} is missing. "
            "Nothing was changed. Next: give the rail's home with --home or PROOFRAIL_HOME."
        )
    with _stopped(settings), copies.alone(settings.database) as database:
        engine = copies.engine_on(database)
        with engine.connect() as connection:
            revision = schema.revision_of(connection)
        known = schema.known_revisions()
        if revision is not None and revision not in known:
            raise schema.unknown(revision)
        plan = UpgradePlan(
            revision=revision,
            migrations=tuple(known[known.index(revision) + 1 :] if revision else known),
            configuration=_configuration(settings),
            backup=settings.home / BACKUPS / archive_name(now, f"before-{schema.REVISION}"),
            bytes_needed=bytes_needed(settings) + 2 * settings.database.stat().st_size,
        )
        if not plan.empty:
            require_space(settings.home, plan.bytes_needed)
        if plan.empty or dry_run:
            return plan
        write_backup(settings, plan.backup, now, source=database, report=report)
        if plan.migrations:
            with engine.begin() as connection:
                schema.migrate(connection)
        if plan.configuration is not None:
            write_private(settings.home / CONFIGURATION, plan.configuration.encode())
        return plan


@contextmanager
def _stopped(settings: Settings) -> Iterator[None]:
    """Hold the lock of the home, which its processes hold while they run."""
    try:
        with hold(settings.home / "rail.lock"):
            yield
    except HomeInUse as error:
        raise Halt(
            f"The rail at {settings.home} runs, and a running rail is not upgraded ({error}) "
            "Nothing was changed. Next: `proofrail down`, then run this again."
        ) from error


def _configuration(settings: Settings) -> str | None:
    """Return the proofrail.toml of a home of 0.3.0, from its rail.json; None if it needs none."""
    path = settings.home / "rail.json"
    if (settings.home / CONFIGURATION).exists() or not path.exists():
        return None
    try:
        addresses = json.loads(path.read_bytes())
        return _toml(addresses, settings) if "rpc_url" in addresses else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Halt(
            f"{path} is not what 0.3.0 writes ({error!r}), so no {CONFIGURATION} can be made from "
            "it. Nothing was changed. Next: correct it, or move it away and run `proofrail init`."
        ) from error


def _toml(addresses: dict[str, Any], settings: Settings) -> str:
    broker, account = addresses.get("broker", {}), addresses.get("safeguarding")
    lines = [
        "# Made by `proofrail upgrade` from rail.json. Every setting: docs/OPERATING.md.",
        "# the version of this file's format",
        "version = 1",
        "# server: the parts below are started as they say; nothing else is started",
        'profile = "server"',
        "# the Ethereum node of the rail's contracts",
        f"rpc_url = {_text(addresses['rpc_url'])}",
        "",
        "[chain]",
        "# true: the supervisor runs a local chain; 0.3.0 kept none, so its node is elsewhere",
        "embedded = false",
        "",
        "[broker]",
        "# where devices and oracles connect",
        f"host = {_text(broker.get('host', '127.0.0.1'))}",
        f"port = {int(broker.get('port', 1883))}",
        "# true: the supervisor runs the broker",
        "embedded = true",
        "",
        "[bank]",
        "# empty: the two folders in bank/; or sftp://user@host/out?in=/in",
        f"channel = {_text(settings.bank_channel)}",
        "# true: the supervisor runs a simulated bank",
        f"simulated = {_flag((settings.home / 'bank' / 'instructions').is_dir())}",
    ]
    if account:
        lines += ["", "[safeguarding]", "# the rail's own bank account"]
        fields = {**account, **account.get("address", {})}
        lines += [f"{key} = {_text(value)}" for key, value in fields.items() if key != "address"]
    for oracle in addresses.get("oracles", []):
        own = (settings.home / "oracles" / oracle["name"] / "key.json").exists()
        lines += ["", "[[oracles]]", "# one of the committee; its token is in keys/NAME.token"]
        lines += [f"{key} = {_text(oracle[key])}" for key in ("name", "address", "url")]
        lines += [f"domain = {int(oracle['domain'])}", f"embedded = {_flag(own)}"]
    return "\n".join([*lines, ""])


def _text(value: str) -> str:
    """Return a TOML string; the escapes of JSON are valid in one."""
    return json.dumps(str(value), ensure_ascii=False)


def _flag(value: bool) -> str:
    return "true" if value else "false"
