"""Requests and files become messages without losing a byte."""

from __future__ import annotations

from device_adapters.replay import message_of_request, replay_file
from device_adapters.types import MAX_MESSAGE_BYTES, MAX_RECORDS_PER_MESSAGE, Message


def _replayed(tmp_path, content: bytes) -> list[bytes]:
    path = tmp_path / "records.txt"
    path.write_bytes(content)
    return [m.body for batch in replay_file(path, "ocmf") for m in batch]


def test_inlets__same_record__same_message_but_for_its_source(tmp_path):
    path = tmp_path / "record"
    path.write_bytes(b"x")
    assert message_of_request("ocmf", b"x") == Message("ocmf", "", b"x", source="http")
    assert list(replay_file(path, "ocmf", "cp-1")) == [
        [Message("ocmf", "cp-1", b"x", source="file")]
    ]


def test_file__larger_than_a_message__split_at_line_feeds_without_loss(tmp_path):
    lines = [b"%06d" % number + b"x" * 700 for number in range(3_000)]
    bodies = _replayed(tmp_path, b"\n".join(lines))
    assert b"".join(bodies).split(b"\n") == lines
    assert max(map(len, bodies)) <= MAX_MESSAGE_BYTES
    assert max(body.count(b"\n") for body in bodies) <= MAX_RECORDS_PER_MESSAGE


def test_file__with_one_line_beyond_the_limit__named_and_its_neighbours_kept(tmp_path):
    bodies = _replayed(tmp_path, b"first\n" + b"x" * (3 * MAX_MESSAGE_BYTES) + b"\nlast\n")
    assert [len(body) > MAX_MESSAGE_BYTES for body in bodies] == [False, True, False]
    assert (bodies[0], bodies[-1]) == (b"first\n", b"last\n")


def test_file__of_framed_records__is_cut_before_separators_not_at_their_lines(tmp_path):
    records = [b"\x1e%06d\n{\n" % number + b"x" * 700 + b"\n}\n" for number in range(1_500)]
    bodies = _replayed(tmp_path, b"".join(records))
    assert len(bodies) > 1
    assert b"".join(bodies) == b"".join(records)
    assert all(body.startswith(b"\x1e") and body.endswith(b"}\n") for body in bodies)
    assert max(map(len, bodies)) <= MAX_MESSAGE_BYTES


def test_file__with_one_framed_record_beyond_the_limit__named_and_its_neighbours_kept(tmp_path):
    parts = [b"\x1efirst\n", b"\x1e" + b"x" * (3 * MAX_MESSAGE_BYTES), b"\x1elast\n"]
    bodies = _replayed(tmp_path, b"".join(parts))
    assert [len(body) > MAX_MESSAGE_BYTES for body in bodies] == [False, True, False]
    assert (bodies[0], bodies[-1]) == (parts[0], parts[-1])


def test_file__empty__is_one_empty_message(tmp_path):
    assert _replayed(tmp_path, b"") == [b""]
