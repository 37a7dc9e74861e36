"""The tests mirror the source, and share code through tests/support alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.source_tree import ROOT, files, imports, offenders, short


def _tests(folder: str) -> list[Path]:
    return [path for path in files(".py") if short(path).startswith(folder)]


def test_unit_tests__each_folder__is_a_folder_of_the_source() -> None:
    unit = ROOT / "tests" / "unit"
    folders = {path.parent.relative_to(unit) for path in _tests("tests/unit/")}
    assert len(folders) > 20
    assert not [str(folder) for folder in sorted(folders) if not (ROOT / folder).is_dir()]


def test_unit_tests__each_file__is_a_test() -> None:
    """A helper belongs in tests/support, where every test may import it."""

    def is_no_test(path: Path) -> bool:
        return not path.name.startswith("test_") and path.name != "conftest.py"

    assert not offenders(_tests("tests/unit/"), is_no_test)


def test_tests__any_file__imports_no_other_test() -> None:
    """The benchmark is a program: its parts may import one another."""

    def foreign(path: Path) -> set[str]:
        own = "tests.bench" if short(path).startswith("tests/bench/") else "tests.support"
        named = {name for name in imports(path) if name.startswith("tests.")}
        return {name for name in named if not f"{name}.".startswith((f"{own}.", "tests.support."))}

    assert len(_tests("tests/")) > 200
    assert not offenders(_tests("tests/"), foreign)
