"""Upgrades: forward, after a backup, and refused where something stands in the way."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.edges.store import Store, access, holds, ledger, schema
from orchestrator.home_lock import hold
from orchestrator.operations import archives
from orchestrator.operations.archives import restore_backup

RELEASED = Path(__file__).resolve().parents[3] / "data" / "released" / "0.3.0"
ADDRESSES = {
    "rpc_url": "http://127.0.0.1:8545",
    "broker": {"host": "127.0.0.1", "port": 34567},
    "oracles": [{"name": "bank", "domain": 2, "address": "0x" + "1" * 40, "url": "http://o:1"}],
    "safeguarding": {
        "name": 'proofrail "safe"',
        "iban": "DE1",
        "bic": "",
        "address": {
            "street": "Am Kanal",
            "building": "1",
            "post_code": "1",
            "town": "P",
            "country": "DE",
        },
    },
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a home of 0.3.0: its database and rail.json."""
    folder = tmp_path / "home"
    folder.mkdir()
    packed = (RELEASED / "proofrail.sqlite3.gz").read_bytes()
    (folder / "proofrail.sqlite3").write_bytes(gzip.decompress(packed))
    (folder / "rail.json").write_text(json.dumps(ADDRESSES))
    return folder


def upgrade(home: Path, *options: str) -> Any:
    return CliRunner().invoke(cli.app, ["--home", str(home), "upgrade", *options])


def revision(home: Path) -> str:
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base:
        return base.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def refusal(home: Path) -> str:
    """Return why an upgrade is refused; it must have changed nothing."""
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    result = upgrade(home)
    assert result.exit_code == 2 and "bug in proofrail" not in result.stderr, result.output
    assert "Nothing was changed" in result.stderr
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    volatile = {home / "rail.lock", *home.glob("*-shm"), *home.glob("*-wal")}
    assert {p: c for p, c in after.items() if p not in volatile} == {
        p: c for p, c in before.items() if p not in volatile
    }
    return result.stderr


def test_upgrade__home_of_0_3_0__is_migrated_after_a_backup(home, tmp_path):
    view = json.loads(upgrade(home, "--json").stdout)
    newest = int(schema.REVISION)
    assert (
        view["migrations"] == [f"{number:04}" for number in range(4, newest + 1)] and view["done"]
    )
    assert revision(home) == schema.REVISION
    store = Store(home / "proofrail.sqlite3")
    with store.read() as session:
        assert ledger.first_broken_link(session) is None
    store.close()
    restore_backup(Path(view["backup"]), tmp_path / "old")
    assert revision(tmp_path / "old") == "0003" == view["schema"]


def test_upgrade__api_key_of_before_holds__stands_for_no_party(home):
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base:
        base.execute("INSERT INTO apikey VALUES ('ab', 'old', 'partner', 'cp-')")
        base.commit()
    upgrade(home)
    store = Store(home / "proofrail.sqlite3")
    with store.read() as session:
        assert [key.party for key in access.keys(session) if key.name == "old"] == [""]
        assert holds.standing(session) == []
    store.close()


def test_upgrade__home_without_a_configuration__gets_one_from_rail_json(home):
    upgrade(home)
    content = tomllib.loads((home / "proofrail.toml").read_text())
    assert content["version"] == 1 and content["rpc_url"] == ADDRESSES["rpc_url"]
    assert content["broker"] == {"host": "127.0.0.1", "port": 34567, "embedded": True}
    assert content["oracles"] == [{**ADDRESSES["oracles"][0], "embedded": False}]
    account = ADDRESSES["safeguarding"]
    assert content["safeguarding"] == {
        **{key: account[key] for key in ("name", "iban", "bic")},
        **account["address"],
    }
    assert content["chain"] == {"embedded": False}


def test_upgrade__a_second_time__has_nothing_to_do(home):
    assert upgrade(home).exit_code == 0
    result = upgrade(home)
    assert result.exit_code == 0 and "is up to date" in result.stdout
    assert len(list((home / "backups").iterdir())) == 1


def test_upgrade__dry_run__says_what_it_would_do_and_changes_nothing(home):
    before = (home / "proofrail.sqlite3").read_bytes()
    result = upgrade(home, "--dry-run")
    assert result.exit_code == 0, result.output
    for text in (
        "Would do",
        "backup",
        "schema 0004",
        f"schema {schema.REVISION}",
        "write proofrail.toml",
    ):
        assert text in result.stdout
    assert (home / "proofrail.sqlite3").read_bytes() == before
    assert not (home / "proofrail.toml").exists() and not (home / "backups").exists()


def test_upgrade__while_a_process_holds_the_home__is_refused(home):
    with hold(home / "rail.lock"):
        assert "a running rail is not upgraded" in refusal(home)
    assert upgrade(home).exit_code == 0


def test_upgrade__while_a_process_of_0_3_0_has_the_database_open__is_refused(home):
    """It holds no lock of the home, and it may be idle: an open connection is enough."""
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("SELECT count(*) FROM payment").fetchone()
        assert "has the database" in refusal(home)
    assert upgrade(home).exit_code == 0


def test_upgrade__schema_of_a_later_release__is_refused(home):
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base, base:
        base.execute("UPDATE alembic_version SET version_num = '9001'")
    assert "a newer release wrote it" in refusal(home)


def test_upgrade__too_little_disk__is_refused(home, monkeypatch):
    usage = shutil.disk_usage(home)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    assert "free disk space" in refusal(home)


def test_upgrade__rail_json_that_is_damaged__is_refused(home):
    (home / "rail.json").write_text('{"rpc_url": "http://a", "oracles": [{"name": "x"}]}')
    assert "is not what 0.3.0 writes" in refusal(home)


def test_upgrade__a_migration_that_fails__leaves_the_old_schema(home, monkeypatch):
    def fail(connection: Any) -> None:
        connection.exec_driver_sql("DROP TABLE proof")
        raise RuntimeError("power cut")

    monkeypatch.setattr(schema, "migrate", fail)
    assert upgrade(home).exit_code == 2
    assert revision(home) == "0003"
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base:
        assert base.execute("SELECT count(*) FROM proof").fetchone()


def test_upgrade__no_rail__names_the_home(tmp_path):
    result = upgrade(tmp_path)
    assert result.exit_code == 2 and "There is no rail at" in result.stderr
