"""Payments can be held; an API key may stand for a payer or payee."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("key_name", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("claim_hash", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.String(), nullable=True),
        sa.Column("approval_id", sa.String(), nullable=True),
        sa.UniqueConstraint("payment_id", "held_at"),
    )
    op.create_index("ix_hold_payment_id", "hold", ["payment_id"])
    op.add_column("apikey", sa.Column("party", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise Halt("migration 0017 is not undone. Restore the backup made before it.")
