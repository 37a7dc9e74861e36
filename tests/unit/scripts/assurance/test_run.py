"""A run of parts: every part has its lines, and one that is not ok decides the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.assurance import __main__ as command
from scripts.assurance import page
from scripts.assurance.line import AssuranceLine, AssurancePart
from scripts.assurance.run import PartResult, run_parts
from scripts.assurance.table import as_json, as_markdown, as_text

GOOD = AssuranceLine("a figure", "7 of 7", True)
BAD = AssuranceLine("another", "6 of 7", False, "one\nis missing")


def _part(name: str, *lines: AssuranceLine, long_only: bool = False) -> AssurancePart:
    return AssurancePart(name, f"measures {name}", lambda task: list(lines), long_only)


def _broken(task: object) -> list[AssuranceLine]:
    raise OSError("no such program")


@pytest.mark.parametrize(
    ("lines", "code"), [((GOOD,), 0), ((GOOD, BAD), 1), ((), 1)], ids=["good", "bad", "no line"]
)
def test_command__lines_of_a_part__decide_the_exit_code(monkeypatch, capsys, lines, code) -> None:
    monkeypatch.setattr(command, "PARTS", (_part("one", GOOD), _part("two", *lines)))
    assert command.main([]) == code
    assert "a figure" in capsys.readouterr().out


def test_command__a_part_that_breaks__is_a_line_and_hides_no_other(monkeypatch, capsys) -> None:
    broken = AssurancePart("broken", "cannot run", _broken)
    monkeypatch.setattr(command, "PARTS", (broken, _part("two", GOOD)))
    assert command.main(["--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)["parts"]
    assert first["lines"][0]["note"] == "OSError: no such program"
    assert second["lines"][0]["ok"]


def test_command__without_long__leaves_out_long_parts(monkeypatch, capsys) -> None:
    parts = (_part("one", GOOD), _part("hours", BAD, long_only=True))
    monkeypatch.setattr(command, "PARTS", parts)
    assert command.main([]) == 0
    assert command.main(["hours"]) == 1
    assert command.main(["weeks"]) == 2
    assert "Parts: one, hours." in capsys.readouterr().err


def test_run__folder_of_each_part__is_its_own_and_empty() -> None:
    folders: list[Path] = []

    def measure(task):
        folders.append(task.folder)
        return [GOOD] if not list(task.folder.iterdir()) else [BAD]

    parts = [AssurancePart(name, "", measure) for name in ("one", "two", "three")]
    results = run_parts(parts, False, lambda text: None)
    assert [result.part for result in results] == ["one", "two", "three"]
    assert len(set(folders)) == 3 and all(result.lines == (GOOD,) for result in results)


def test_table__a_line_that_is_not_ok__is_marked_in_each_form() -> None:
    results = [PartResult("part", (GOOD, BAD), 3)]
    text = as_text(results, "abc")
    assert "✗ another" in text and "2 lines, 1 not ok" in text
    assert "| another | 6 of 7 | **no** | one<br>is missing |" in as_markdown(results, "abc")
    assert json.loads(as_json(results, "abc"))["commit"] == "abc"


def test_page__a_second_run__replaces_the_table_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "PAGE.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    for commit in ("abc", "def"):
        page.write_page([PartResult("part", (GOOD,), 1)], commit, path)
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "`def`" in text and "abc" not in text and "old" not in text
