"""The files of the chain's keeper: each is complete or absent, and damage is noticed."""

from __future__ import annotations

import errno
import gzip
import os
import shutil

import pytest

from orchestrator.errors import Halt
from services.chain.dumps import Dumps, read_dump

STATE = gzip.compress(os.urandom(5_000))


@pytest.fixture
def dumps(tmp_path):
    return Dumps(tmp_path / "chain")


def names(dumps: Dumps) -> list[str]:
    return sorted(path.name for path in dumps.folder.iterdir() if path.name != "lock")


def test_dump__that_was_written__is_read_back(dumps):
    dumps.write(7, "0xaa", 1_700, STATE)
    found, notes = dumps.newest()
    assert (found.number, found.block_hash, found.timestamp) == (7, "0xaa", 1_700)
    assert (found.packed, notes) == (STATE, [])
    assert found.state() == gzip.decompress(STATE)


def test_dumps__of_many_blocks__are_two(dumps):
    for number in range(5):
        dumps.write(number, "0xaa", 1_700, STATE)
    assert names(dumps) == ["state-0000000004.dump", "state-0000000005.dump"]
    assert dumps.newest()[0].number == 4


def test_dump__of_a_lower_block_written_later__is_the_newest(dumps):
    dumps.write(100, "0xaa", 1_700, STATE)
    dumps.write(90, "0xbb", 1_700, STATE)  # somebody rewound the chain by hand
    assert dumps.newest()[0].number == 90


def test_newest_dump__cut_off_anywhere__is_set_aside_for_the_one_before(dumps, tmp_path):
    dumps.write(1, "0xaa", 1_700, STATE)
    newest = dumps.write(2, "0xbb", 1_700, STATE)
    whole = newest.read_bytes()
    header = whole.index(b"\n") + 1
    for index, size in enumerate((0, 1, header - 1, header, header + 1, len(whole) - 1)):
        copy = tmp_path / f"cut-{index}"
        shutil.copytree(dumps.folder, copy)
        (copy / newest.name).write_bytes(whole[:size])
        torn = Dumps(copy)
        found, notes = torn.newest()
        assert found.number == 1
        assert len(notes) == 1 and newest.name in notes[0]
        assert f"{newest.name}.unreadable" in names(torn)
        assert torn.write(3, "0xcc", 1_700, STATE).name > newest.name  # no name twice
        assert torn.newest()[0].number == 3


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda body: body[:-1] + bytes([body[-1] ^ 1]), "checksum"),
        (lambda body: body + b"x", "bytes"),
        (lambda body: body.replace(b'"version": 1', b'"version": 9'), "version 9"),
        (lambda body: body.replace(b'"block": 2', b'"block": []'), "not a header"),
        (lambda body: b"[" * 900 + b"\n" + body, "not a header"),
        (lambda body: b"x" * 5_000 + b"\n" + body, "first line"),
    ],
)
def test_dump__that_was_changed__is_not_read(dumps, damage, says):
    path = dumps.write(2, "0xbb", 1_700, STATE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=says):
        read_dump(path)


def test_dumps__none_of_which_can_be_read__begin_no_new_chain(dumps):
    for number in (1, 2):
        dumps.write(number, "0xaa", 1_700, STATE).write_bytes(b"")
    before = names(dumps)
    with pytest.raises(Halt, match="no new chain was begun"):
        dumps.newest()
    assert names(dumps) == before


def test_folder__where_only_unreadable_dumps_are_left__begins_no_new_chain(dumps):
    (dumps.folder / "state-0000000004.dump.unreadable").touch()
    with pytest.raises(Halt, match="set aside before"):
        dumps.newest()


def test_folder__of_a_running_chain__is_refused_to_a_second_keeper(dumps):
    dumps.claim()
    with pytest.raises(Halt, match="another process keeps the chain"):
        Dumps(dumps.folder).claim()


def test_what_a_kill_left__is_removed_at_the_next_start(dumps):
    dumps.write(1, "0xaa", 1_700, STATE)
    for left in ("state-0000000002.dump.tmp", "loading.json"):
        (dumps.folder / left).write_bytes(b"half")
    dumps.claim()
    assert names(dumps) == ["state-0000000001.dump"]


@pytest.mark.parametrize("step", ["half written", "written", "synced"])
def test_disk__that_is_full__leaves_the_older_dumps_and_no_half_file(tmp_path, step):
    full = False

    def fail(name: str) -> None:
        if full and name == step:
            raise OSError(errno.ENOSPC, "No space left on device")

    dumps = Dumps(tmp_path / "chain", fail)
    dumps.write(1, "0xaa", 1_700, STATE)
    full = True
    with pytest.raises(OSError, match="No space"):
        dumps.write(2, "0xbb", 1_700, STATE)
    assert names(dumps) == ["state-0000000001.dump"]
    full = False
    dumps.write(2, "0xbb", 1_700, STATE)
    assert dumps.newest()[0].number == 2


def test_kill__at_any_step_of_a_write__leaves_a_whole_dump(tmp_path):
    """What is in the folder at each step is what a kill leaves there."""
    copies: list[tuple[str, Dumps]] = []

    def copy(step: str) -> None:
        if recording:
            target = tmp_path / f"at-{len(copies)}"
            shutil.copytree(dumps.folder, target)
            copies.append((step, Dumps(target)))

    recording, dumps = False, Dumps(tmp_path / "chain", copy)
    for number in (1, 2):
        dumps.write(number, "0xaa", 1_700, STATE)
    recording = True
    dumps.write(3, "0xbb", 1_700, STATE)
    newest = {}
    for step, copied in copies:
        copied.claim()
        found, notes = copied.newest()
        newest[step] = found.number
        assert notes == []
        assert copied.write(4, "0xcc", 1_700, STATE) and copied.newest()[0].number == 4
    assert newest == {
        "half written": 2,
        "written": 2,
        "synced": 2,
        "renamed": 3,
        "folder synced": 3,
        "older removed": 3,
    }
