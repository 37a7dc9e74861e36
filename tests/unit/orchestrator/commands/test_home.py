"""What commands read from outside: secrets come from files and standard input alone."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from orchestrator.commands.home import read_secret
from orchestrator.errors import Halt


def test_secret__of_a_file__is_its_text_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-begins-with-a-dash\n")
    assert read_secret(str(tmp_path / "key")) == "-begins-with-a-dash"


def test_secret__dash__is_the_first_line_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\nnot read\n"))
    assert read_secret("-") == "secret"


@pytest.mark.parametrize("source", ["prf_the_secret_itself", "\0", "x" * 5000])
def test_secret__given_as_an_argument__is_refused_and_not_repeated(source: str) -> None:
    with pytest.raises(Halt, match="give the name of the file") as refusal:
        read_secret(source)
    assert source not in str(refusal.value)
