"""The ground: every table, and triggers that keep the journal, evidence and facts append-only.

The statements are frozen in 0001_ground.sql: a table that changes gets a revision of its own, so
that a database of any age comes to the same schema.
"""

from pathlib import Path

from alembic import op

from orchestrator.errors import Halt

revision = "0001"
down_revision = None

_SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in _SQL.read_text().split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise Halt("below revision 0001 there is nothing: evidence and journal are never dropped")
