"""`proofrail logs` merges the logs by time, names each line's process, and follows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import logs


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "chain.log").write_text(
        "2026-11-30 10:00:01,500 block 1\n2026-11-30 10:00:03,500 block 2\nTraceback\n  line\n"
    )
    (folder / "work.log").write_text(
        '{"event": "begun", "timestamp": "2026-11-30T10:00:01Z"}\n'
        '{"event": "sent", "timestamp": "2026-11-30T10:00:02.25Z"}\n'
        '{"event": "late", "timestamp": "2026-11-30T10:00:04Z"}\n'
    )
    return tmp_path


def run(home: Path, *arguments: str) -> list[str]:
    result = CliRunner().invoke(cli.app, ["--home", str(home), "logs", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_logs__all__are_merged_by_time_with_the_names_and_keep_what_follows_a_line(home):
    lines = run(home)
    assert [line.split()[0] for line in lines] == [
        *("work", "chain", "work", "chain", "chain", "chain", "work")
    ]
    assert "begun" in lines[0] and "Traceback" in lines[4] and "late" in lines[6]


def test_logs__one_process__is_as_it_was_written(home):
    assert run(home, "chain", "-n", "2") == ["Traceback", "  line"]
    assert len(run(home, "chain", "-n", "0")) == 4


def test_logs__text_that_would_control_the_terminal__is_shown_escaped(home):
    (home / "logs" / "odd.log").write_text("\x1b[2Jgone\n")
    assert run(home, "odd") == ["\\x1b[2Jgone"]


def test_logs__unknown_name_or_no_logs__names_what_there_is(home, tmp_path):
    result = CliRunner().invoke(cli.app, ["--home", str(home), "logs", "bank"])
    assert result.exit_code == 2 and "There are: chain, work." in result.stderr
    result = CliRunner().invoke(cli.app, ["--home", str(home / "none"), "logs", "bank"])
    assert result.exit_code == 2 and "No process wrote one yet." in result.stderr


def test_follow__lines_that_are_added__are_shown_once_and_whole(home, monkeypatch):
    path = home / "logs" / "work.log"
    added = [b'{"event": "half', b' a line"}\nnext\n', None]

    def append(_seconds: float) -> None:
        step = added.pop(0)
        if step is None:
            raise KeyboardInterrupt
        with path.open("ab") as file:
            file.write(step)

    monkeypatch.setattr(logs.time, "sleep", append)
    result = CliRunner().invoke(cli.app, ["--home", str(home), "logs", "-f", "-n", "1", "work"])
    assert result.stdout.splitlines()[1:] == ['{"event": "half a line"}', "next"]


def test_news__log_that_became_shorter__begins_again(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("new\n")
    ends = {path: 1_000}
    assert logs._news(path, ends) == ["new"] and logs._news(path, ends) == []
