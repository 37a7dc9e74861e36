"""Triggers that refuse to change or delete rows: evidence and journal are only added to.

Alembic has no operation for a trigger, and the two databases share no syntax for one, so these are
the only statements of the migrations that are written once for each database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_FUNCTION = """
CREATE OR REPLACE FUNCTION proofrail_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
_CREATE = {
    "sqlite": "CREATE TRIGGER {table}_no_{change} BEFORE {event} ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
    "postgresql": "CREATE TRIGGER {table}_no_{change} BEFORE {event} ON {table} "
    "FOR EACH {scope} EXECUTE FUNCTION proofrail_refuse_change()",
}
_DROP = {
    "sqlite": "DROP TRIGGER {table}_no_{change}",
    "postgresql": "DROP TRIGGER {table}_no_{change} ON {table}",
}
# SQLite has no TRUNCATE; PostgreSQL's fires once for the statement
_CHANGES = {"sqlite": ("update", "delete"), "postgresql": ("update", "delete", "truncate")}


def protect(op: Any, tables: Sequence[str]) -> None:
    """Refuse UPDATE, DELETE and (PostgreSQL) TRUNCATE on these tables."""
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        _run(op, _FUNCTION)
    for table in tables:
        for change in _CHANGES[dialect]:
            _create(op, table, change)


def allow_update(op: Any, table: str) -> None:
    """Lift the refusal of UPDATE, for a migration alone; `refuse_update` must follow."""
    _run(op, _DROP[op.get_bind().dialect.name].format(table=table, change="update"))


def refuse_update(op: Any, table: str) -> None:
    """Refuse UPDATE on a table again."""
    _create(op, table, "update")


def _create(op: Any, table: str, change: str) -> None:
    scope = "STATEMENT" if change == "truncate" else "ROW"
    statement = _CREATE[op.get_bind().dialect.name]
    _run(op, statement.format(table=table, change=change, event=change.upper(), scope=scope))


def _run(op: Any, statement: str) -> None:
    # the driver's own execution: a "%" or ":" in a trigger is not a parameter
    op.get_bind().exec_driver_sql(statement)
