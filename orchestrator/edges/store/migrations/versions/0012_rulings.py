"""Rulings on disputes as oracles signed them; debts that no longer stand."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "ruling",
        sa.Column("payment_id", sa.String(), primary_key=True),
        sa.Column("oracle", sa.String(), primary_key=True),
        sa.Column("refund", sa.Boolean(), primary_key=True),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
    )
    cancelled = sa.Column("cancelled_micro", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("debt", cancelled)


def downgrade() -> None:
    raise Halt("migration 0012 is not undone. Restore the backup made before it.")
