"""Every valid signature of an oracle is kept, and which oracle signed two different claims.

The statements are frozen in 0005_equivocations.sql, as those of the ground are.
"""

from pathlib import Path

from alembic import op

from orchestrator.errors import Halt

revision = "0005"
down_revision = "0004"

_SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in _SQL.read_text().split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise Halt("revision 0005 is not taken back: evidence against an oracle is never dropped")
