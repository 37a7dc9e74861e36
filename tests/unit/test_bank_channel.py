"""Files go once and arrive once, whatever call is repeated after a crash."""

from __future__ import annotations

import os

import pytest

from orchestrator.edges.bank.channel import Folder, write_atomically
from orchestrator.errors import Halt, Retry


@pytest.fixture
def channel(tmp_path):
    (tmp_path / "in").mkdir()
    return Folder(tmp_path / "out", tmp_path / "in")


def placed(channel: Folder) -> list[str]:
    return sorted(path.name for path in channel.outbox.iterdir() if path.is_file())


def test_send__twice__places_one_file_and_says_so(channel):
    assert channel.send("a.xml", b"x") and not channel.send("a.xml", b"x")
    assert placed(channel) == ["a.xml"] and (channel.outbox / "a.xml").read_bytes() == b"x"


def test_send__after_the_bank_fetched_it__is_not_sent_again(channel):
    channel.send("a.xml", b"x")
    (channel.outbox / "a.xml").unlink()
    assert not channel.send("a.xml", b"x") and placed(channel) == []


def test_send__crash_after_placing__second_call_finds_it(channel):
    write_atomically(channel.outbox / "a.xml", b"x")
    assert not channel.send("a.xml", b"x")
    assert (channel.outbox / "sent" / "a.xml").read_bytes() == b"x"


def test_send__crash_after_placing_and_bank_archived_it__is_not_sent_again(channel):
    write_atomically(channel.outbox / "archive" / "a.xml", b"x")
    assert not channel.send("a.xml", b"x") and placed(channel) == []


@pytest.mark.parametrize("fetched", [False, True])
def test_send__other_bytes_under_a_used_name__halts(channel, fetched):
    channel.send("a.xml", b"x")
    if fetched:
        (channel.outbox / "a.xml").unlink()
    with pytest.raises(Halt):
        channel.send("a.xml", b"y")
    assert placed(channel) == ([] if fetched else ["a.xml"])


@pytest.mark.parametrize("name", ["", ".hidden", "../a.xml", "a/b", "a b", "x" * 121])
def test_send__odd_name__halts(channel, name):
    with pytest.raises(Halt):
        channel.send(name, b"x")


def test_send__outbox_cannot_be_written__is_retry(channel):
    channel.outbox.write_bytes(b"a file where the folder should be")
    with pytest.raises(Retry):
        channel.send("a.xml", b"x")


def test_receive__half_written_and_hidden_files__are_not_seen(channel):
    (channel.inbox / ".b.xml.tmp").write_bytes(b"half")
    (channel.inbox / "b.xml").write_bytes(b"b")
    (channel.inbox / "a.xml").write_bytes(b"a")
    assert channel.receive() == [("a.xml", b"a"), ("b.xml", b"b")] == channel.receive()


def test_done__twice__archives_once(channel):
    (channel.inbox / "a.xml").write_bytes(b"a")
    channel.done("a.xml")
    channel.done("a.xml")
    assert channel.receive() == []
    assert (channel.inbox / "archive" / "a.xml").read_bytes() == b"a"


@pytest.mark.parametrize("again", [b"a", b"other"])
def test_done__name_used_before__keeps_every_content(channel, again):
    for data in (b"a", again):
        (channel.inbox / "a.xml").write_bytes(data)
        channel.done("a.xml")
    kept = [path.read_bytes() for path in (channel.inbox / "archive").iterdir()]
    assert sorted(kept) == sorted({b"a", again}) and channel.receive() == []


def test_reject__refused_file__is_kept_aside(channel):
    (channel.inbox / "a.xml").write_bytes(b"a")
    channel.reject("a.xml")
    assert (channel.inbox / "rejected" / "a.xml").read_bytes() == b"a" and not channel.receive()


def test_receive__unreadable_things__are_put_aside_and_stop_nothing(channel, monkeypatch):
    monkeypatch.setattr("orchestrator.edges.bank.channel.MAX_FILE_BYTES", 3)
    (channel.inbox / "folder").mkdir()
    os.symlink("/etc/hostname", channel.inbox / "link.xml")
    (channel.inbox / "large.xml").write_bytes(b"long")
    (channel.inbox / "z.xml").write_bytes(b"z")
    assert channel.receive() == [("z.xml", b"z")] == channel.receive()
    aside = {path.name for path in (channel.inbox / "rejected").iterdir()}
    assert aside == {"folder", "link.xml", "large.xml"}
    (channel.inbox / "folder").mkdir()
    assert channel.receive() == [("z.xml", b"z")]


def test_done__path_instead_of_name__halts(channel):
    with pytest.raises(Halt):
        channel.done("../out/a.xml")


def test_receive__no_inbox_yet__is_empty(tmp_path):
    assert Folder(tmp_path / "o", tmp_path / "i").receive() == []
