"""Every channel sends and receives each file once, even if calls repeat after a crash."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.edges.bank import channel as channels
from orchestrator.edges.bank import sftp as sftp_channel
from orchestrator.edges.bank.channel import Channel, Folder
from orchestrator.edges.bank.files import write_atomically
from orchestrator.edges.bank.sftp import Sftp
from orchestrator.errors import Halt, Retry
from tests.support.sftp_server import SftpServer


@dataclass
class Ends:
    """Both ends of a channel: our side, and the bank's two folders."""

    channel: Channel
    to_bank: Path
    from_bank: Path
    again: Any  # our end in a new process, which has our notes and nothing else

    def waits(self) -> list[str]:
        """What the bank finds."""
        return sorted(
            p.name for p in self.to_bank.iterdir() if p.is_file() and not p.name.startswith(".")
        )

    def arrived(self) -> list[tuple[str, bytes]]:
        """What we find once files rest: SFTP looks twice."""
        return self.channel.receive() or self.channel.receive()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("sftp") / "root"
    root.mkdir()
    sftp = SftpServer(root).start()
    yield sftp
    sftp.end()


@pytest.fixture(params=["folder", "sftp"])
def ends(request, tmp_path):
    if request.param == "folder":
        to_bank, from_bank = tmp_path / "to_bank", tmp_path / "from_bank"
        make = lambda: Folder(to_bank, from_bank)  # noqa: E731
    else:
        served = request.getfixturevalue("server")
        to_bank, from_bank = served.root / tmp_path.name / "out", served.root / tmp_path.name / "in"
        served.admit(tmp_path / "key")
        write_atomically(tmp_path / "state" / "known_hosts", served.known_line())
        url = served.url(f"/{tmp_path.name}/out", f"/{tmp_path.name}/in")
        make = lambda: Sftp(url, tmp_path / "key", tmp_path / "state")  # noqa: E731
    to_bank.mkdir(parents=True)
    from_bank.mkdir()
    return Ends(make(), to_bank, from_bank, make)


def test_send__twice__places_one_file_and_says_so(ends):
    assert not ends.channel.placed("a.xml")
    assert ends.channel.send("a.xml", b"x") and not ends.channel.send("a.xml", b"x")
    assert ends.waits() == ["a.xml"] and (ends.to_bank / "a.xml").read_bytes() == b"x"
    assert ends.channel.placed("a.xml") and ends.again().placed("a.xml")


def test_send__after_the_bank_fetched_it__is_not_sent_again(ends):
    ends.channel.send("a.xml", b"x")
    (ends.to_bank / "a.xml").unlink()
    assert not ends.again().send("a.xml", b"x") and ends.waits() == []


def test_send__crash_after_placing__second_call_finds_it(ends):
    write_atomically(ends.to_bank / "a.xml", b"x")
    assert not ends.channel.placed("a.xml")
    assert not ends.channel.send("a.xml", b"x") and ends.channel.placed("a.xml")


def test_send__crash_after_placing_and_bank_archived_it__is_not_sent_again(ends):
    write_atomically(ends.to_bank / "archive" / "a.xml", b"x")
    assert not ends.channel.send("a.xml", b"x") and ends.waits() == []


@pytest.mark.parametrize("where", ["noted", "noted and fetched", "archive"])
def test_send__other_bytes_under_a_used_name__halts(ends, where):
    if where == "archive":
        write_atomically(ends.to_bank / "archive" / "a.xml", b"x")
    else:
        ends.channel.send("a.xml", b"x")
    if where == "noted and fetched":
        (ends.to_bank / "a.xml").unlink()
    before = ends.waits()
    with pytest.raises(Halt):
        ends.channel.send("a.xml", b"y")
    assert ends.waits() == before


@pytest.mark.parametrize("name", ["", ".hidden", "../a.xml", "a/b", "a b", "x" * 121])
def test_send__odd_name__halts(ends, name):
    with pytest.raises(Halt):
        ends.channel.send(name, b"x")


def test_send__outbox_cannot_be_written__is_retry_and_then_sent(ends):
    ends.to_bank.rmdir()
    ends.to_bank.write_bytes(b"a file where the folder should be")
    with pytest.raises(Retry):
        ends.channel.send("a.xml", b"x")
    ends.to_bank.unlink()
    ends.to_bank.mkdir()
    assert ends.channel.send("a.xml", b"x") and ends.waits() == ["a.xml"]


def test_send__large_file__arrives_whole(ends):
    data = os.urandom(3_000_000)
    assert ends.channel.send("large.xml", data)
    assert (ends.to_bank / "large.xml").read_bytes() == data


def test_receive__half_written_and_hidden_files__are_not_seen(ends):
    (ends.from_bank / ".b.xml.tmp").write_bytes(b"half")
    (ends.from_bank / "b.xml").write_bytes(b"b")
    (ends.from_bank / "a.xml").write_bytes(b"a")
    for _ in range(2):  # until they are done
        assert ends.arrived() == [("a.xml", b"a"), ("b.xml", b"b")]


def test_done__twice__is_never_seen_again(ends):
    (ends.from_bank / "a.xml").write_bytes(b"a")
    assert ends.arrived() == [("a.xml", b"a")]
    ends.channel.done("a.xml")
    ends.channel.done("a.xml")
    assert ends.arrived() == [] == ends.again().receive()


def test_done__crash_before_it__second_process_finds_the_file(ends):
    (ends.from_bank / "a.xml").write_bytes(b"a")
    assert ends.arrived() == [("a.xml", b"a")]
    ends.channel = ends.again()
    assert ends.arrived() == [("a.xml", b"a")]


def test_done__another_content_under_a_used_name__arrives_too(ends):
    for data in (b"first", b"second one"):
        (ends.from_bank / "a.xml").write_bytes(data)
        assert ends.arrived() == [("a.xml", data)]
        ends.channel.done("a.xml")
    assert ends.arrived() == []


def test_reject__refused_file__is_not_seen_again(ends):
    (ends.from_bank / "a.xml").write_bytes(b"a")
    assert ends.arrived()
    ends.channel.reject("a.xml")
    assert ends.arrived() == []


def test_receive__what_is_no_file_or_too_large__stops_nothing(ends, monkeypatch):
    for module in (channels, sftp_channel):
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 3)
    (ends.from_bank / "folder").mkdir()
    os.symlink("/etc/hostname", ends.from_bank / "link.xml")
    (ends.from_bank / "large.xml").write_bytes(b"long")
    (ends.from_bank / "z.xml").write_bytes(b"z")
    for _ in range(2):
        assert ends.arrived() == [("z.xml", b"z")]


# --- what only the folders do


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return Folder(tmp_path / "out", tmp_path / "in")


@pytest.mark.parametrize("again", [b"a", b"other"])
def test_folder__name_used_before__keeps_every_content(folder, again):
    for data in (b"a", again):
        (folder.inbox / "a.xml").write_bytes(data)
        folder.done("a.xml")
    kept = [path.read_bytes() for path in (folder.inbox / "archive").iterdir()]
    assert sorted(kept) == sorted({b"a", again}) and folder.receive() == []


def test_folder__refused_file__is_kept_aside(folder):
    (folder.inbox / "a.xml").write_bytes(b"a")
    folder.reject("a.xml")
    assert (folder.inbox / "rejected" / "a.xml").read_bytes() == b"a"


def test_folder__unreadable_entries__are_quarantined(folder, monkeypatch):
    monkeypatch.setattr("orchestrator.edges.bank.channel.MAX_FILE_BYTES", 3)
    (folder.inbox / "folder").mkdir()
    os.symlink("/etc/hostname", folder.inbox / "link.xml")
    (folder.inbox / "large.xml").write_bytes(b"long")
    assert folder.receive() == []
    aside = {path.name for path in (folder.inbox / "rejected").iterdir()}
    assert aside == {"folder", "link.xml", "large.xml"}
    (folder.inbox / "folder").mkdir()
    assert folder.receive() == []


def test_folder__path_instead_of_name__halts(folder):
    with pytest.raises(Halt):
        folder.done("../out/a.xml")


def test_folder__no_inbox_yet__is_empty(tmp_path):
    assert Folder(tmp_path / "o", tmp_path / "i").receive() == []


HALVES = {
    "xml": (b"<?xml version='1.0'?><!-- a --><Document><A/>", b"</Document>\n"),
    "swift": (b":20:X\n:25:DE", b"00\n:28C:1/1\n"),
}


@pytest.mark.parametrize("kind", HALVES)
def test_folder__file_that_is_still_written__waits_until_it_is_at_rest(tmp_path, kind):
    inbox, (begin, rest) = tmp_path / "in", HALVES[kind]
    inbox.mkdir()
    folder, path = Folder(tmp_path / "out", inbox, rest_s=3_600), inbox / "file"
    path.write_bytes(begin)
    assert folder.receive() == []
    path.write_bytes(begin + rest)
    assert folder.receive() == ([("file", begin + rest)] if kind == "xml" else [])
    long_ago = path.stat().st_mtime - 7_200
    os.utime(path, (long_ago, long_ago))
    assert folder.receive() == [("file", begin + rest)]
    assert not (inbox / "rejected").exists()


def test_folder__zip_archive__is_taken_once_it_is_whole(tmp_path):
    inbox, whole = tmp_path / "in", io.BytesIO()
    inbox.mkdir()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a.xml", "<Document/>")
    folder, path = Folder(tmp_path / "out", inbox, rest_s=3_600), inbox / "day.zip"
    path.write_bytes(whole.getvalue()[:40])
    assert folder.receive() == []
    path.write_bytes(whole.getvalue())
    assert folder.receive() == [("day.zip", whole.getvalue())]
