"""Backups: taken while a worker writes, proven by a rebuild of what was restored."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sqlite3
import stat
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device_adapters.types import Message
from orchestrator import cli
from orchestrator.assembly import SENDING_ROLES, load_accounts
from orchestrator.edges.store import Store, copies, payments
from orchestrator.errors import Halt
from orchestrator.ingest.intake import Intake
from orchestrator.operations import archives
from orchestrator.operations.archives import read_backup, restore_backup
from orchestrator.operations.backup import write_backup
from orchestrator.products import products
from orchestrator.rebuild import rebuild
from orchestrator.settings import Settings
from orchestrator.worker import Worker
from tests.support.rail_builder import context_on_chain
from tests.support.small_rail import START, SmallRail, has_anvil

NOW = 1_760_000_000


def run(home: Path, *arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["--home", str(home), *map(str, arguments)])


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Give a small home with files of every kind and no processes."""
    settings = Settings(home=tmp_path / "home")
    Store(settings.database).close()
    for name, content in {
        "keys/password": b"secret",
        "keys/sender.json": b"{}",
        "keys/receipt.pub.pem": b"public",
        "keys/receipts/old.pem": b"public",
        "oracles/a/key.json": b"{}",
        "oracles/a/lock": b"1",
        "bank/to_bank/archive/order.xml": b"<xml/>",
        "bank/from_bank/.part.1.tmp": b"half",
        "broker/credentials.json": b"{}",
        "broker/jetstream/stream.blk": b"not consistent",
        "chain/state-0000000007.dump": b"dump",
        "chain/loading.json": b"{}",
        "logs/orchestrator.log": b"log",
        "run/orchestrator.json": b"{}",
        "backups/proofrail-1.tar.gz": b"earlier",
        "proofrail.toml": b"version = 1\n",
    }.items():
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with closing(sqlite3.connect(settings.home / "oracles" / "a" / "oracle.sqlite3")) as memory:
        memory.execute("PRAGMA journal_mode = WAL")
        memory.execute("CREATE TABLE claims (sequence INTEGER)")
        memory.execute("INSERT INTO claims VALUES (7)")
        memory.commit()
    return settings


def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as members:
        return set(members.getnames())


def test_backup__a_home__holds_what_cannot_be_computed_again_and_no_more(home, tmp_path):
    write_backup(home, tmp_path / "b.tar.gz", NOW)
    assert names(tmp_path / "b.tar.gz") == {
        "manifest.json",
        "proofrail.sqlite3",
        "keys/password",
        "keys/sender.json",
        "keys/receipt.pub.pem",
        "keys/receipts/old.pem",
        "oracles/a/key.json",
        "oracles/a/oracle.sqlite3",
        "bank/to_bank/archive/order.xml",
        "broker/credentials.json",
        "chain/state-0000000007.dump",
        "proofrail.toml",
    }
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_backup__without_keys__has_public_ones_only(home, tmp_path):
    write_backup(home, tmp_path / "b.tar.gz", NOW, with_keys=False)
    kept = names(tmp_path / "b.tar.gz")
    assert {"keys/receipt.pub.pem", "keys/receipts/old.pem", "oracles/a/oracle.sqlite3"} < kept
    assert not {"keys/password", "keys/sender.json", "oracles/a/key.json"} & kept
    assert read_backup(tmp_path / "b.tar.gz").with_keys is False


def test_backup__a_file_that_exists_or_a_place_in_the_home__is_refused(home, tmp_path):
    (tmp_path / "b.tar.gz").write_bytes(b"precious")
    with pytest.raises(Halt, match="never replaces a file"):
        write_backup(home, tmp_path / "b.tar.gz", NOW)
    assert (tmp_path / "b.tar.gz").read_bytes() == b"precious"
    with pytest.raises(Halt, match="inside the home"):
        write_backup(home, home.home / "bank" / "b.tar.gz", NOW)
    with pytest.raises(Halt, match="There is no rail at"):
        write_backup(Settings(home=tmp_path / "none"), tmp_path / "c.tar.gz", NOW)


def test_backup__too_little_disk__is_refused_before_anything_is_written(
    home, tmp_path, monkeypatch
):
    usage = archives.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    with pytest.raises(Halt, match="0 MB of free disk space"):
        write_backup(home, tmp_path / "b.tar.gz", NOW)
    assert not (tmp_path / "b.tar.gz").exists()


def test_snapshot__what_others_write_during_the_copy__is_not_in_it(tmp_path):
    path = tmp_path / "base.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE line (number INTEGER, text TEXT)")
        writer.executemany(
            "INSERT INTO line VALUES (?, ?)", [(n, "x" * 500) for n in range(40_000)]
        )
        seen = []

        def interfere(done: int, total: int) -> None:
            seen.append(done)
            writer.execute("INSERT INTO line VALUES (-1, 'later')")

        held = []

        def meanwhile() -> None:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                writer.execute("PRAGMA busy_timeout = 0")
                writer.execute("INSERT INTO line VALUES (-2, 'between')")
            held.append(True)

        with copies.snapshot(path, meanwhile) as source:
            copies.copy_database(source, tmp_path / "copy.sqlite3", interfere)
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as copy:
        assert copy.execute("SELECT count(*), min(number) FROM line").fetchone() == (40_000, 0)
    assert held and len(seen) > 2 and seen == sorted(seen)  # it was never begun again


def test_restore__of_a_backup__has_every_file_and_closed_modes(home, tmp_path):
    write_backup(home, tmp_path / "b.tar.gz", NOW)
    restored = tmp_path / "restored"
    restore_backup(tmp_path / "b.tar.gz", restored)
    assert (restored / "keys" / "password").read_bytes() == b"secret"
    with closing(sqlite3.connect(restored / "oracles" / "a" / "oracle.sqlite3")) as memory:
        assert memory.execute("SELECT sequence FROM claims").fetchall() == [(7,)]
    for path in [restored, *restored.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    Store(restored / "proofrail.sqlite3").close()


def test_backup_and_restore__by_command__name_what_to_do_next(home, tmp_path):
    view = json.loads(run(home.home, "backup", tmp_path, "--json").stdout)
    assert Path(view["archive"]).parent == tmp_path and view["with_keys"] and view["files"] == 11
    text = run(home.home, "backup", tmp_path / "n.tar.gz", "--without-keys")
    assert "It holds no keys" in text.stdout and text.exit_code == 0
    text = run(tmp_path / "new", "restore", tmp_path / "n.tar.gz")
    assert text.exit_code == 0 and "Put keys/ and the keys of oracles/ back" in text.stdout
    assert (tmp_path / "new" / "proofrail.toml").exists()


def test_restore__into_a_folder_with_a_file__changes_nothing(home, tmp_path):
    write_backup(home, tmp_path / "b.tar.gz", NOW)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_bytes(b"mine")
    result = run(home.home, "restore", tmp_path / "b.tar.gz", "--home", tmp_path / "full")
    assert result.exit_code == 2 and "never replaces files" in result.stderr
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def repacked(archive: Path, target: Path, change: Any) -> Path:
    """Write a copy of an archive; `change` gets (name, bytes) and returns the members instead."""
    with tarfile.open(archive) as members, tarfile.open(target, "w:gz") as copy:
        for member in members:
            for name, content, kind in change(member.name, members.extractfile(member).read()):
                info = tarfile.TarInfo(name)
                info.size, info.type = len(content), kind
                info.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
                copy.addfile(info, io.BytesIO(content))
    return target


def with_manifest(content: bytes, name: str, body: bytes) -> bytes:
    manifest = json.loads(content)
    manifest["files"][name] = {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
    return json.dumps(manifest).encode()


def _plain(name: str, content: bytes) -> list[tuple[str, bytes, bytes]]:
    return [(name, content, tarfile.REGTYPE)]


def _traversal(outside: str) -> Any:
    def change(name: str, content: bytes) -> list[tuple[str, bytes, bytes]]:
        if name != "manifest.json":
            return _plain(name, content)
        return _plain(name, with_manifest(content, outside, b"x")) + _plain(outside, b"x")

    return change


ATTACKS = {
    "changed": lambda n, c: _plain(n, c.replace(b"secret", b"SECRET")),
    "missing": lambda n, c: [] if n == "keys/password" else _plain(n, c),
    "twice": lambda n, c: _plain(n, c) * (2 if n == "keys/password" else 1),
    "not named": lambda n, c: (
        _plain(n, c) + (_plain("extra", b"") if n == "proofrail.toml" else [])
    ),
    "link": lambda n, c: [(n, b"", tarfile.SYMTYPE)] if n == "keys/password" else _plain(n, c),
    "above": _traversal("../outside"),
    "absolute": _traversal("/tmp/outside"),
    "dots": _traversal("keys/../../outside"),
    "no manifest": lambda n, c: [] if n == "manifest.json" else _plain(n, c),
    "other format": lambda n, c: _plain(n, c.replace(b'"proofrail-backup"', b'"recipe"')),
    "newer format": lambda n, c: _plain(n, c.replace(b'"version": 1,', b'"version": 2,')),
    "deep": lambda n, c: _plain(n, b"[" * 90_000 if n == "manifest.json" else c),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_restore__a_changed_archive__writes_nothing(home, tmp_path, attack):
    write_backup(home, tmp_path / "b.tar.gz", NOW)
    changed = repacked(tmp_path / "b.tar.gz", tmp_path / "changed.tar.gz", ATTACKS[attack])
    before = {path for path in tmp_path.rglob("*")}
    with pytest.raises(Halt, match="Nothing was written"):
        restore_backup(changed, tmp_path / "restored")
    assert {path for path in tmp_path.rglob("*")} == before


def with_one_bit_changed(whole: bytes) -> bytes:
    """Change a bit in the middle of an archive, so that it unpacks to other bytes or not at all.

    The first bit will not always do: where content repeats, a changed distance of gzip may copy
    the very same bytes from another place, and the archive is as good as before.
    """
    for place in range(len(whole) // 2, len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1
        try:
            gzip.decompress(broken)
        except (OSError, EOFError, zlib.error):
            return bytes(broken)
    raise AssertionError("no bit of this archive matters")


def test_restore__a_cut_or_foreign_file__is_refused(home, tmp_path):
    write_backup(home, tmp_path / "b.tar.gz", NOW)
    whole = (tmp_path / "b.tar.gz").read_bytes()
    padding = gzip.compress(gzip.decompress(whole)[:-1] + b"\1")[:-8] + whole[-8:]  # no member's
    cut = (whole[: len(whole) // 2], whole[:-8], b"")
    changed = (with_one_bit_changed(whole), padding)
    for content in (*cut, *changed, gzip.compress(b"no tar" * 99)):
        (tmp_path / "x.tar.gz").write_bytes(content)
        with pytest.raises(Halt, match="is not a whole backup"):
            restore_backup(tmp_path / "x.tar.gz", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.long
@pytest.mark.skipif(not has_anvil(), reason="no anvil: run `make setup`")
def test_backup__while_the_worker_writes__restores_to_a_rail_that_rebuilds_and_goes_on(tmp_path):
    rail = SmallRail(tmp_path / "home").start()
    try:
        _live(rail, tmp_path)
        restored = tmp_path / "restored"
        result = run(tmp_path, "restore", tmp_path / "b.tar.gz", "--home", restored, "--json")
        assert result.exit_code == 0, result.output
        assert blocks_in(restored) < blocks_in(rail.home)
        view = run(restored, "rebuild", "--json")
        assert view.exit_code == 0, view.output
        assert json.loads(view.stdout)["stored_sha256"] == json.loads(view.stdout)["rebuilt_sha256"]
        assert json.loads(view.stdout)["read"]
        write_backup(rail.settings, tmp_path / "newest.tar.gz", NOW)
        restore_backup(tmp_path / "newest.tar.gz", tmp_path / "newest")
        _go_on(rail, tmp_path / "newest")
    finally:
        rail.stop()


def blocks_in(home: Path) -> int:
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base:
        return base.execute("SELECT count(*) FROM block").fetchone()[0]


def _live(rail: SmallRail, tmp_path: Path) -> None:
    """Have a worker write, and back up in another thread meanwhile."""
    rail.fund("cp-0001", 20_000)
    rail.work(4)
    rail.clock = START + 100_000
    with ThreadPoolExecutor() as other:
        saved, turns = None, 0
        while turns < 4 or not saved.done():
            rail.take(*rail.fleet["cp-0001"].session("1.5"))
            rail.work(1, 20)
            turns += 1
            if turns == 3:
                saved = other.submit(write_backup, rail.settings, tmp_path / "b.tar.gz", NOW)
        assert saved.result().rail["address"] == rail.chain.deployment.addresses["PaymentRail"]
    rail.work(4)


def _go_on(rail: SmallRail, home: Path) -> None:
    """Have the restored rail take a record and settle it; a rebuild comes to the same bytes."""
    settings = Settings(home=home, finality_blocks=1, hole_patience_s=0)
    store = Store(settings.database)
    context = context_on_chain(
        settings,
        store,
        lambda: rail.clock,
        chain=rail.chain,
        accounts=load_accounts(settings, SENDING_ROLES),
        oracles=rail.rail.oracles,
        safeguarding=rail.rail.safeguarding,
    )
    worker = Worker(context)
    worker.recover()
    intake = Intake(store, context.registry, products(), lambda: rail.clock)
    for record in rail.fleet["cp-0001"].session("2.5"):
        intake.take([Message("ocmf", "", record, source="file")])
    with store.read() as session:
        before = payments.open_counts(session)
    for _ in range(12):
        rail.mine(20)
        worker.turn()
        assert not worker.halted, worker.halted
    with store.read() as session:
        after = payments.open_counts(session)
    assert sum(after.values()) == sum(before.values()) + 1
    assert set(after) <= {"posted", "paid_out", "booked", "reconciled"}, after
    result = rebuild(store, rail.chain)
    assert result.same, result.differences
    store.close()
