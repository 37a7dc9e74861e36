"""The money side: where entries come from, entries not final yet, decisions of two, open breaks.

The statements are frozen in 0003_money.sql, as those of the ground are.
"""

from pathlib import Path

from alembic import op

from orchestrator.errors import Halt

revision = "0003"
down_revision = "0002"

_SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in _SQL.read_text().split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise Halt("revision 0003 is not taken back: decisions and entries are never dropped")
