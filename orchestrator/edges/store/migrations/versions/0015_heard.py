"""Events that a claim hears without a citation; events by device and time."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "heard",
        sa.Column("payment_id", sa.String(), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("event_id", sa.String(), nullable=False),
    )
    op.create_index("ix_heard_event_id", "heard", ["event_id"])
    op.create_index("event_heard", "event", ["device_id", "observed_at_ms"])


def downgrade() -> None:
    raise Halt("migration 0015 is not undone. Restore the backup made before it.")
