"""Migrations are Alembic operations, so that SQLite and PostgreSQL run the same ones."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.source_tree import ROOT, files, offenders, tree

MIGRATIONS = ROOT / "orchestrator" / "edges" / "store" / "migrations"
# file: why it has statements of its own
RAW_SQL = {"append_only.py": "Alembic has no operation for triggers; one form for each database"}
STATEMENTS = ("CREATE ", "ALTER ", "DROP ", "UPDATE ", "DELETE ", "INSERT ", "SELECT ", "PRAGMA ")


def raw_sql(path: Path) -> list[str]:
    """Return the strings of a migration that are statements, and calls that run strings."""
    if path.name in RAW_SQL:
        return []
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.value] if node.value.lstrip().startswith(STATEMENTS) else []
        if isinstance(node, ast.Attribute) and node.attr == "exec_driver_sql":
            found.append(f"line {node.lineno}: exec_driver_sql")
    return found


def migrations() -> list[Path]:
    return [path for path in files(".py") if MIGRATIONS in path.parents]


def test_project__any_folder__has_no_sql_file() -> None:
    assert not files(".sql")


def test_migrations__each__is_written_in_operations() -> None:
    assert len(migrations()) > 7
    assert not offenders(migrations(), raw_sql)


def test_migrations__each_exception__is_used(tmp_path: Path) -> None:
    assert set(RAW_SQL) == {path.name for path in migrations()} & set(RAW_SQL)
    copy = tmp_path / "0099_copy.py"
    copy.write_text((MIGRATIONS / "append_only.py").read_text())
    assert len(raw_sql(copy)) > 3  # so the test above can fail
