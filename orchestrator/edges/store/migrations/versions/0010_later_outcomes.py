"""What became of records after their receipts is stored and sent until it is acknowledged."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0010"
down_revision = "0009"

_OPEN = sa.text("acknowledged_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "lateroutcome",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("outcome_id", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("evidence_hash", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("outcome_id"),
    )
    op.create_index("ix_lateroutcome_event_id", "lateroutcome", ["event_id"])
    op.create_index("lateroutcome_of_device", "lateroutcome", ["device", "number"])
    op.create_index(
        "lateroutcome_open",
        "lateroutcome",
        ["device", "number"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "outcomedelivery",
        sa.Column("device", sa.String(), primary_key=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_outcomedelivery_due_at", "outcomedelivery", ["due_at"])


def downgrade() -> None:
    raise Halt("migration 0010 is not undone. Restore the backup made before it.")
