"""How far the rail has read the broker's log."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "logposition",
        sa.Column("reader", sa.String(), primary_key=True),
        sa.Column("log", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.String(), nullable=False),
    )


def downgrade() -> None:
    raise Halt("migration 0008 is not undone. Restore the backup made before it.")
