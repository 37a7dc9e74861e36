"""Secrets of a home: one line of text, else a Halt that names the file and not its content."""

from __future__ import annotations

import pytest

from orchestrator.errors import Halt
from orchestrator.secret_file import read_secret


def test_read_secret__line_with_an_end__is_returned_without_it(tmp_path):
    (tmp_path / "token").write_text("abc-1\n")
    assert read_secret(tmp_path / "token") == "abc-1"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xb5\x00\xffab", b"ab\x00cd", b"two\nlines"])
def test_read_secret__garbage__is_named_and_not_shown(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(Halt, match=r"is damaged.*from a backup") as error:
        read_secret(tmp_path / "token")
    assert str(tmp_path / "token") in str(error.value) and "cd" not in str(error.value)


def test_read_secret__missing_file__is_a_halt(tmp_path):
    with pytest.raises(Halt, match="No such file"):
        read_secret(tmp_path / "token")
