"""Several products: events that support others, payees of their own, credits, a device's life.

The statements are frozen in 0002_products.sql, as those of the ground are.
"""

from pathlib import Path

from alembic import op

from orchestrator.errors import Halt

revision = "0002"
down_revision = "0001"

_SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    for statement in _SQL.read_text().split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise Halt("revision 0002 is not taken back: credits and citations are never dropped")
